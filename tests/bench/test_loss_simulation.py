"""One film through one link: lossless is plain coding, parity repairs, loss makes a softer or a frozen picture."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.loss.film import Film
from bench.loss.quality import watch
from bench.loss.simulation import Played, play
from bench.loss.x264_ends import X264Coder, X264Viewer
from codec.profiles import open_decoder
from codec.state import State
from tests.bench.loss_samples import NotedEncoder, conditions, play_nano, play_x264, tiny_film
from transport.fec import Protection


@pytest.fixture
def film(tmp_path: Path) -> Film:
    return tiny_film(tmp_path)


def plain(film: Film, encoder: NotedEncoder) -> dict[int, NDArray[np.uint8]]:
    """Every coded frame, decoded in order from whole bytes and whole states."""
    decoder = open_decoder(width=film.width, height=film.height, device="cpu")
    states: dict[int | None, State | None] = {None: None}
    lumas = {}
    for number, (reference, data) in encoder.made.items():
        states[number], frame = decoder.decode(states[reference], data, frame_id=number)
        lumas[number] = frame.planes[0]
    return lumas


def in_time(film: Film, played: Played) -> list[bool]:
    return list(watch(film, played.seen, deadline_s=0.25, skipped=0).in_time)


def test_without_loss_nano_shows_what_plain_coding_gives(film: Film) -> None:
    played, encoder = play_nano(film, conditions(loss=0))
    lumas = plain(film, encoder)
    assert played.intra_frames == 1
    assert all(in_time(film, played))
    assert all(np.array_equal(seen.luma, lumas[seen.frame_id]) for seen in played.seen)
    assert played.parity_bytes == played.resent_bytes == 0


def test_without_loss_x264_shows_every_picture_well(film: Film) -> None:
    for holds in (False, True):
        played = play_x264(film, conditions(loss=0), holds=holds)
        assert all(in_time(film, played))
        assert played.intra_frames == 1
        assert min(watch(film, played.seen, deadline_s=0.25, skipped=0).psnr_y) > 30


def test_parity_enough_for_every_loss_leaves_nothing_to_see(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    def three_copies(data_count: int, head_count: int, **measured: float) -> Protection:
        return Protection(parity=2 * data_count, head_parity=0)

    monkeypatch.setattr("transport.sender.choose_protection", three_copies)
    played, encoder = play_nano(film, conditions(loss=0.1, repair="parity only", rate_bps=600_000))
    lumas = plain(film, encoder)
    assert played.packets > 2 * film.frames
    assert played.parity_bytes > played.bytes / 2
    assert all(in_time(film, played))
    assert all(np.array_equal(seen.luma, lumas[seen.frame_id]) for seen in played.seen)
    # An IDR picture is only made when damage is reported.
    other = play_x264(film, conditions(loss=0.1, repair="parity only", rate_bps=600_000), holds=True)
    assert other.packets > 40
    assert other.intra_frames == 1


def test_packets_are_sent_again_only_where_nacks_are_answered(film: Film) -> None:
    assert play_nano(film, conditions(loss=0.2))[0].resent_bytes > 0
    assert play_nano(film, conditions(loss=0.2, repair="parity only"))[0].resent_bytes == 0


def test_without_repair_there_is_no_parity(film: Film) -> None:
    played, _ = play_nano(film, conditions(loss=0.2, repair="none"))
    assert played.parity_bytes == played.resent_bytes == 0


def test_parity_follows_the_loss_that_is_measured(tmp_path: Path) -> None:
    film = tiny_film(tmp_path, frames=60)
    assert play_x264(film, conditions(loss=0.2, repair="parity only")).parity_bytes > 0
    assert play_x264(film, conditions(loss=0, repair="parity only")).parity_bytes == 0


def test_the_same_seed_meets_the_same_fate_and_another_one_another(film: Film) -> None:
    def fate(seed: int) -> list[tuple[int, float]]:
        played, _ = play_nano(film, conditions(loss=0.2, repair="parity only", seed=seed))
        return [(seen.frame_id, seen.decoded_s) for seen in played.seen]

    first = fate(1)
    assert first == fate(1)
    assert first != fate(2)


def test_what_is_skipped_is_not_counted(film: Film) -> None:
    def bytes_after(skipped: int) -> int:
        coder = X264Coder(width=96, height=64, fps=film.fps, max_bps=120_000)
        return play(film, coder, X264Viewer(holds=False), conditions(loss=0), skipped=skipped).bytes

    assert 0 < bytes_after(12) < bytes_after(0)
