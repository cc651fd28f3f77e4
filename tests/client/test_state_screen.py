"""The card that says why there is no picture: it fits, and keeps what matters when there is little room."""

from typing import get_args

import pygame
import pytest

from client.icons import Icon, paint_line_icon, paint_spinner
from client.state_screen import paint_state, state_colour, state_icon
from client.status import BUSY, Situation, ViewStatus

WINDOWS = [(160, 90), (320, 180), (160, 1200), (900, 120), (640, 360), (1280, 720), (3840, 2160)]
REASON = "The camera /dev/video0 was unplugged"
DETAIL = "The picture comes back by itself as soon as there is one"


def drawn(surface: pygame.Surface) -> int:
    """Pixels that are not transparent."""
    return int((pygame.surfarray.array_alpha(surface) > 0).sum())


@pytest.mark.parametrize("icon", get_args(Icon))
def test_every_icon_is_a_drawing_that_leaves_its_ground_free(icon: Icon) -> None:
    surface = paint_line_icon(icon, 48, (255, 255, 255))
    assert surface.get_size() == (48, 48)
    assert 0.03 < drawn(surface) / 48**2 < 0.75


def test_a_slash_leaves_a_gap_in_what_it_strikes_out() -> None:
    surface = paint_line_icon("screen", 96, (255, 255, 255))
    # Just beside the stroke, on the frame's upper edge, nothing is left.
    assert surface.get_at((32, 16)).a == 0


def test_the_ring_of_dots_fades_and_turns() -> None:
    ring = paint_spinner(64, (255, 255, 255))
    turned = pygame.transform.rotate(ring, -45)
    assert drawn(ring) > 60
    assert ring.get_at((32, 4)) != turned.get_at(turned.get_rect().center)
    brightness = [ring.get_at((32 + dx, 32 + dy)).a for dx, dy in ((0, -28), (28, 0), (0, 28), (-28, 0))]
    assert brightness == sorted(brightness)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("situation", get_args(Situation))
def test_the_card_fits_every_window(window: tuple[int, int], situation: Situation) -> None:
    card = paint_state(REASON, place=window, detail=DETAIL, situation=situation, source="webcam")
    assert card.surface.get_width() <= window[0]
    assert card.surface.get_height() <= window[1]
    if card.spinner is not None:
        assert situation in BUSY
        assert card.surface.get_rect().contains(card.spinner)


def test_little_room_takes_the_icon_first_and_the_detail_next() -> None:
    def heights(window: tuple[int, int]) -> list[int]:
        cards = [
            paint_state(REASON, place=window, detail=detail, situation=situation)
            for detail in (None, DETAIL)
            for situation in ("gone", "ended")
        ]
        return [card.surface.get_height() for card in cards]

    # Large: the ring of a busy state takes more room than a plain icon, and the detail is there.
    busy, plain, busy_detail, plain_detail = heights((1280, 720))
    assert busy > plain
    assert busy_detail - busy == plain_detail - plain > 20
    # A strip: words only.
    assert paint_state(REASON, place=(900, 90), detail=DETAIL, situation="gone").spinner is None
    # Hardly any: the title alone.
    assert len(set(heights((600, 60)))) == 1


def test_what_a_waiting_source_is_chooses_the_icon() -> None:
    assert state_icon("source", "webcam") == "camera"
    assert state_icon("source", "screen") == "screen"
    assert state_icon("source", "url") == "link"
    assert state_icon("source", "something new") == "film"
    assert state_icon("gone", "webcam") == "unplugged"


def test_every_situation_has_a_word_and_a_colour() -> None:
    words = {ViewStatus(reason="x", situation=situation).word for situation in get_args(Situation)}
    assert len(words) == len(get_args(Situation))
    assert ViewStatus(situation="gone").word == "live"
    assert all(len(state_colour(situation)) == 3 for situation in get_args(Situation))
