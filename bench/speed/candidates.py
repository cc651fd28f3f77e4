"""Every engine that could be measured, in the order of the tables, and why one cannot run here."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.speed.roofline import FrameKind, NetworkCost
from codec.engine import FrameDecoder, FrameEncoder
from codec.profiles import PROFILE_NAMES, ProfileName
from latentcast.errors import UserError

Size = tuple[int, int]

NANO_SIZES: tuple[Size, ...] = ((160, 96), (320, 180), (480, 270), (640, 360), (960, 540), (1280, 720))
DCVC_RT_SIZES: tuple[Size, ...] = ((160, 96), (320, 180), (480, 270))
"""Of `growth`. The paper's network takes seconds a frame on a CPU beyond these."""


class Opened(Protocol):
    """An engine with its weights loaded."""

    def encoder(self, *, width: int, height: int) -> FrameEncoder: ...

    def decoder(self, *, width: int, height: int) -> FrameDecoder: ...

    def modules(
        self, clip: Sequence[NDArray[np.uint8]], *, qp: int, frames: int, kinds: Sequence[FrameKind]
    ) -> list[NetworkCost]:
        """Both sides of these kinds of frame, module by module, from `frames` frames of a clip that is repeated."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """weights: shipped, published or synthetic. reason: why it cannot run here; None where it can. slow: seconds, not
    milliseconds a frame, so that it gets small pictures and few of them."""

    profile: ProfileName
    engine: str
    precision: str
    weights: str
    reason: str | None
    open: Callable[[], Opened]
    slow: bool = False
    device: str = "cpu"

    @property
    def name(self) -> str:
        kind = ", synthetic weights" if self.weights == "synthetic" else ""
        return f"{self.profile}, {self.engine} {self.precision}{kind}"

    @property
    def growth_sizes(self) -> tuple[Size, ...]:
        return DCVC_RT_SIZES if self.slow else NANO_SIZES


ENGINE_NAMES = ("onnx", "simd", "torch")


def choose_candidates(
    *,
    profiles: Sequence[str] = (),
    engines: Sequence[str] = (),
    checkpoints: tuple[Path | None, Path | None] = (None, None),
) -> list[Candidate]:
    """All of these profiles and engines, of every one where none is named.

    checkpoints: image and video, of `dcvc-rt`; synthetic weights stand in for them. Raises UserError.
    """
    for kind, names, known in (("profile", profiles, PROFILE_NAMES), ("engine", engines, ENGINE_NAMES)):
        for name in names:
            if name not in known:
                raise UserError(f"there is no {kind} {name!r} to measure; expected one of {', '.join(known)}.")
    found = [
        candidate
        for candidate in _all(_both(checkpoints))
        if (not profiles or candidate.profile in profiles) and (not engines or candidate.engine in engines)
    ]
    if not found:
        raise UserError("no profile has this engine: dcvc-rt runs in torch only.")
    return found


def _both(checkpoints: tuple[Path | None, Path | None]) -> tuple[Path, Path] | None:
    image, video = checkpoints
    if image is None and video is None:
        return None
    if image is None or video is None:
        raise UserError("dcvc-rt needs both checkpoints: give --weights-image and --weights-video, or neither.")
    return image, video


def _all(checkpoints: tuple[Path, Path] | None) -> list[Candidate]:
    no_torch = _torch_missing()
    weights = "synthetic" if checkpoints is None else "published"
    return [
        Candidate("nano", "simd", "bfloat16", "shipped", _simd_missing(), _open_simd),
        Candidate("nano", "onnx", "float32", "shipped", None, _open_onnx),
        Candidate("nano", "torch", "float32", "shipped", no_torch, _open_torch),
        Candidate("dcvc-rt", "torch", "float32", weights, no_torch, lambda: _open_dcvc_rt(checkpoints), slow=True),
    ]


def _torch_missing() -> str | None:
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed; add it with: pip install torch"
    return None


def _simd_missing() -> str | None:
    from codec.nano.simd.selftest import unavailable

    return unavailable()


def _open_onnx() -> Opened:
    from bench.speed.nano_onnx import NanoOnnx

    return NanoOnnx()


def _open_simd() -> Opened:
    from bench.speed.nano_simd import NanoSimd

    return NanoSimd()


def _open_torch() -> Opened:
    from bench.speed.torch_engines import NanoTorch

    return NanoTorch()


def _open_dcvc_rt(checkpoints: tuple[Path, Path] | None) -> Opened:
    from bench.speed.torch_engines import DcvcRtTorch

    return DcvcRtTorch(checkpoints)
