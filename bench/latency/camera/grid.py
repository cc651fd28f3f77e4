"""A strip of cells in perspective: how well a guess of its place fits a photograph, and how to better the guess.

A guess is nine numbers: the ends of the strip's middle line, how much larger its cells become from left to right, and
at either end the vector from the middle line to the lower edge. That is a homography with one number too many; with
only two or four rows the spare one does no harm, and each number means something by itself, which makes searching easy.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from latentcast.barcode import Layout

Grey = NDArray[np.float32]
Guesses = NDArray[np.float64]
"""(n, 9): left x, y; right x, y; growth; lower edge from the middle line at the left x, y, and at the right x, y."""

_RIM: Final = 2
"""Black cells beside the used ones that count too, where the layout has so many."""
_POINTS: Final = (-0.22, 0.22)
"""Where inside a cell it is looked at, in cells from its middle, both ways."""
_GLANCE: Final = (0.0,)
"""The same for the many first guesses."""
_GLANCED: Final = 48
"""Of these, so many are looked at properly."""
CANONICAL_CELL: Final = 8
"""Pixels of a cell after rectification."""
_ROUNDS: Final = 14
_KEPT: Final = 6
"""Guesses that are bettered, of all that were tried."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A guess and how good it is: the distance of black and white over what they scatter; 0 to about 1."""

    guess: NDArray[np.float64]
    score: float


GROWTHS: Final = (-0.3, -0.225, -0.15, -0.075, 0.0, 0.075, 0.15, 0.225, 0.3)
"""Cells at one end up to 1.7 times as long as at the other: a screen seen at some 50 degrees from straight ahead."""


def first_guesses(left: tuple[float, float], right: tuple[float, float], layout: Layout) -> Guesses:
    """Guesses around a rough place: both ends up to two cells off along the strip, half the height off across."""
    ends = np.array([left, right], float)
    along = (ends[1] - ends[0]) / layout.cells
    down = np.array([-along[1], along[0]]) * layout.rows / 2
    steps = np.arange(-2.0, 2.01, 0.4)
    first, last, growth, across = (
        axis.reshape(-1, 1) for axis in np.meshgrid(steps, steps, GROWTHS, (-0.5, 0.0, 0.5), indexing="ij")
    )
    starts, stops = ends[0] + first * along + across * down, ends[1] + last * along + across * down
    downs = np.broadcast_to(down, starts.shape)
    return np.concatenate([starts, stops, growth, downs, downs], axis=1)


def best_fits(grey: Grey, guesses: Guesses, layout: Layout) -> list[Fit]:
    """The best few of the guesses, bettered step by step, best first."""
    if len(guesses) > _GLANCED:
        glances = score(grey, guesses, layout, points=_GLANCE)
        guesses = guesses[np.argsort(-glances)[:_GLANCED]]
    scores = score(grey, guesses, layout)
    fits: list[Fit] = []
    for index in np.argsort(-scores)[:_KEPT]:
        guess, value = guesses[index], float(scores[index])
        cell = float(np.hypot(guess[2] - guess[0], guess[3] - guess[1])) / layout.cells
        steps = np.array([cell, cell, cell, cell, 0.06, cell / 2, cell / 2, cell / 2, cell / 2]) * 0.5
        for _ in range(_ROUNDS):
            moves = np.concatenate([np.diag(steps), -np.diag(steps), *_pairs(steps)])
            tried = guess + moves
            values = score(grey, tried, layout)
            best = int(np.argmax(values))
            if values[best] > value:
                guess, value = tried[best], float(values[best])
            else:
                steps = steps / 2
        fits.append(Fit(guess, value))
    return sorted(fits, key=lambda fit: -fit.score)


def _pairs(steps: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Moves of several numbers at once: the whole strip along and across, its height at both ends, its slant."""
    groups = ((0, 2), (1, 3), (5, 7), (6, 8), (0, 4), (2, 4))
    moves = []
    for one, other in groups:
        for sign in (1.0, -1.0):
            both = np.zeros((2, len(steps)))
            both[0, one], both[0, other] = steps[one], sign * steps[other]
            both[1] = -both[0]
            moves.append(both)
    return moves


def score(grey: Grey, guesses: Guesses, layout: Layout, *, points: tuple[float, ...] = _POINTS) -> NDArray[np.float64]:
    """How well each guess fits: (n,), 0..1. points: where inside a cell it is looked at, both ways."""
    rim = min(_RIM, layout.first)
    columns = np.arange(-rim, layout.cells + rim)
    rows = np.arange(layout.rows)
    u = (columns[None, :, None, None] + 0.5 + np.array(points)[None, None, None, :]) / layout.cells
    v = (rows[:, None, None, None] + 0.5 + np.array(points)[None, None, :, None]) * 2 / layout.rows - 1
    u, v = np.broadcast_arrays(u, v)  # (rows, columns, 2, 2)
    values = sample(grey, guesses, u.reshape(-1), v.reshape(-1)).reshape(len(guesses), *u.shape)
    cells = values.mean(axis=(3, 4))
    within = np.abs(values - cells[..., None, None]).mean(axis=(1, 2, 3, 4))
    # What is known: each row's first and last cell, and that all beside them is black.
    known = np.full(cells.shape[1:], -1)
    known[:, :rim] = known[:, rim + layout.cells :] = 0
    known[::2, rim], known[1::2, rim] = 1, 0
    known[::2, rim + layout.cells - 1], known[1::2, rim + layout.cells - 1] = 0, 1
    white, black = cells[:, known == 1].mean(axis=1), cells[:, known == 0].mean(axis=1)
    middle = ((white + black) / 2)[:, None, None]
    contrast = np.maximum(white - black, 1e-6)
    data = cells[:, :, rim : rim + layout.cells]
    # Cells that are clearly one or the other, each no further from its colour than from the middle.
    clear = np.minimum(np.abs(data - middle) / (contrast[:, None, None] / 2), 1).mean(axis=(1, 2))
    wrong = np.maximum(black[:, None] - cells[:, known == 1], 0).mean(axis=1)
    wrong += np.maximum(cells[:, known == 0] - middle[:, :, 0], 0).mean(axis=1)
    result: NDArray[np.float64] = clear - (2 * within + 2 * wrong) / contrast
    return np.where(white - black > 8, result, -1.0)


def sample(grey: Grey, guesses: Guesses, u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Grey at u (0..1 along the used cells, beyond them too) and v (-1..1 from upper to lower edge): (n, len(u))."""
    left, right, growth = guesses[:, 0:2, None], guesses[:, 2:4, None], guesses[:, 4, None]
    # Along a line in perspective equal steps become a fraction of two linear functions.
    t = (1 + growth) * u[None, :] / (1 + growth * u[None, :])
    lower = guesses[:, 5:7, None] * (1 - t[:, None]) + guesses[:, 7:9, None] * t[:, None]
    points = left + (right - left) * t[:, None] + lower * v[None, None, :]
    height, width = grey.shape
    x, y = np.clip(points[:, 0], 0, width - 1.001), np.clip(points[:, 1], 0, height - 1.001)
    column, row = x.astype(np.intp), y.astype(np.intp)
    right_share, lower_share = x - column, y - row
    place = row * width + column
    flat = grey.reshape(-1)
    upper = flat[place] * (1 - right_share) + flat[place + 1] * right_share
    below = flat[place + width] * (1 - right_share) + flat[place + width + 1] * right_share
    result: NDArray[np.float64] = upper * (1 - lower_share) + below * lower_share
    return result


def rectified(grey: Grey, guess: NDArray[np.float64], layout: Layout) -> NDArray[np.uint8]:
    """The strip as a picture that `barcode.read` takes, its lighting evened out."""
    side = CANONICAL_CELL
    x = (np.arange(layout.columns * side) + 0.5) / side - layout.first
    y = (np.arange(layout.rows * side) + 0.5) / side
    u, v = np.meshgrid(x / layout.cells, y * 2 / layout.rows - 1)
    strip = sample(grey, guess[None], u.reshape(-1), v.reshape(-1)).reshape(u.shape)
    return _evened(strip, layout)


def _evened(strip: NDArray[np.float64], layout: Layout) -> NDArray[np.uint8]:
    """Black and white brought to the same greys everywhere: a lamp's reflection brightens one end of a strip."""
    side = CANONICAL_CELL
    window = 10 * side
    used = slice(layout.first * side, (layout.first + layout.cells) * side)
    columns = strip[:, used]
    places = np.arange(0, columns.shape[1] + side, side)
    near = [columns[:, max(0, place - window // 2) : place + window // 2] for place in places]
    greys = np.array([np.percentile(part, (8, 92)) for part in near])
    low, high = (np.interp(np.arange(columns.shape[1]), places, greys[:, end]) for end in (0, 1))
    even = (columns - low) / np.maximum(high - low, 1e-6) * 219 + 16
    result = np.full(strip.shape, 16.0)
    result[:, used] = even
    codes: NDArray[np.uint8] = np.clip(result, 0, 255).astype(np.uint8)
    return codes
