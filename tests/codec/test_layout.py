"""Sizes that follow from the picture's, and the quality cycle."""

import pytest

from codec.layout import Layout
from codec.quality_cycle import LENGTH, inter_row
from latentcast.errors import UserError


@pytest.mark.parametrize(
    ("size", "padded", "latents", "hyper", "state"),
    [
        ((64, 64), (64, 64), (4, 4), (1, 1), (8, 8)),
        ((65, 67), (80, 80), (5, 5), (2, 2), (10, 10)),
        ((150, 90), (160, 96), (6, 10), (2, 3), (12, 20)),
        ((641, 361), (656, 368), (23, 41), (6, 11), (46, 82)),
        ((1920, 1080), (1920, 1088), (68, 120), (17, 30), (136, 240)),
    ],
)
def test_every_size_follows_from_the_pictures(
    size: tuple[int, int],
    padded: tuple[int, int],
    latents: tuple[int, int],
    hyper: tuple[int, int],
    state: tuple[int, int],
) -> None:
    layout = Layout(*size)
    assert (layout.padded_width, layout.padded_height) == padded
    assert layout.latent_shape == latents
    assert layout.positions == latents[0] * latents[1]
    assert layout.hyper_shape == hyper
    assert layout.state_size == state


@pytest.mark.parametrize("size", [(63, 64), (64, 63), (1921, 1088), (1920, 1089), (0, 64), (64, -1)])
def test_sizes_out_of_range_are_one_sentence(size: tuple[int, int]) -> None:
    with pytest.raises(UserError) as caught:
        Layout(*size)
    message = str(caught.value)
    assert f"{size[0]}x{size[1]}" in message
    assert "64x64" in message
    assert "1920x1088" in message
    assert "\n" not in message


def test_quality_cycle_offsets() -> None:
    assert [inter_row(20, position) for position in range(9)] == [20, 28, 20, 24, 20, 24, 20, 24, 20]
    assert inter_row(63, 8 * LENGTH + 1) == 71


@pytest.mark.parametrize("base", [-1, 64])
def test_a_base_qp_out_of_range_is_refused(base: int) -> None:
    with pytest.raises(ValueError, match=r"outside 0\.\.63"):
        inter_row(base, 0)
