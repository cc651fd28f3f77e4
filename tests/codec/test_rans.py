"""The entropy coder: byte for byte as specified, lossless for every symbol, and unharmed by any bytes."""

from contextlib import suppress
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codec import rans
from codec.rans import SymbolTables
from latentcast.errors import BitstreamError
from tests.codec.samples import VECTORS_PATH, weights

DCVC_RT = VECTORS_PATH / "dcvc-rt"
with np.load(DCVC_RT / "rans_vectors.npz") as _arrays:
    VECTORS = {key: _arrays[key] for key in _arrays.files}
VECTOR_NAMES = sorted({key.split("__")[0] for key in VECTORS})


@cache
def reference_tables(prefix: str) -> SymbolTables:
    with np.load(DCVC_RT / "cdf_tables.npz") as arrays:
        return SymbolTables.build(arrays[f"{prefix}_cdf"], arrays[f"{prefix}_cdf_length"], arrays[f"{prefix}_offset"])


@cache
def all_tables() -> dict[str, SymbolTables]:
    return {
        "reference gaussian": reference_tables("gaussian"),
        "reference z": reference_tables("z_image_qp63"),
        "gaussian": weights().gaussian,
        "intra z": weights().intra.z_tables,
        "inter z": weights().inter.z_tables,
    }


TABLE_NAMES = ("reference gaussian", "reference z", "gaussian", "intra z", "inter z")


def every_symbol(tables: SymbolTables) -> tuple[NDArray[np.int8], NDArray[np.uint16]]:
    """Every signed 8-bit symbol under every table, most of them escapes."""
    rows = len(tables.length)
    return np.tile(np.arange(-128, 128, dtype=np.int8), rows), np.repeat(np.arange(rows, dtype=np.uint16), 256)


def typical(tables: SymbolTables, count: int) -> tuple[NDArray[np.int8], NDArray[np.uint16]]:
    """Symbols drawn from the tables themselves, escapes excepted."""
    rng = np.random.default_rng(4)
    rows = rng.integers(0, len(tables.length), count).astype(np.uint16)
    slots = rng.integers(0, rans.TOTAL, count)
    symbols = np.empty(count, np.int8)
    for i, (row, slot) in enumerate(zip(rows, slots, strict=True)):
        last = tables.length[row] - 3
        symbols[i] = tables.offset[row] + min(int(np.searchsorted(tables.cdf[row, 1:last], slot, "right")), last)
    return symbols, rows


@pytest.mark.parametrize("name", VECTOR_NAMES)
def test_reference_vectors_byte_for_byte(name: str) -> None:
    segments = sum(key.startswith(f"{name}__sym") for key in VECTORS)
    assert segments > 0
    symbols = np.concatenate([VECTORS[f"{name}__sym{i}"] for i in range(segments)])
    rows = np.concatenate([VECTORS[f"{name}__idx{i}"] for i in range(segments)]).astype(np.uint16)
    stream = VECTORS[f"{name}__bytes1"].tobytes()
    assert rans.encode(symbols, rows, reference_tables("gaussian")) == stream
    np.testing.assert_array_equal(rans.decode(stream, rows, reference_tables("gaussian")), symbols)


@pytest.mark.parametrize("name", TABLE_NAMES)
def test_every_symbol_under_every_table(name: str) -> None:
    tables = all_tables()[name]
    symbols, rows = every_symbol(tables)
    np.testing.assert_array_equal(rans.decode(rans.encode(symbols, rows, tables), rows, tables), symbols)


@given(st.sampled_from(TABLE_NAMES), st.lists(st.tuples(st.integers(0, 127), st.integers(-128, 127)), max_size=300))
@settings(max_examples=100, deadline=None)
def test_round_trip(name: str, coded: list[tuple[int, int]]) -> None:
    tables = all_tables()[name]
    rows = np.array([row for row, _ in coded], np.uint16)
    symbols = np.array([symbol for _, symbol in coded], np.int8)
    np.testing.assert_array_equal(rans.decode(rans.encode(symbols, rows, tables), rows, tables), symbols)


def test_no_symbols_take_the_state_alone() -> None:
    empty = np.empty(0, np.uint16)
    stream = rans.encode(np.empty(0, np.int8), empty, weights().gaussian)
    assert stream == rans.LOWER_BOUND.to_bytes(4, "little")
    assert len(rans.decode(stream, empty, weights().gaussian)) == 0


@pytest.mark.parametrize("name", TABLE_NAMES)
@pytest.mark.parametrize("content", ["typical", "every symbol"])
def test_costs_predict_the_size(name: str, content: str) -> None:
    tables = all_tables()[name]
    symbols, rows = typical(tables, 20_000) if content == "typical" else every_symbol(tables)
    predicted = tables.costs()[rows, symbols.astype(np.int64) + 128].sum(dtype=np.int64) / 256 / 8
    assert len(rans.encode(symbols, rows, tables)) - rans.STATE_BYTES == pytest.approx(predicted, rel=0.01)


def test_every_truncation_and_any_surplus_is_damage() -> None:
    symbols, rows = VECTORS["three_segments__sym1"], VECTORS["three_segments__idx1"].astype(np.uint16)
    stream = rans.encode(symbols, rows, reference_tables("gaussian"))
    for size in range(len(stream)):
        with pytest.raises(BitstreamError, match="damaged"):
            rans.decode(stream[:size], rows, reference_tables("gaussian"))
    for surplus in (b"\0", b"\xff", bytes(9)):
        with pytest.raises(BitstreamError, match="damaged"):
            rans.decode(stream + surplus, rows, reference_tables("gaussian"))


def flipped(symbols: NDArray[np.int8], rows: NDArray[np.uint16], tables: SymbolTables) -> list[NDArray[np.int8]]:
    """What decodes without complaint from the stream with one bit flipped, each bit in turn."""
    stream = rans.encode(symbols, rows, tables)
    undetected = []
    for bit in range(8 * len(stream)):
        damaged = bytearray(stream)
        damaged[bit // 8] ^= 1 << bit % 8
        with suppress(BitstreamError):
            undetected.append(rans.decode(bytes(damaged), rows, tables))
    return undetected


def test_flipped_bits_of_typical_content_are_damage() -> None:
    """All but a few in ten thousand: a slot moved into another symbol of the same frequency leaves the same state."""
    tables = weights().gaussian
    symbols, rows = typical(tables, 2000)
    undetected = flipped(symbols, rows, tables)
    assert len(undetected) <= 0.001 * 8 * len(rans.encode(symbols, rows, tables))
    for found in undetected:
        (at,) = np.flatnonzero(found != symbols)
        frequency = np.diff(tables.cdf[rows[at]])
        offset = tables.offset[rows[at]]
        assert frequency[found[at] - offset] == frequency[symbols[at] - offset]


def test_flipped_bits_of_escapes_may_pass_but_cost_one_symbol() -> None:
    """The known hole of the final-state check: the raw digits of an escape leave no trace in the state."""
    tables = reference_tables("gaussian")
    symbols, rows = VECTORS["three_segments__sym1"], VECTORS["three_segments__idx1"].astype(np.uint16)
    v = symbols - tables.offset[rows]
    escapes = (v < 0) | (v >= tables.length[rows] - 2)
    undetected = flipped(symbols, rows, tables)
    assert undetected
    for found in undetected:
        assert (found != symbols).sum() == 1
        assert escapes[found != symbols].all()


@given(
    st.binary(max_size=400),
    st.sampled_from(TABLE_NAMES),
    st.lists(st.integers(0, 127), max_size=200),
    st.integers(0, 255),
)
@settings(max_examples=300, deadline=None)
def test_random_bytes_stay_inside_their_bounds(stream: bytes, name: str, rows: list[int], around: int) -> None:
    """Whatever the bytes: an answer, the same whatever lies around them in memory, and nothing written beside it."""
    tables = all_tables()[name]
    # Any state below the lower bound is refused at once; a plausible one lets the decoder run.
    stream = stream[:3] + bytes([max(stream[3], 1)]) + stream[4:] if len(stream) > 3 else stream
    table_rows = np.pad(np.array(rows, np.uint16), 5)
    outcomes = []
    for fill in (around, 255 - around):
        data = np.pad(np.frombuffer(stream, np.uint8), 16, constant_values=fill)
        symbols = np.full(len(rows) + 10, 99, np.int8)
        status = rans._decode(
            data,
            16,
            16 + len(stream),
            table_rows,
            5,
            5 + len(rows),
            tables.cdf,
            tables.length,
            tables.offset,
            tables.guess,
            symbols,
        )
        assert (symbols[:5] == 99).all()
        assert (symbols[5 + len(rows) :] == 99).all()
        outcomes.append((status, symbols.tobytes()))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] in (0, -1)


def test_an_endless_escape_ends() -> None:
    """A run of digits 3 would spell a longer and longer number."""
    tables = weights().gaussian
    rows = np.zeros(1, np.uint16)
    escape = int(tables.cdf[0, tables.length[0] - 2])
    # After the escape (frequency 1 here) the state is what stands above its 16 low bits, refilled with ones.
    assert tables.cdf[0, tables.length[0] - 1] - escape == 1
    state = (0xFFFF << 16) | escape
    with pytest.raises(BitstreamError, match="damaged"):
        rans.decode(state.to_bytes(4, "little") + b"\xff" * 4000, rows, tables)


def _good() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    return np.array([[0, 60000, 65000, 65536], [0, 1, 65536, 0]]), np.array([4, 3]), np.array([-1, 0])


def test_a_table_of_two_symbols_is_a_table() -> None:
    tables = SymbolTables.build(*_good())
    symbols, rows = every_symbol(tables)
    np.testing.assert_array_equal(rans.decode(rans.encode(symbols, rows, tables), rows, tables), symbols)


@pytest.mark.parametrize(
    ("part", "index", "value"),
    [
        ("cdf", (0, 0), 1),
        ("cdf", (0, 1), 0),
        ("cdf", (0, 2), 60000),
        ("cdf", (0, 2), 59999),
        ("cdf", (0, 3), 65535),
        ("cdf", (0, 3), 65537),
        ("cdf", (1, 1), -1),
        ("cdf", (1, 1), 65536),
        ("length", 0, 2),
        ("length", 0, 5),
        ("length", 0, 3),
        ("length", 0, -4),
        ("offset", 0, -129),
        ("offset", 0, 128),
        ("offset", 1, 2**31 - 1),
    ],
)
def test_what_is_not_a_table_is_refused(part: str, index: int | tuple[int, int], value: int) -> None:
    cdf, length, offset = _good()
    {"cdf": cdf, "length": length, "offset": offset}[part][index] = value
    with pytest.raises(BitstreamError, match="probability table"):
        SymbolTables.build(cdf, length, offset)


def test_tables_of_other_shapes_are_refused() -> None:
    cdf, length, offset = _good()
    for bad in ((cdf, length[:1], offset), (cdf, length, offset[:1]), (cdf[:0], length[:0], offset[:0])):
        with pytest.raises(BitstreamError, match="do not match"):
            SymbolTables.build(*bad)
    with pytest.raises(BitstreamError, match="do not match"):
        SymbolTables.build(cdf[0], length, offset)


def test_steps_that_overflow_are_refused() -> None:
    """Three rises of 2^31-1 and one more wrap around to 65536 in 32 bits."""
    steps = np.array([2**31 - 1, 2**31 - 1, 65538], np.int64)
    cdf = np.concatenate(([0], np.cumsum(steps))).astype(np.int32)[None]
    assert cdf[0, -1] == 65536
    with pytest.raises(BitstreamError, match="probability table"):
        SymbolTables.build(cdf, np.array([4]), np.array([0]))


def test_table_numbers_that_are_not_there_never_reach_the_compiled_loops() -> None:
    tables = reference_tables("gaussian")
    symbols = np.zeros(2, np.int8)
    wrong = np.array([0, len(tables.length)], np.uint16)
    with pytest.raises(ValueError, match="not there"):
        rans.encode(symbols, wrong, tables)
    stream = rans.encode(symbols, np.zeros(2, np.uint16), tables)
    with pytest.raises(ValueError, match="not there"):
        rans.decode(stream, wrong, tables)
    with pytest.raises(ValueError, match="not there"):
        rans.StreamDecoder(np.frombuffer(stream, np.uint8).copy(), tables).decode(wrong)
    with pytest.raises(ValueError, match="2 symbols with 1"):
        rans.encode(symbols, np.zeros(1, np.uint16), tables)
