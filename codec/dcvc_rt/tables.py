"""Probability tables: from the model's densities to the integers that the entropy coder works with (sections 5 to 7.1).

They are always built on the CPU in float32, before the network is moved or narrowed: a table that differs in its last
bit between two machines is enough to break decoding.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numba import njit
from numpy.typing import NDArray
from torch import Tensor, nn

from codec.dcvc_rt import HYPER_CHANNELS
from codec.dcvc_rt.latents import SCALE_TABLES, SIGMA_MAX, SIGMA_MIN
from codec.rans import SymbolTables
from latentcast.errors import UserError

# No table has symbols beyond -8..8; what lies further out takes the escape.
_SUPPORT_MIN, _SUPPORT_MAX = 2, 8
_TAIL = 0.9999
_Z_TAIL = 0.0001
# Most symbols (17), the escape, and one more for the cumulative sums.
_WIDTH = 2 * _SUPPORT_MAX + 3
_REACHES = range(_SUPPORT_MIN, _SUPPORT_MAX + 1)
_EDGES = tuple(i - 0.5 for i in range(-_SUPPORT_MAX, _SUPPORT_MAX + 2))


class _Layer(nn.Module):
    """One monotone layer of the factorised density; the last has no `a`."""

    def __init__(self, rows: int, *, last: bool = False) -> None:
        super().__init__()
        shape = (rows, HYPER_CHANNELS, 1, 1)
        self.h = nn.Parameter(torch.zeros(shape))
        self.b = nn.Parameter(torch.zeros(shape))
        self.a = None if last else nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        x = x * F.softplus(self.h) + self.b
        return x if self.a is None else x + torch.tanh(x) * torch.tanh(self.a)


class FactorizedPrior(nn.Module):
    """The density of z: one model for every QP row and channel (section 5)."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.f1, self.f2, self.f3 = _Layer(rows), _Layer(rows), _Layer(rows)
        self.f4 = _Layer(rows, last=True)

    def cdf(self, x: float) -> Tensor:
        """CDF at `x` of every model, (rows, channels)."""
        value = torch.full_like(self.f1.h, x)
        for layer in (self.f1, self.f2, self.f3, self.f4):
            value = layer(value)
        return torch.sigmoid(value)[:, :, 0, 0]


@njit("void(float32[:,::1],int64[::1],int32[:,::1])", cache=True, nogil=True)
def _quantise(probabilities: Any, counts: Any, cdf: Any) -> None:
    """Each row of `counts[row]` probabilities, the escape last, as a cumulative table with a share for all (7.1)."""
    frequencies = np.empty(probabilities.shape[1], np.int64)
    for row in range(len(counts)):
        count = counts[row]
        total = np.int64(0)
        for i in range(count):
            # Half away from zero; the product is a float32, so the sum with 0.5 is exact in float64.
            product = np.float32(probabilities[row, i] * np.float32(65536.0))
            frequencies[i] = np.int64(np.floor(np.float64(product) + 0.5))
            total += frequencies[i]
        c = cdf[row]
        c[0] = 0
        for i in range(count):
            c[i + 1] = c[i] + 65536 * frequencies[i] // total
        c[count] = 65536
        for i in range(count):
            if c[i] != c[i + 1]:
                continue
            best = -1
            for j in range(count):
                share = c[j + 1] - c[j]
                if share > 1 and (best < 0 or share < c[best + 1] - c[best]):
                    best = j
            if best < i:
                for k in range(best + 1, i + 1):
                    c[k] -= 1
            else:
                for k in range(i + 1, best + 1):
                    c[k] += 1


@dataclass(frozen=True, slots=True)
class RawTables:
    """Tables before they are checked: cdf int32 (rows, 19), length and offset int32 (rows,)."""

    cdf: NDArray[np.int32]
    length: NDArray[np.int32]
    offset: NDArray[np.int32]

    @classmethod
    def of(
        cls, edges: NDArray[np.float32], below: NDArray[np.int64], above: NDArray[np.int64], escape: NDArray[np.float32]
    ) -> "RawTables":
        """From CDF values at -8.5, -7.5 .. 8.5 (rows, 18), the symbols -below..above, and the mass outside them."""
        rows = len(edges)
        if not (np.isfinite(edges).all() and np.isfinite(escape).all()):
            raise UserError("the checkpoint's densities of z are no probabilities; expected the published checkpoint.")
        counts = below + above + 2
        probabilities = np.zeros((rows, _WIDTH - 1), np.float32)
        inside = np.diff(edges, axis=1)
        columns = np.arange(_WIDTH - 1)[None, :]
        source = np.clip(_SUPPORT_MAX - below[:, None] + columns, 0, inside.shape[1] - 1)
        probabilities[:] = np.take_along_axis(inside, source, axis=1)
        probabilities[np.arange(rows), counts - 1] = escape
        cdf = np.zeros((rows, _WIDTH), np.int32)
        _quantise(probabilities, counts, cdf)
        return cls(cdf, (counts + 1).astype(np.int32), (-below).astype(np.int32))


def _first(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For rows over i = 2..8: the smallest i that holds, else 8."""
    return np.where(inside.any(axis=1), inside.argmax(axis=1) + _SUPPORT_MIN, _SUPPORT_MAX)


@torch.no_grad()
def gaussian_tables() -> RawTables:
    """The 128 tables of y, which do not depend on the weights (6.6)."""
    sigma = torch.exp(torch.linspace(math.log(SIGMA_MIN), math.log(SIGMA_MAX), SCALE_TABLES))

    def phi(x: float) -> Tensor:
        return 0.5 * (1 + torch.erf((x * torch.reciprocal(sigma)) / 2**0.5))

    within = torch.stack([phi(float(i)) > _TAIL for i in _REACHES], dim=1)
    n = _first(within.numpy())
    edges = torch.stack([phi(x) for x in _EDGES], dim=1).numpy()
    return RawTables.of(edges, n, n, 2 * edges[np.arange(SCALE_TABLES), _SUPPORT_MAX - n])


@torch.no_grad()
def z_tables(prior: FactorizedPrior) -> RawTables:
    """The tables of z, one for every QP row and channel in that order (section 5)."""
    assert prior.f1.h.device.type == "cpu", "tables are built on the CPU"
    assert prior.f1.h.dtype == torch.float32, "tables are built in float32"

    def cdf(points: Iterable[float]) -> NDArray[np.float32]:
        return np.stack([prior.cdf(x).reshape(-1).numpy() for x in points], axis=1)

    below = _first(cdf(-float(i) for i in _REACHES) < _Z_TAIL)
    whole = cdf(float(i) for i in _REACHES)
    above = _first(whole > _TAIL)
    edges = cdf(_EDGES)
    rows = np.arange(len(edges))
    # The upper part is taken at n_max, not at n_max + 0.5 (section 5).
    escape = edges[rows, _SUPPORT_MAX - below] + (np.float32(1) - whole[rows, above - _SUPPORT_MIN])
    return RawTables.of(edges, below, above, escape)


@dataclass(frozen=True, slots=True)
class EntropyTables:
    """The tables of one model in one set: rows 0..127 for y by scale, then 128 rows for z of every QP."""

    tables: SymbolTables

    @classmethod
    def build(cls, prior: FactorizedPrior) -> "EntropyTables":
        parts = (gaussian_tables(), z_tables(prior))
        return cls(
            SymbolTables.build(
                np.concatenate([part.cdf for part in parts]),
                np.concatenate([part.length for part in parts]),
                np.concatenate([part.offset for part in parts]),
            )
        )

    def z_rows(self, qp: int, positions: int) -> NDArray[np.uint16]:
        """Table numbers of all z symbols of a picture, flattened channel, row, column."""
        first = SCALE_TABLES + qp * HYPER_CHANNELS
        return np.repeat(np.arange(first, first + HYPER_CHANNELS, dtype=np.uint16), positions)
