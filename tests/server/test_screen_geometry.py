"""From a share of the picture to a pixel of the screen, and back to where that pixel is shown."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.sources.screen_geometry import ScreenGeometry, clip

SIDES = st.integers(64, 1920).map(lambda side: side & ~1)
REGIONS = st.tuples(st.integers(0, 4000), st.integers(0, 4000), st.integers(2, 4000), st.integers(2, 4000))
ANYWHERE = st.floats(-1e9, 1e9)


@given(size=st.tuples(SIDES, SIDES), region=REGIONS, x=ANYWHERE, y=ANYWHERE)
def test_no_point_leads_out_of_the_region(
    size: tuple[int, int], region: tuple[int, int, int, int], x: float, y: float
) -> None:
    column, row = ScreenGeometry(size, region).to_screen(x, y)
    assert region[0] <= column < region[0] + region[2]
    assert region[1] <= row < region[1] + region[3]


@given(size=st.tuples(SIDES, SIDES), region=REGIONS, across=st.floats(0, 0.999), down=st.floats(0, 0.999))
def test_a_pixel_is_found_where_it_is_shown(
    size: tuple[int, int], region: tuple[int, int, int, int], across: float, down: float
) -> None:
    geometry = ScreenGeometry(size, region)
    left, top, width, height = geometry.rectangle
    wanted = region[0] + math.floor(across * region[2]), region[1] + math.floor(down * region[3])
    # The middle of the pixel, in the picture.
    x = (left + (wanted[0] - region[0] + 0.5) / region[2] * width) / size[0]
    y = (top + (wanted[1] - region[1] + 0.5) / region[3] * height) / size[1]
    assert geometry.to_screen(x, y) == wanted


def test_the_border_of_the_picture_is_taken_out() -> None:
    geometry = ScreenGeometry((192, 128), (100, 50, 640, 360))
    assert geometry.rectangle == (0, 10, 192, 108)
    assert geometry.to_screen(0.5, 0.5) == (420, 230)
    assert geometry.to_screen(0.0, 0.0) == geometry.to_screen(0.0, 9 / 128) == (100, 50)
    assert geometry.to_screen(1.0, 1.0) == (739, 409)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_what_is_no_place_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="no place"):
        ScreenGeometry((640, 360), (0, 0, 640, 360)).to_screen(0.5, wrong)


def test_a_region_is_cut_at_the_edges_of_the_screen() -> None:
    assert clip((-10, 20, 30, 1000), (640, 360)) == (0, 20, 20, 340)
    assert clip((639, 0, 100, 100), (640, 360)) is None
    assert clip((638, 0, 100, 100), (640, 360)) == (638, 0, 2, 100)
