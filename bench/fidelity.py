"""`latentcast bench fidelity`: does the network path lose anything?

Takes the frames.csv of `latentcast demo --source VIDEO --psnr` (frame ids, QPs, intra or not, PSNR as presented), codes
the same pictures at the same QPs with plain encode and decode, and compares the two PSNRs frame by frame.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from codec.colour import psnr_y
from codec.files import pictures
from codec.profiles import open_decoder, open_encoder
from codec.state import State
from codec.video_io import VideoReader
from latentcast.errors import UserError
from latentcast.report import read_report


@dataclass(frozen=True, slots=True)
class Row:
    """One presented frame of the demo."""

    frame: int
    qp: int
    intra: bool
    psnr_y_db: float


def read_rows(path: Path) -> list[Row]:
    """Frames with a PSNR, in order. Raises UserError when there are none."""
    try:
        with path.open(newline="") as file:
            rows = [
                Row(int(line["frame"]), int(line["qp"]), line["intra"] == "1", float(line["psnr_y_db"]))
                for line in csv.DictReader(file)
                if line["psnr_y_db"]
            ]
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path} cannot be read as frames of a demo ({error}); run the demo with --psnr.") from error
    if not rows:
        raise UserError(f"{path} holds no PSNR; run the demo with --psnr.")
    return rows


def offline_psnr(rows: list[Row], clip: list[NDArray[np.uint8]]) -> list[float]:
    """PSNR-Y of the same pictures coded at the same QPs. The source loops, so frame n shows picture n modulo length."""
    _, height, width = clip[0].shape
    encoder = open_encoder(width=width, height=height)
    decoder = open_decoder(width=width, height=height)
    coded: State | None = None
    decoded: State | None = None
    out = []
    for row in rows:
        planes = clip[row.frame % len(clip)]
        if row.intra:
            coded = decoded = None
        coded, frame = encoder.encode(coded, planes, qp=row.qp, frame_id=row.frame)
        decoded, picture = decoder.decode(decoded, frame.data, frame_id=row.frame)
        out.append(psnr_y(planes, picture.planes))
    return out


def run(*, report: Path, source: Path) -> None:
    """Compare and print."""
    rows = read_rows(report / "frames.csv")
    size = read_report(report / "report.json")
    with VideoReader(source) as reader:
        clip = list(pictures(reader, size.width, size.height))
    offline = offline_psnr(rows, clip)
    presented = [row.psnr_y_db for row in rows]
    difference = float(np.mean(presented) - np.mean(offline))
    worst = max(abs(a - b) for a, b in zip(presented, offline, strict=True))
    Console().print(
        f"{len(rows)} frames: presented {np.mean(presented):.3f} dB, coded as a file {np.mean(offline):.3f} dB, "
        f"difference {difference:+.3f} dB (largest of one frame {worst:.3f} dB)",
        highlight=False,
    )
