"""The profiles by name: from what the user chose to the two halves of the codec.

    Profile      a choice: name, device, precision, weights. A value that travels to the worker processes
    open_codec   loads what it names, once; encoders and decoders of any size come out of it

What only one profile needs (torch above all) is imported when it is opened.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from codec.arithmetic import Arithmetic, Precision
from codec.encoder import DEFAULT_SLICE_BYTES
from codec.engine import FrameDecoder, FrameEncoder
from codec.nano.weights import WEIGHTS_PATH, file_sha256
from latentcast.errors import UserError

if TYPE_CHECKING:
    from latentcast.config import CodecSettings

ProfileName = Literal["nano", "dcvc-rt"]
Device = Literal["auto", "cpu", "cuda"]
PrecisionChoice = Literal["auto", "float32", "bfloat16"]

PROFILE_NAMES: tuple[ProfileName, ...] = ("nano", "dcvc-rt")


@dataclass(frozen=True, slots=True)
class Profile:
    """Which codec, and how it runs.

    device: `auto` is the GPU for `dcvc-rt` where there is one, else the CPU. precision: of `nano` on a CPU; `auto` is
    bfloat16 where our kernels run (any x86 with AVX2), else float32. weights_image, weights_video: the published
    checkpoints, which `dcvc-rt` needs. skip_threshold: of a `dcvc-rt` encoder, None codes every element; a decoder is
    told by the stream. reset_interval: frames of `dcvc-rt` after which the state is made from the picture, 0 never.
    """

    name: ProfileName = "nano"
    device: Device = "auto"
    precision: PrecisionChoice = "auto"
    weights_image: Path | None = None
    weights_video: Path | None = None
    skip_threshold: float | None = 0.12
    reset_interval: int = 32

    def __post_init__(self) -> None:
        if self.name == "dcvc-rt" and (self.weights_image is None or self.weights_video is None):
            raise UserError(
                "the profile dcvc-rt needs the two published checkpoints: give cvpr2025_image.pth.tar with "
                "--weights-image and cvpr2025_video.pth.tar with --weights-video."
            )
        if self.name == "dcvc-rt" and self.precision != "auto":
            raise UserError("--precision is of nano; dcvc-rt computes in float32 on a CPU and in float16 on a GPU.")
        if self.name == "nano" and (self.weights_image is not None or self.weights_video is not None):
            raise UserError("the profile nano brings its own weights; checkpoints are for --profile dcvc-rt.")

    @classmethod
    def of(cls, settings: "CodecSettings") -> "Profile":
        """What the settings of a server or a viewer name. Raises UserError for a choice that does not fit."""
        names = {"device", "precision", "weights_image", "weights_video", "skip_threshold", "reset_interval"}
        return cls(settings.profile, **settings.model_dump(include=names))

    @property
    def exact(self) -> bool:
        """Whether a viewer must compute what the server computes, to the last bit (codec.arithmetic)."""
        return self.name == "dcvc-rt"

    def weights_sha256(self) -> str:
        """What both ends name their weights by. Raises UserError when a file cannot be read."""
        if self.weights_image is None or self.weights_video is None:
            return file_sha256(WEIGHTS_PATH)
        digests = [file_sha256(path) for path in (self.weights_image, self.weights_video)]
        return hashlib.sha256("".join(digests).encode()).hexdigest()


class Codec(Protocol):
    """A profile with its weights loaded. Raises UserError for a size that cannot be coded."""

    @property
    def precision(self) -> Precision:
        """What its network computes in."""

    def arithmetic(self) -> Arithmetic:
        """What decoders of this codec compute with, and encoders too."""

    def encoder(self, *, width: int, height: int, max_slice_bytes: int = DEFAULT_SLICE_BYTES) -> FrameEncoder:
        """A warmed-up encoder."""

    def decoder(self, *, width: int, height: int, skip_threshold: float | None = None) -> FrameDecoder:
        """A warmed-up decoder. skip_threshold: the encoder's."""


def open_codec(profile: Profile = Profile(), *, threads: int = 1) -> Codec:
    """Load a profile. threads: of one network run on a CPU; the bfloat16 kernels use one.

    Raises UserError for weights it cannot use, or a device or library that is not there.
    """
    if profile.name == "nano":
        from codec.nano.codec import NanoCodec

        return NanoCodec(profile.device, profile.precision, threads=threads)
    need_torch("the profile dcvc-rt")
    from codec.dcvc_rt.codec import open_dcvc_rt

    assert profile.weights_image is not None
    assert profile.weights_video is not None
    return open_dcvc_rt(
        image=profile.weights_image,
        video=profile.weights_video,
        device=profile.device,
        threads=threads,
        skip_threshold=profile.skip_threshold,
        reset_interval=profile.reset_interval,
    )


def open_encoder(*, width: int, height: int, threads: int = 1, **choice: Any) -> FrameEncoder:
    """A warmed-up encoder of `Profile(**choice)`. Raises UserError for a size or weights it cannot use."""
    return open_codec(Profile(**choice), threads=threads).encoder(width=width, height=height)


def open_decoder(*, width: int, height: int, threads: int = 1, **choice: Any) -> FrameDecoder:
    """A warmed-up decoder of `Profile(**choice)`. Raises UserError for a size or weights it cannot use."""
    profile = Profile(**choice)
    codec = open_codec(profile, threads=threads)
    return codec.decoder(width=width, height=height, skip_threshold=profile.skip_threshold)


def need_torch(what: str) -> None:
    """Raises UserError where torch is not installed. what: the sentence's subject."""
    if importlib.util.find_spec("torch") is None:
        raise UserError(f"{what} needs torch, which is not installed; install it with: pip install torch")
