"""The integer scale path: exactly the golden indexes, on any memory layout, and as computed by plain integers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file

from codec.nano.scales import ScalePath
from codec.nano.weights import WEIGHTS_PATH
from tests.codec.samples import GOLDEN_NAMES, golden, weights

ENTRIES = {name: array for name, array in load_file(WEIGHTS_PATH).items() if "scale_decoder_int" in name}
NETWORKS = ("intra", "inter")

Integers = NDArray[np.int64]


def path(network: str) -> ScalePath:
    return (weights().intra if network == "intra" else weights().inter).scales


def by_the_book(z: NDArray[np.int8], network: str, rows: int, columns: int) -> NDArray[np.uint16]:
    """docs/nano.md, "Scale index", in int64 and channel-first order. Returns (64, rows, columns)."""

    def entry(name: str) -> Integers:
        return ENTRIES[f"{network}.scale_decoder_int.{name}"].astype(np.int64)

    def shift(acc: Integers, k: int) -> Integers:
        return (acc + (1 << (k - 1))) >> k

    def conv_1x1(x: Integers, name: str, k: int) -> Integers:
        return shift(
            np.einsum("oi,ihw->ohw", entry(f"{name}.weight")[:, :, 0, 0], x) + entry(f"{name}.bias")[:, None, None], k
        )

    def depthwise(x: Integers, name: str) -> Integers:
        weight = entry(f"{name}.weight")[:, 0]
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        acc = np.broadcast_to(entry(f"{name}.bias")[:, None, None], x.shape).copy()
        for dy in range(3):
            for dx in range(3):
                tap = padded[:, dy : dy + x.shape[1], dx : dx + x.shape[2]]
                acc += weight[:, dy, dx][:, None, None] * tap
        return shift(acc, 12)

    def shuffle(x: Integers) -> Integers:
        channels, height, width = x.shape
        y = x.reshape(channels // 4, 2, 2, height, width).transpose(0, 3, 1, 4, 2)
        return y.reshape(channels // 4, 2 * height, 2 * width)

    def clamp(x: Integers) -> Integers:
        return np.clip(x, 0, 16 << 8)

    x = clamp(shuffle(conv_1x1(z.astype(np.int64), "up1", 4)))
    x = depthwise(x, "dw1")
    x = clamp(shuffle(conv_1x1(x, "up2", 12)))
    x = depthwise(x, "dw2")
    x = clamp(conv_1x1(x, "mix", 12))
    u = conv_1x1(x, "out", 12)
    index: NDArray[np.uint16] = np.clip((u * 6529 + 3721887) >> 16, 0, 127).astype(np.uint16)
    return index[:, :rows, :columns]


def channel_first(flat: NDArray[np.uint16], rows: int, columns: int) -> NDArray[np.uint16]:
    return flat.reshape(rows, columns, 64).transpose(2, 0, 1)


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_golden_indexes_exactly(name: str) -> None:
    for t, frame in enumerate(golden(name)):
        _, rows, columns = frame.index.shape
        found = path("intra" if t == 0 else "inter").indexes(frame.z, rows, columns)
        np.testing.assert_array_equal(channel_first(found, rows, columns), frame.index)


@given(
    st.sampled_from(NETWORKS),
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from([1, 8, 127]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=40, deadline=None)
def test_equals_plain_integer_arithmetic(network: str, rows: int, columns: int, spread: int, seed: int) -> None:
    shape = (32, -(-rows // 4), -(-columns // 4))
    z = np.random.default_rng(seed).integers(-spread - 1, spread + 1, shape).astype(np.int8)
    found = channel_first(path(network).indexes(z, rows, columns), rows, columns)
    np.testing.assert_array_equal(found, by_the_book(z, network, rows, columns))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("value", [-128, 0, 127])
def test_extreme_z(network: str, value: int) -> None:
    z = np.full((32, 2, 2), value, np.int8)
    found = channel_first(path(network).indexes(z, 8, 8), 8, 8)
    np.testing.assert_array_equal(found, by_the_book(z, network, 8, 8))


@pytest.mark.parametrize("network", NETWORKS)
def test_memory_layout_does_not_matter(network: str) -> None:
    z = np.random.default_rng(1).integers(-20, 21, (32, 3, 5)).astype(np.int8)
    expected = path(network).indexes(z, 11, 18)
    wide = np.zeros((64, 6, 5), np.int8)
    wide[::2, ::2] = z
    for other in (np.asfortranarray(z), wide[::2, ::2], np.ascontiguousarray(z.transpose(1, 2, 0)).transpose(2, 0, 1)):
        np.testing.assert_array_equal(path(network).indexes(other, 11, 18), expected)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_second_call_is_not_marked_by_the_first(network: str) -> None:
    rng = np.random.default_rng(2)
    a, b = (rng.integers(-9, 10, (32, 2, 2)).astype(np.int8) for _ in range(2))
    first = path(network).indexes(a, 8, 8)
    kept = first.copy()
    path(network).indexes(b, 8, 8)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(path(network).indexes(a, 8, 8), kept)
