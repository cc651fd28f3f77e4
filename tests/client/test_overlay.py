"""What the panel says, and that it fits."""

import numpy as np
import pygame
import pytest

from client.overlay import (
    Lettering,
    balance_text,
    paint_panel,
    paint_toast,
    panel_rows,
    text_size_px,
    wrap_text,
)
from client.status import ViewStatus

PLAYING = ViewStatus(
    fps=29.94,
    bitrate_bps=412_300,
    qp=31,
    loss=0.0042,
    latency_ms=82.3,
    rtt_ms=4.21,
    clock_error_ms=1.24,
    size=(640, 360),
    stream="camera",
)


def test_numbers_carry_their_units() -> None:
    assert panel_rows(PLAYING) == [
        ("fps", "29.9"),
        ("bitrate", "412 kbit/s"),
        ("QP", "31"),
        ("loss", "0.4 %"),
        ("latency p50", "82 ± 1.2 ms"),
        ("RTT", "4.2 ms"),
        ("size", "640x360"),
    ]


def test_what_is_not_known_is_not_a_zero() -> None:
    rows = dict(panel_rows(ViewStatus(reason="Connecting")))
    assert [rows[label] for label in ("QP", "latency p50", "RTT", "size")] == ["-"] * 4


@pytest.mark.parametrize(
    ("bitrate_bps", "text"),
    [(0, "0 kbit/s"), (999_499, "999 kbit/s"), (999_500, "1.00 Mbit/s"), (12_345_678, "12.35 Mbit/s")],
)
def test_bitrate_never_shows_a_thousand_of_the_smaller_unit(bitrate_bps: float, text: str) -> None:
    assert dict(panel_rows(ViewStatus(bitrate_bps=bitrate_bps)))["bitrate"] == text


def test_latency_without_a_clock_error_claims_none() -> None:
    assert dict(panel_rows(ViewStatus(latency_ms=82.3)))["latency p50"] == "82 ms"


def test_the_panel_keeps_its_width_while_numbers_change() -> None:
    busy = ViewStatus(fps=60, bitrate_bps=2_340_000, qp=5, loss=0.1, latency_ms=9, size=(1920, 1080), stream="camera")
    window = (1280, 720)
    assert paint_panel(busy, window).get_size() == paint_panel(PLAYING, window).get_size()


@pytest.mark.parametrize(
    "window", [(160, 90), (320, 180), (160, 1200), (900, 120), (640, 360), (1920, 1080), (3840, 2160)]
)
def test_everything_fits_every_window_and_stays_legible(window: tuple[int, int]) -> None:
    reason = "Connecting to http://a-long-host-name.example:8080/v1/streams/camera/whep (try 3, next in 2 s)"
    for surface in (paint_panel(PLAYING, window), paint_toast(reason, window)):
        assert surface.get_width() <= window[0]
    assert paint_panel(PLAYING, window).get_height() <= window[1]
    assert text_size_px(window) >= 16


def test_a_small_window_gets_one_line_that_names_what_it_shows() -> None:
    line, table = paint_panel(PLAYING, (900, 120)), paint_panel(PLAYING, (1280, 720))
    assert line.get_height() < 3 * Lettering(text_size_px((900, 120))).line_px
    assert line.get_width() > line.get_height() * 4
    assert table.get_height() > line.get_height() * 3


def test_the_panel_lets_the_picture_through_between_letters() -> None:
    alpha = pygame.surfarray.array_alpha(paint_panel(PLAYING, (1280, 720)))
    values, counts = np.unique(alpha, return_counts=True)
    assert 120 < values[counts.argmax()] < 230
    assert alpha.max() == 255


def test_text_wraps_at_spaces_and_inside_a_word_too_long_for_a_line() -> None:
    lettering = Lettering(20)
    width = lettering.width("wide enough")
    assert wrap_text("wide enough for two", lettering, width) == ["wide enough", "for two"]
    pieces = wrap_text("x" * 300, lettering, width)
    assert "".join(pieces) == "x" * 300
    assert all(lettering.width(piece) <= width for piece in pieces)
    assert wrap_text("ab", lettering, 1) == ["a", "b"]
    assert wrap_text("", lettering, width) == []


def test_balanced_lines_leave_no_widow() -> None:
    lettering = Lettering(20)
    text = "one two three four five six seven eight nine ten"
    width = lettering.width("one two three four five six seven eight nine")
    assert wrap_text(text, lettering, width)[1] == "ten"
    first, second = balance_text(text, lettering, width)
    assert f"{first} {second}" == text
    assert lettering.width(second) > lettering.width(first) // 2
