"""Recordings of frame sizes: what is shipped is whole, and what is made of it is continuous."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest

from bench.network import record
from bench.network.recording import FOLDER, PARTS, Recording, worth
from codec.state import State

ALL = sorted(FOLDER.glob("show-*.json"))


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording.load(width=480, height=272)


def test_the_shipped_recordings_are_small_and_of_every_size() -> None:
    assert {path.name for path in ALL} == {f"show-{width}x{height}.json" for width, height in record.SIZES}
    assert sum(path.stat().st_size for path in ALL) < 1_000_000


@pytest.mark.parametrize("size", record.SIZES)
def test_better_quality_costs_more(size: tuple[int, int]) -> None:
    recording = Recording.load(width=size[0], height=size[1])
    for part in PARTS:
        frame = recording.parts[part].start + 15
        for sizes in (
            [recording.inter_bytes(frame, qp=qp)[0] for qp in (16, 32, 48, 71)],
            [recording.intra_bytes(frame, qp=qp)[0] for qp in (0, 16, 32, 48, 63)],
        ):
            assert sizes == sorted(sizes)
            assert sizes[0] < sizes[-1]


def test_a_head_is_part_of_its_frame(recording: Recording) -> None:
    for frame in range(recording.frames):
        for qp in (0, 40, 71):
            size, head = recording.inter_bytes(frame, qp=qp, age=8, held=71.0)
            assert 20 < head < size
        size, head = recording.intra_bytes(frame, qp=63)
        assert 20 < head < size


def test_between_recorded_rows_sizes_lie_between(recording: Recording) -> None:
    for low, high in pairwise(record.QPS):
        ends = [recording.inter_bytes(40, qp=qp)[0] for qp in (low, high)]
        middle = recording.inter_bytes(40, qp=(low + high) // 2)[0]
        assert min(ends) - 1 <= middle <= max(ends) + 1


def test_older_references_cost_more_where_things_move(recording: Recording) -> None:
    for part in ("signing", "water", "flower"):
        programme = recording.play((part, 1))
        by_age = [
            sum(programme.frame_bytes(index, qp=32, intra=False, age=age)[0] for index in range(30))
            for age in (1, 2, 4, 8, 16)
        ]
        assert by_age == sorted(by_age)
        assert by_age[3] > 1.2 * by_age[0]


def test_a_part_plays_back_and_forth_without_a_cut(recording: Recording) -> None:
    for part in PARTS:
        programme = recording.play((part, 1))
        frames = [programme.frame(index) for index in range(500)]
        assert max(abs(later - earlier) for earlier, later in pairwise(frames)) <= 1
        bounds = recording.parts[part]
        assert min(frames) == bounds.start + 8
        assert max(frames) == bounds.stop - 1


def test_entering_a_part_costs_a_cut_once(recording: Recording) -> None:
    programme = recording.play(("static", 100), ("water", 100), ("signing", 100))
    for cut in (100, 200):
        sizes = [programme.frame_bytes(index, qp=32, intra=False)[0] for index in range(cut - 5, cut + 40)]
        settled = sum(sizes[20:]) / len(sizes[20:])
        assert sizes[5] > 2.5 * settled
        assert max(sizes[6:]) < sizes[5]
        old = programme.frame_bytes(cut + 12, qp=32, intra=False, age=16)[0]
        assert old >= sizes[5], "a reference from before the cut"


def test_a_frame_above_its_reference_costs_more(recording: Recording) -> None:
    frame = recording.parts["water"].start + 20
    sizes = [recording.inter_bytes(frame, qp=40, held=held)[0] for held in (60.0, 48.0, 40.0, 36.0, 30.0)]
    assert sizes == sorted(sizes)
    assert sizes[2] == recording.inter_bytes(frame, qp=40)[0]
    assert sizes[0] < 0.8 * sizes[2]


def test_the_worth_of_states_follows_their_rows(recording: Recording) -> None:
    assert worth(None, 20) == 20
    assert worth(40.0, 40) == 40
    assert 40 < worth(40.0, 60) <= 60
    assert 20 < worth(40.0, 20) < 40
    programme = recording.play(("flower", 50), ("water", 50))
    assert programme.worth(50, held=60.0, qp=20, intra=False) is None, "nothing of before the cut is left"
    assert programme.worth(60, held=60.0, qp=20, intra=False, age=20) == 20
    assert programme.worth(50, held=60.0, qp=20, intra=True) == 20


def test_sizes_that_were_not_recorded_are_scaled() -> None:
    small, large = (Recording.load(width=width, height=height) for width, height in ((480, 272), (500, 300)))
    ratio = large.inter_bytes(30, qp=40)[0] / small.inter_bytes(30, qp=40)[0]
    assert 1 < ratio < 500 * 300 / (480 * 272)
    assert (large.width, large.height) == (500, 300)


def test_mistakes_are_named(tmp_path: Path) -> None:
    recording = Recording.load(width=480, height=272)
    for parts in ((), (("forest", 10),), (("water", 0),)):
        with pytest.raises(ValueError, match="a programme needs parts"):
            recording.play(*parts)
    with pytest.raises(ValueError, match="there is no recording"):
        Recording.load(width=480, height=272, folder=tmp_path)
    with pytest.raises(ValueError, match="format 1"):
        Recording({"format": 1})


class _Codec:
    """Sizes that follow from picture, QP and age: fast, and known."""

    def encode(self, reference: State | None, planes: object, *, qp: int, frame_id: int) -> tuple[State, object]:
        class Coded:
            data = bytes(round(100 * math.exp(0.05 * qp)) * (2 if reference is None else 1))
            slice_offsets = (30,)

        return State(frame_id, None), Coded()


def test_what_is_recorded_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Opened:
        def encoder(self, **_: object) -> _Codec:
            return _Codec()

    monkeypatch.setattr(record, "open_codec", Opened)
    record.record_all(Path("assets"), tmp_path, sizes=[(64, 64)])
    read = Recording.load(width=64, height=64, folder=tmp_path)
    assert read.inter_bytes(20, qp=32, age=4, held=50.0)[0] == pytest.approx(100 * math.exp(1.6), abs=2)
    assert read.intra_bytes(20, qp=32)[0] == pytest.approx(200 * math.exp(1.6), abs=2)
    assert json.loads((tmp_path / "show-64x64.json").read_text())["ages"] == list(record.AGES)
