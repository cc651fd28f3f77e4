"""`latentcast encode` and `latentcast decode`: which profile's files, and with what.

The paper's profile is imported when it is asked for: it needs torch.
"""

from fractions import Fraction
from pathlib import Path
from typing import Any

from codec import files
from codec.files import Progress, Summary, profile_of
from codec.profiles import Device, PrecisionChoice, ProfileName, need_torch
from latentcast.errors import UserError

# `--streams`: whether a picture's payload is two streams side by side; None leaves it to the format.
STREAMS: dict[str, bool | None] = {"auto": None, "1": False, "2": True}


def encode(
    source: Path,
    target: Path,
    *,
    profile: ProfileName = "nano",
    qp: int,
    size: tuple[int, int] | None,
    frames: int | None,
    threads: int,
    precision: PrecisionChoice = "auto",
    device: Device = "cpu",
    weights_image: Path | None = None,
    weights_video: Path | None = None,
    skip_threshold: str = "0.12",
    intra_period: int = 0,
    reset_interval: int = 32,
    streams: str = "auto",
    progress: Progress,
) -> Summary:
    """Code a video into a file of `profile`; from `weights_image` on, for `dcvc-rt` only. Raises UserError."""
    common: dict[str, Any] = {"size": size, "frames": frames, "threads": threads, "progress": progress}
    if profile == "nano":
        if device != "cpu":
            raise UserError("files of nano are coded on the CPU; leave --device out.")
        if weights_image is not None or weights_video is not None:
            raise UserError("the profile nano brings its own weights; checkpoints are for --profile dcvc-rt.")
        return files.encode_file(source, target, qp=qp, precision=precision, **common)
    if profile != "dcvc-rt":
        raise UserError(f"there is no profile {profile!r}; expected nano or dcvc-rt.")
    if precision != "auto":
        raise UserError("--precision is of nano; dcvc-rt computes in float32 on a CPU and in float16 on a GPU.")
    if reset_interval == 1:
        raise UserError("a reset interval of 1 means no reset at all in this format; give 2 or more, or 0 for none.")
    if streams not in STREAMS:
        raise UserError(f"--streams is {streams!r}; expected one of {', '.join(STREAMS)}.")
    paper, models = _paper(weights_image, weights_video, skip_threshold, device)
    from codec.dcvc_rt.sequence import Schedule

    schedule = Schedule(qp, intra_period=intra_period, reset_interval=reset_interval)
    result: Summary = paper.encode_file(
        source, target, models=models, schedule=schedule, two_streams=STREAMS[streams], **common
    )
    return result


def decode(
    source: Path,
    target: Path,
    *,
    reference: Path | None,
    threads: int,
    device: Device = "cpu",
    weights_image: Path | None = None,
    weights_video: Path | None = None,
    skip_threshold: str = "0.12",
    fps: str = "30",
    chroma: str = "420",
    progress: Progress,
) -> Summary:
    """Decode a file of either profile, told apart by its first bytes; from `device` on, for `dcvc-rt` only.

    Raises UserError.
    """
    if profile_of(source) == "nano":
        return files.decode_file(source, target, reference=reference, threads=threads, progress=progress)
    if chroma not in ("420", "444"):
        raise UserError(f"--chroma is {chroma!r}; expected 420 or 444.")
    paper, models = _paper(weights_image, weights_video, skip_threshold, device)
    result: Summary = paper.decode_file(
        source,
        target,
        models=models,
        fps=_fps(fps),
        reference=reference,
        chroma=chroma,
        threads=threads,
        progress=progress,
    )
    return result


def _paper(image: Path | None, video: Path | None, skip_threshold: str, device: Device) -> tuple[Any, Any]:
    need_torch("the profile dcvc-rt")
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"there is no device {device!r}; expected auto, cpu or cuda.")
    import codec.dcvc_rt.files
    from codec.dcvc_rt.models import Models, parse_skip_threshold

    models = Models.open(image, video, skip_threshold=parse_skip_threshold(skip_threshold), device=device)
    return codec.dcvc_rt.files, models


def _fps(text: str) -> Fraction:
    try:
        fps = Fraction(text)
    except (ValueError, ZeroDivisionError):
        fps = Fraction(0)
    if not 0 < fps <= 1000:
        raise UserError(f"the frame rate {text!r} was not understood; write a number such as 25 or 30000/1001.")
    return fps
