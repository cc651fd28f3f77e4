"""`nano` as a `codec.profiles.Codec`: which engine runs it here.

On a CPU: our own bfloat16 kernels where the processor can run them (`codec.nano.simd`), else float32 in ONNX Runtime.
On a GPU: the torch networks, captured as graphs.
"""

import logging
from typing import Literal

from codec.arithmetic import Arithmetic, Precision
from codec.decoder import Decoder
from codec.drift import arithmetic_fingerprint
from codec.encoder import DEFAULT_SLICE_BYTES, Encoder
from codec.engine import DecoderEngine, EncoderEngine
from codec.nano.weights import load_weights
from latentcast.errors import UserError

log = logging.getLogger(__name__)


class NanoCodec:
    """`codec.profiles.Codec`. threads: of ONNX Runtime; the bfloat16 kernels use one.

    Raises UserError for a device or a precision that this machine does not have.
    """

    def __init__(
        self,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        *,
        threads: int = 1,
    ) -> None:
        self._weights = load_weights()
        self._threads = threads
        self.precision = _precision(device, precision)

    def arithmetic(self) -> Arithmetic:
        # The encoder's states are those of the decoder's networks to the last bit, so the latter can speak for both.
        return Arithmetic(arithmetic_fingerprint(self._decoder_engine()), self.precision)

    def encoder(self, *, width: int, height: int, max_slice_bytes: int = DEFAULT_SLICE_BYTES) -> Encoder:
        engine = self._encoder_engine()
        return Encoder(engine, self._weights, width=width, height=height, max_slice_bytes=max_slice_bytes)

    def decoder(self, *, width: int, height: int, skip_threshold: float | None = None) -> Decoder:
        return Decoder(self._decoder_engine(), self._weights, width=width, height=height)

    def _encoder_engine(self) -> EncoderEngine:
        if self.precision == "bfloat16":
            from codec.nano.simd.engine import SimdEncoder

            return SimdEncoder()
        if self.precision == "float16":
            from codec.cuda.runtime import CudaRuntime
            from codec.nano.torch_engine import TorchEncoder

            return TorchEncoder(CudaRuntime())
        from codec.nano.onnx_engine import OnnxEncoder

        return OnnxEncoder(weights_sha256=self._weights.sha256, threads=self._threads)

    def _decoder_engine(self) -> DecoderEngine:
        if self.precision == "bfloat16":
            from codec.nano.simd.engine import SimdDecoder

            return SimdDecoder()
        if self.precision == "float16":
            from codec.cuda.runtime import CudaRuntime
            from codec.nano.torch_engine import TorchDecoder

            return TorchDecoder(CudaRuntime())
        from codec.nano.onnx_engine import OnnxDecoder

        return OnnxDecoder(weights_sha256=self._weights.sha256, threads=self._threads)


def _precision(device: Literal["auto", "cpu", "cuda"], wanted: Literal["auto", "float32", "bfloat16"]) -> Precision:
    """What the network computes in. Raises UserError where this machine cannot."""
    if device == "cuda":
        if wanted != "auto":
            raise UserError(f"on a GPU nano computes in float16; leave --precision {wanted} out, or --device cuda.")
        return "float16"
    if wanted == "float32":
        return "float32"
    from codec.nano.simd.selftest import unavailable

    reason = unavailable()
    if reason is None:
        return "bfloat16"
    if wanted == "bfloat16":
        raise UserError(f"nano cannot compute in bfloat16 here: {reason}; leave --precision out.")
    log.info("nano computes in float32: %s", reason)
    return "float32"
