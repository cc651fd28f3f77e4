"""The latency chart is read back: what is drawn must be in proportion to what was measured."""

import math
from pathlib import Path

import numpy as np
import pygame
import pytest
from numpy.typing import NDArray

from client.chart import FrameStages, latency_chart
from latentcast.errors import UserError

FIRST, SECOND = (119, 170, 221), (238, 136, 102)
"""Colours of the first two stages."""
RED = (194, 48, 48)


def steady(count: int, *, fps: float = 30.0, start_s: float = 100.0, **stages_ms: float) -> list[FrameStages]:
    return [FrameStages(presented_s=start_s + index / fps, stages_ms=stages_ms) for index in range(count)]


@pytest.fixture
def draw(tmp_path: Path) -> "Draw":
    return Draw(tmp_path / "chart.png")


class Draw:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, frames: list[FrameStages], *, title: str = "Latency", subtitle: str = "") -> NDArray[np.uint8]:
        """The chart's pixels, (height, width, 3)."""
        latency_chart(self.path, frames=frames, title=title, subtitle=subtitle)
        return pygame.surfarray.array3d(pygame.image.load(self.path)).swapaxes(0, 1)


def amount(page: NDArray[np.uint8], colour: tuple[int, int, int], *, column: int | None = None) -> int:
    """Pixels of this colour below the legend, in one column or all."""
    plot = page[115:, :] if column is None else page[115:, column : column + 1]
    return int(like(plot, colour).sum())


def like(pixels: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Where the pixels have this colour; averaging down costs it a code value or two."""
    return np.asarray(np.abs(pixels.astype(np.int16) - np.array(colour, np.int16)).max(axis=-1) <= 4)


def test_no_frames_is_said_and_not_drawn(draw: Draw) -> None:
    page = draw([])
    assert page.shape == (700, 1200, 3)
    assert page[330:370, 400:800].min() < 140
    assert amount(page, FIRST) == 0


def test_stages_are_stacked_in_proportion(draw: Draw) -> None:
    page = draw(steady(300, encode=20.0, network=40.0))
    heights = amount(page, FIRST, column=500), amount(page, SECOND, column=500)
    assert heights[0] > 60
    # The line of p50 covers a pixel or two at the top.
    assert heights[1] == pytest.approx(2 * heights[0], abs=4)
    column = page[115:, 500]
    assert np.flatnonzero(like(column, FIRST)).min() > np.flatnonzero(like(column, SECOND)).max()


def test_a_freeze_is_left_blank(draw: Draw) -> None:
    page = draw(steady(150, encode=50.0) + steady(150, start_s=110.0, encode=50.0))
    # 15 s in all: 0 to 5 shown, 5 to 10 frozen, 10 to 15 shown.
    assert amount(page, FIRST, column=240) > 100
    assert amount(page, FIRST, column=574) == 0
    assert amount(page, FIRST, column=900) > 100


def test_outliers_are_marked_and_do_not_flatten_the_rest(draw: Draw) -> None:
    frames = steady(400, encode=60.0)
    calm = draw(frames)
    assert amount(calm, RED) == 0
    frames[200] = FrameStages(presented_s=frames[200].presented_s, stages_ms={"encode": 6000.0})
    page = draw(frames)
    assert amount(page, RED) > 50
    assert amount(page, FIRST, column=300) > 0.8 * amount(calm, FIRST, column=300)


def test_crowded_columns_show_their_median_frame(draw: Draw) -> None:
    totals_ms = [(10.0, 60.0, 200.0)[index % 3] if index < 9000 else 120.0 for index in range(18_000)]
    page = draw([FrameStages(index / 30, {"encode": total}) for index, total in enumerate(totals_ms)])
    mixed, calm = amount(page, FIRST, column=300), amount(page, FIRST, column=800)
    assert calm > 100
    assert mixed / calm == pytest.approx(60 / 120, abs=0.06)


def test_time_starts_at_the_first_frame_whatever_the_order(draw: Draw) -> None:
    frames = steady(90, encode=20.0) + steady(60, start_s=103.0, encode=35.0)
    draw(frames)
    expected = draw.path.read_bytes()
    shifted = [FrameStages(frame.presented_s - 64.0, frame.stages_ms) for frame in frames]
    draw(shifted[::-1])
    assert draw.path.read_bytes() == expected


def test_frames_that_are_not_numbers_are_left_out(draw: Draw) -> None:
    frames = steady(30, encode=20.0)
    draw(frames)
    expected = draw.path.read_bytes()
    draw([*frames, FrameStages(101.5, {"encode": math.nan}), FrameStages(math.inf, {"encode": 20.0})])
    assert draw.path.read_bytes() == expected


@pytest.mark.parametrize(
    "frames",
    [
        steady(1, encode=20.0, network=40.0),
        steady(3, encode=20.0, network=40.0),
        steady(2, fps=math.inf, encode=20.0, network=40.0),
        [*steady(40, encode=20.0, network=40.0), *steady(40, start_s=102.0, encode=20.0)],
        steady(60, wait=0.0, encode=20.0, network=40.0),
    ],
    ids=["one frame", "three frames", "same moment", "stage missing", "stage of zero"],
)
def test_odd_measurements_are_drawn(draw: Draw, frames: list[FrameStages]) -> None:
    page = draw(frames)
    assert amount(page, SECOND) > 200


@pytest.mark.parametrize("stages_ms", [{"encode": 0.0}, {"encode": 1.0, "network": -3.0}, {}])
def test_totals_without_a_height_do_not_fail(draw: Draw, stages_ms: dict[str, float]) -> None:
    page = draw([FrameStages(index / 30, stages_ms) for index in range(40)])
    assert page[115:].min() < 100


def test_nothing_runs_off_the_page(draw: Draw) -> None:
    frames = [
        FrameStages(index / 30, {f"stage with a long name {stage}": 3.0 for stage in range(11)}) for index in range(40)
    ]
    page = draw(frames, title="long title " * 40, subtitle="long subtitle " * 40)
    assert page[:, -12:].min() > 240
    assert page[:, :12].min() > 240
    # Three rows of legend push the plot down; the row between them and the plot holds its caption only.
    assert (page[165, 300:1000] > 240).all()


def test_a_folder_that_is_missing_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot write"):
        latency_chart(tmp_path / "missing" / "chart.png", frames=[], title="", subtitle="")
