"""The profiles by name: how to make the two halves of the codec."""

from codec.decoder import Decoder
from codec.encoder import DEFAULT_SLICE_BYTES, Encoder
from codec.nano.onnx_engine import OnnxDecoder, OnnxEncoder
from codec.nano.weights import Weights, load_weights

PROFILE = "nano"


def open_encoder(*, width: int, height: int, threads: int = 1, max_slice_bytes: int = DEFAULT_SLICE_BYTES) -> Encoder:
    """A warmed-up encoder of the `nano` profile on the CPU. Raises UserError for a size or weights it cannot use."""
    weights = load_weights()
    engine = OnnxEncoder(weights_sha256=weights.sha256, threads=threads)
    return Encoder(engine, weights, width=width, height=height, max_slice_bytes=max_slice_bytes)


def open_decoder_engine(*, threads: int = 1) -> tuple[OnnxDecoder, Weights]:
    """What a decoder of any size needs: the networks of the `nano` profile on the CPU, and the entropy tables."""
    weights = load_weights()
    return OnnxDecoder(weights_sha256=weights.sha256, threads=threads), weights


def open_decoder(*, width: int, height: int, threads: int = 1) -> Decoder:
    """A warmed-up decoder of the `nano` profile on the CPU. Raises UserError for a size or weights it cannot use."""
    engine, weights = open_decoder_engine(threads=threads)
    return Decoder(engine, weights, width=width, height=height)
