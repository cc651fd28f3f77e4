"""Badges, tabs and the help: that they fit, and what they say."""

from datetime import datetime

import numpy as np
import pygame
import pytest

from client.amounts import size_text, time_text
from client.badges import RED, Badge, paint_badges
from client.help_screen import paint_help
from client.keys import KEYS, SEVERAL_KEYS
from client.recorder import file_stem, outcome
from client.sinks import SinkStatus
from client.tabs import LIVE, Tab, bar_height, paint_caption, paint_tabs, tab_at

WINDOWS = [(160, 90), (320, 180), (160, 1200), (900, 120), (640, 360), (1280, 720)]
TABS = [
    Tab("door", "live", LIVE),
    Tab("a-camera-with-a-very-long-name-indeed", "reconnecting", RED),
    Tab("x", "live", LIVE),
]


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (999_499, "999 kB"), (1_234_567, "1.2 MB"), (99_600_000, "100 MB")],
)
def test_sizes(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


def test_large_sizes_and_times() -> None:
    assert size_text(1_230_000_000) == "1.23 GB"
    assert [time_text(seconds) for seconds in (0, 59.9, 61, 3600, 36_061)] == [
        "0:00",
        "0:59",
        "1:01",
        "1:00:00",
        "10:01:01",
    ]


def test_names_of_files_mean_nothing_to_a_file_system() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5)
    assert file_stem("../lab 1/cam", now) == "lab-1-cam-20260102-030405"
    assert file_stem("..", now) == "latentcast-20260102-030405"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (SinkStatus("a.mp4", "done", 30, 0, 61.2, 2_000_000, None), "a.mp4: 30 pictures, 1:01, 2.0 MB"),
        (
            SinkStatus("a.mp4", "done", 30, 4, 1.0, 2_000, None),
            "a.mp4: 30 pictures, 0:01, 2 kB, 4 pictures left out (too slow)",
        ),
        (SinkStatus("virtual camera", "done", 30, 0, 1.0, None, None), "virtual camera: 30 pictures, 0:01"),
        (SinkStatus("a.mp4", "done", 0, 0, 0.0, 0, None), "a.mp4: no picture came"),
        (
            SinkStatus("a.mp4", "failed", 9, 0, 1.0, 5, "The disk is full."),
            "The disk is full. 9 pictures were written.",
        ),
    ],
)
def test_how_a_sink_ended_in_one_line(status: SinkStatus, text: str) -> None:
    assert outcome(status) == text


@pytest.mark.parametrize("window", WINDOWS)
def test_badges_take_half_the_width_at_most_where_signs_alone_do(window: tuple[int, int]) -> None:
    badges = [Badge("muted"), Badge("pause", "Paused"), Badge("record", "1:23:45  123 MB", RED)]
    row = paint_badges(badges, window)
    assert row.get_width() <= max(window[0] // 2, 3 * row.get_height() + 40)
    pixels = pygame.surfarray.array3d(row)
    assert (np.abs(pixels.astype(int) - RED).max(axis=2) < 12).sum() > 10, "the red dot"


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("scale", [1.0, 2.0])
def test_help_fits_every_window(window: tuple[int, int], scale: float) -> None:
    surface = paint_help(KEYS + SEVERAL_KEYS, window, scale)
    assert surface.get_width() <= window[0]
    assert surface.get_height() <= window[1]


@pytest.mark.parametrize("window", WINDOWS)
def test_the_bar_of_tabs_is_as_wide_as_the_window(window: tuple[int, int]) -> None:
    bar = paint_tabs(TABS, 1, window)
    assert bar.get_size() == (window[0], bar_height(window))
    caption = paint_caption(TABS[1], 2, window)
    assert caption.get_width() <= window[0]


def test_every_tab_is_found_where_it_is_drawn() -> None:
    window = (900, 500)
    bar = pygame.surfarray.array3d(paint_tabs(TABS, 1, window))
    marked = np.flatnonzero((bar[:, -1] == RED).all(axis=1))
    assert {tab_at(int(x), 3, window) for x in marked} == {1}
    assert tab_at(0, 3, window) == 0
    assert tab_at(899, 3, window) is None
    assert tab_at(310, 3, (320, 180)) == 2
