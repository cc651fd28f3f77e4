"""The main latent: masks, coding steps, quantisation, and from scales to table numbers (section 6).

Every step codes each position in exactly one group of channels, so masked tensors fold without loss into the 64
channels of one group. Symbols and table numbers are exchanged with the entropy coder folded.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from codec.dcvc_rt import SKIPPED

SIGMA_MIN, SIGMA_MAX = 0.11, 16.0
SCALE_TABLES = 128
SYMBOL_MIN, SYMBOL_MAX = -128, 127

# Position class (section 6.2) that each group of channels codes in each step; classes of the four-step pattern are
# 2 * (row odd) + (column odd), of the two-step pattern (row + column) odd.
_FOUR_STEPS: tuple[tuple[int, ...], ...] = ((0, 1, 2, 3), (3, 2, 1, 0), (2, 3, 0, 1), (1, 0, 3, 2))
_TWO_STEPS: tuple[tuple[int, ...], ...] = ((0, 1), (1, 0))


def step_masks(rows: int, columns: int, *, steps: int, like: Tensor) -> list[Tensor]:
    """For every step, which positions each group codes: `steps` tensors of 0 and 1, (1, groups, 1, rows, columns).

    They depend on the size alone: an engine makes them once and hands them to the models with every picture.
    """
    odd_row = (torch.arange(rows, device=like.device) % 2).view(rows, 1)
    odd_column = (torch.arange(columns, device=like.device) % 2).view(1, columns)
    if steps == 4:
        position, pattern = 2 * odd_row + odd_column, _FOUR_STEPS
    else:
        position, pattern = (odd_row + odd_column) % 2, _TWO_STEPS
    return [torch.stack([(position == kind) for kind in step])[None, :, None].to(like.dtype) for step in pattern]


def grouped(x: Tensor, groups: int) -> Tensor:
    """(1, groups * c, h, w) as (1, groups, c, h, w)."""
    return x.view(1, groups, x.shape[1] // groups, *x.shape[2:])


def fold(x: Tensor) -> Tensor:
    """Masked groups (1, groups, c, h, w) added into (c, h, w): at every position all but one are 0."""
    if x.shape[1] == 4:
        return ((x[:, 0] + x[:, 1]) + (x[:, 2] + x[:, 3]))[0]
    return (x[:, 0] + x[:, 1])[0]


class _Ladder(NamedTuple):
    """Where table numbers start and how many there are to a unit of ln scale, in one precision (6.4)."""

    sigma_min: float
    sigma_max: float
    log_min: float
    per_step: float

    @classmethod
    def rounded(cls, dtype: torch.dtype) -> "_Ladder":
        log_min = math.log(SIGMA_MIN)
        per_step = 1 / ((math.log(SIGMA_MAX) - log_min) / (SCALE_TABLES - 1))
        return cls(*(float(torch.tensor(value, dtype=dtype)) for value in (SIGMA_MIN, SIGMA_MAX, log_min, per_step)))


# Made here and not where they are needed: that place may be on its way into a CUDA graph.
_LADDERS = {dtype: _Ladder.rounded(dtype) for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64)}


def scale_indexes(scales: Tensor, *, skip_threshold: float | None) -> Tensor:
    """Table number of every scale, uint8; `SKIPPED` where the scale does not exceed the threshold (6.4, 6.5).

    The constants are rounded to the tensor's precision, as the reference does: a stream made in one precision cannot
    be decoded in another (10.2).
    """
    ladder = _LADDERS[scales.dtype]
    clamped = scales.clamp(ladder.sigma_min, ladder.sigma_max)
    index = ((clamped.log() - ladder.log_min) * ladder.per_step).to(torch.uint8)
    if skip_threshold is None:
        return index
    return index.masked_fill((scales > skip_threshold).logical_not(), SKIPPED)


def quantise_step(
    y: Tensor, scales: Tensor, means: Tensor, mask: Tensor, *, skip_threshold: float | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Encoder side of one step on full tensors (1, c, h, w) (6.1).

    Returns folded symbols (float, integers -128..127), folded scales, and this step's part of y_hat.
    """
    groups = mask.shape[1]
    s = grouped(scales, groups) * mask
    mu = grouped(means, groups) * mask
    q = torch.round((grouped(y, groups) - mu) * mask)
    if skip_threshold is not None:
        q = q.masked_fill((s > skip_threshold).logical_not(), 0.0)
    q = q.clamp(SYMBOL_MIN, SYMBOL_MAX)
    return fold(q), fold(s), (q + mu).reshape(y.shape)


def folded_scales(scales: Tensor, mask: Tensor) -> Tensor:
    """The scales of the elements that a step codes, (c, h, w)."""
    return fold(grouped(scales, mask.shape[1]) * mask)


def dequantise_step(symbols: Tensor, means: Tensor, mask: Tensor) -> Tensor:
    """Decoder side of one step: its part of y_hat, (1, groups * c, h, w). symbols: folded (c, h, w)."""
    groups = mask.shape[1]
    # Broadcast over the groups: each takes from the folded symbols what its mask lets through.
    y_hat = (symbols[None, None] + grouped(means, groups)) * mask
    return y_hat.reshape(means.shape)
