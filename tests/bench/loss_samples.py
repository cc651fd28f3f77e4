"""What the tests of `bench loss` share: a tiny film, codecs that note what they made, and a run of them."""

from pathlib import Path
from typing import Any

from bench.loss.film import Film, open_film
from bench.loss.nano_ends import NanoCoder, NanoViewer
from bench.loss.simulation import Conditions, Played, Repair, play
from bench.loss.x264_ends import X264Coder, X264Viewer
from codec.bitstream import CodedFrame
from codec.engine import FrameEncoder, Picture
from codec.layout import Layout
from codec.profiles import open_decoder, open_encoder
from codec.state import State
from tests.bench.rd_samples import write_clip

FPS = 30


def tiny_film(folder: Path, *, frames: int = 24) -> Film:
    """A textured gradient of 96x64 pixels, 30 a second."""
    # What is spooled has the name of the clip: never into the clip's own folder.
    spool = folder / "spool"
    spool.mkdir()
    return open_film(write_clip(folder, frames=12), spool, size=(96, 64), seconds=frames / FPS)


class NotedEncoder:
    """A `FrameEncoder` that keeps what went in and came out: (reference id, coded bytes) by frame id."""

    def __init__(self, encoder: FrameEncoder) -> None:
        self._encoder = encoder
        self.made: dict[int, tuple[int | None, bytes]] = {}

    @property
    def layout(self) -> Layout:
        return self._encoder.layout

    @property
    def timing(self) -> Any:
        return self._encoder.timing

    def encode(self, reference: State | None, planes: Picture, *, qp: int, frame_id: int) -> tuple[State, CodedFrame]:
        state, coded = self._encoder.encode(reference, planes, qp=qp, frame_id=frame_id)
        # A second try at another QP replaces the first.
        self.made[frame_id] = (None if reference is None else reference.id, coded.data)
        return state, coded


def conditions(
    *,
    loss: float,
    repair: Repair = "parity and NACK",
    seed: int = 1,
    rate_bps: float = 120_000,
    deadline_s: float = 0.25,
) -> Conditions:
    """A small rate, for a small picture."""
    return Conditions(loss=loss, rate_bps=rate_bps, repair=repair, seed=seed, deadline_s=0.25)


def play_nano(film: Film, link: Conditions) -> tuple[Played, NotedEncoder]:
    """What was seen, and what was coded."""
    encoder = NotedEncoder(open_encoder(width=film.width, height=film.height, device="cpu"))
    viewer = NanoViewer(open_decoder(width=film.width, height=film.height, device="cpu"))
    return play(film, NanoCoder(encoder, fps=film.fps), viewer, link), encoder


def play_x264(film: Film, link: Conditions, *, holds: bool = False) -> Played:
    """What was seen."""
    coder = X264Coder(width=film.width, height=film.height, fps=film.fps, max_bps=link.rate_bps)
    return play(film, coder, X264Viewer(holds=holds), link)
