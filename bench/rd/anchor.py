"""The published VTM-17.0 anchor: what the authors of DCVC-RT measured every figure of theirs against.

`bench/data/vtm17_low_delay_b_anchor.csv` holds their results per sequence and QP: VTM-17.0, low delay B, one intra
frame, all frames of UVG, MCL-JCV and HEVC classes B to E as 8-bit 4:2:0; bits per pixel, PSNR of (6Y + U + V) / 8, Y, U
and V, averaged over frames. Its MS-SSIM is kept in the file but not compared: how it was defined is not published.
"""

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from bench.rd.clips import Clip

CSV_PATH = Path(__file__).resolve().parent.parent / "data" / "vtm17_low_delay_b_anchor.csv"

NAME = "VTM-17.0 (published)"
SETTINGS = "low delay B, one intra frame, all frames; published by the authors of DCVC-RT, not measured here"


@dataclass(frozen=True, slots=True)
class AnchorPoint:
    """One coded sequence. PSNR in dB."""

    qp: int
    bits_per_pixel: float
    psnr_611: float
    psnr_y: float
    psnr_u: float
    psnr_v: float
    ms_ssim: float


@dataclass(frozen=True, slots=True)
class AnchorSequence:
    """One test sequence with its points, lowest QP first."""

    dataset: str
    name: str
    pixels_per_frame: int
    frames: int
    points: tuple[AnchorPoint, ...]

    def caveat(self, clip: Clip) -> str | None:
        """What keeps `clip` from being the same material, or None."""
        if clip.frames != self.frames:
            return f"the published curve is over {self.frames} frames, {clip.frames} were measured here"
        return None


@lru_cache
def load_anchor() -> dict[str, AnchorSequence]:
    """All sequences by the stem of their file name, lower case."""
    points: dict[str, list[AnchorPoint]] = {}
    heads: dict[str, tuple[str, str, int, int]] = {}
    with CSV_PATH.open(newline="") as file:
        for row in csv.DictReader(file):
            key = Path(row["sequence"]).stem.lower()
            heads[key] = row["dataset"], row["sequence"], int(row["pixels_per_frame"]), int(row["frames"])
            figures = (float(row[name]) for name in ("bpp", "psnr_6_1_1", "psnr_y", "psnr_u", "psnr_v", "ms_ssim"))
            points.setdefault(key, []).append(AnchorPoint(int(row["qp"]), *figures))
    return {
        key: AnchorSequence(*head, tuple(sorted(points[key], key=lambda point: point.qp)))
        for key, head in heads.items()
    }


def find_sequence(clip: Clip) -> AnchorSequence | None:
    """The published sequence that a clip's file is, by name; None too for a clip that was shrunk."""
    if clip.source.suffix.lower() not in (".yuv", ".y4m"):
        return None  # compressed in between: other material under the same name
    sequence = load_anchor().get(clip.source.stem.lower())
    if sequence is None or sequence.pixels_per_frame != clip.width * clip.height:
        return None
    return sequence
