"""From words on the command line to codecs, and to the anchor among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.rd import anchor as published
from bench.rd.coding import RateDistortionCodec
from bench.rd.conventional import ENCODERS, ConventionalCodec
from bench.rd.external import ExternalCodec
from bench.rd.neural import ProfileCodec
from codec.profiles import Device, Profile
from latentcast.errors import UserError

PROFILES: dict[str, Profile] = {
    "nano": Profile(name="nano", device="cpu", precision="float32"),
    "nano:bfloat16": Profile(name="nano", device="cpu", precision="bfloat16"),
}
"""By the name on the command line. Precisions are named, so that the figures do not depend on the machine."""

PAPER = "dcvc-rt"
"""The profile that needs checkpoints."""

NOTHING = "none"
"""As the only profile or codec: leave them out."""


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """What the profile dcvc-rt is made of, and where it runs."""

    image: Path | None = None
    video: Path | None = None
    device: Device = "cpu"


NO_CHECKPOINTS = Checkpoints()


def choose_codecs(
    *,
    profiles: Sequence[str],
    codecs: Sequence[str],
    externals: Sequence[Path],
    points: tuple[int, ...] | None,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
) -> tuple[list[RateDistortionCodec], list[str]]:
    """Every codec to measure, ours first, and why any is missing.

    profiles: names. codecs: `NAME[:PRESET][@POINT,POINT,...]`. points: base QPs of the profiles. Raises UserError.
    """
    chosen: list[RateDistortionCodec] = []
    missing = []
    for name in _without_nothing(profiles):
        if name == PAPER:
            chosen.append(_paper(checkpoints, points))
        elif name in PROFILES:
            chosen.append(ProfileCodec(PROFILES[name], points=points))
        else:
            raise UserError(f"there is no profile {name!r}; expected one of {', '.join((*PROFILES, PAPER))}, or none.")
    for text in _without_nothing(codecs):
        codec = parse_codec(text)
        if reason := codec.unavailable():
            missing.append(f"{codec.name} was left out: {reason}")
        else:
            chosen.append(codec)
    chosen += [ExternalCodec(path) for path in externals]
    names = [codec.name for codec in chosen]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise UserError(f"{min(doubled)} was asked for twice; give every codec once.")
    if not chosen:
        raise UserError(f"there is nothing to measure. {' '.join(missing)}".rstrip())
    return chosen, missing


def _paper(checkpoints: Checkpoints, points: tuple[int, ...] | None) -> RateDistortionCodec:
    # torch, which only this profile needs, is imported when it is asked for.
    from bench.rd.paper import PaperCodec
    from codec.dcvc_rt.models import Models

    models = Models.open(checkpoints.image, checkpoints.video, skip_threshold=None, device=checkpoints.device)
    return PaperCodec(models, points=points)


def parse_codec(text: str) -> ConventionalCodec:
    """`x264`, `x264:medium`, `x264:medium@22,27,32,37`. Raises UserError."""
    head, at, tail = text.partition("@")
    name, colon, preset = head.partition(":")
    if name not in ENCODERS or (colon and not preset):
        raise UserError(f"there is no codec {head!r}; expected one of {', '.join(ENCODERS)}, or NAME:PRESET, or none.")
    return ConventionalCodec(name, preset=preset or None, points=parse_points(tail) if at else None)


def parse_points(text: str) -> tuple[int, ...]:
    """`22,27,32,37`: two or more different whole numbers. Raises UserError."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) < 5 for word in words):
        raise UserError(f"the points {text!r} were not understood; write whole numbers such as 22,27,32,37.")
    points = tuple(int(word) for word in words)
    if len(set(points)) != len(points):
        raise UserError(f"the points {text!r} name one twice.")
    return points


def choose_anchor(codecs: Sequence[RateDistortionCodec], text: str | None) -> str:
    """Name of the anchor: the codec that `text` (`x264`, `x264:medium`, `vtm`, part of a name) names.

    Without a text the first x264, else the first codec. Raises UserError where it names none or several.
    """
    names = [codec.name for codec in codecs]
    if text is None:
        return next((name for name in names if name.startswith("x264 ")), names[0])
    wanted = text.casefold().replace(":", " ").strip()
    known = [*names, published.NAME]
    exact = [name for name in known if name.casefold() == wanted]
    found = exact or [name for name in known if wanted and wanted in name.casefold()]
    if len(found) != 1:
        raise UserError(
            f"the anchor {text!r} names {'none' if not found else 'several'} of the codecs; expected one of "
            f"{', '.join(found or known)}."
        )
    return found[0]


def _without_nothing(names: Sequence[str]) -> Sequence[str]:
    return () if list(names) == [NOTHING] else names
