"""The product that nearly all time goes into: a row of positions times a matrix, in bfloat16, summed in float32.

Inputs are bfloat16, position by position with all channels of each. Weights are packed so that one vector holds two
inputs of 16 outputs (`codec.nano.simd.packing`). One instruction, VDPBF16PS, multiplies and adds two bfloat16 pairs in
each of 16 lanes: sum = (sum + a1*b1) + a0*b0, each addition rounded once to nearest even, the products exact. Where
the processor lacks it, two fused multiply-adds in float32 give the same bits.
"""

from collections.abc import Sequence

from codec.nano.simd.ir import F32X16, I16X16, I32X16, VECTOR_BYTES, ZERO, Function, Value

DOT = "llvm.x86.avx512bf16.dpbf16ps.512"
NARROW = "llvm.x86.avx512bf16.cvtneps2bf16.512"
# Pairs of inputs per turn of the inner loop; all inner sizes of the networks are multiples of it.
UNROLL = 4
# The arguments of a row product, in order. See `row_product`.
PARAMETERS = (
    ("ptr", "a"),
    ("i64", "a_step"),
    ("i64", "segments"),
    ("i64", "segment_step"),
    ("i64", "pairs"),
    ("ptr", "weights"),
    ("ptr", "bias"),
    ("i64", "blocks"),
    ("i64", "positions"),
    ("float", "low"),
    ("ptr", "residual"),
    ("i64", "residual_step"),
    ("ptr", "shortcut"),
    ("i64", "shortcut_step"),
    ("ptr", "wide"),
    ("i64", "wide_step"),
    ("ptr", "narrow"),
    ("i64", "narrow_step"),
    ("ptr", "scaled"),
    ("i64", "scaled_step"),
    ("ptr", "scaled_wide"),
    ("i64", "scaled_wide_step"),
    ("ptr", "scale"),
)


def narrow(f: Function, value: Value, *, native: bool) -> Value:
    """16 floats to bfloat16, nearest even, as <16 x i16>."""
    if native:
        half = f.call("<16 x bfloat>", NARROW, value)
        return f.cast("bitcast", half, I16X16)
    bits = f.cast("bitcast", value, I32X16)
    shifted = f.let(I32X16, f"lshr {bits}, splat (i32 16)")
    odd = f.let(I32X16, f"and {shifted}, splat (i32 1)")
    half_up = f.let(I32X16, f"add {bits}, splat (i32 32767)")
    rounded = f.let(I32X16, f"add {half_up}, {odd.name}")
    return f.cast("trunc", f.let(I32X16, f"lshr {rounded}, splat (i32 16)"), I16X16)


def widen_low(f: Function, pairs: Value) -> Value:
    """The first bfloat16 of each pair as float."""
    return f.cast("bitcast", f.let(I32X16, f"shl {pairs}, splat (i32 16)"), F32X16)


def widen_high(f: Function, pairs: Value) -> Value:
    """The second bfloat16 of each pair as float."""
    return f.cast("bitcast", f.let(I32X16, f"and {pairs}, splat (i32 -65536)"), F32X16)


class Dots:
    """Adds products of pairs to a tile of sums, in the one order that every processor keeps."""

    def __init__(self, f: Function, *, native: bool) -> None:
        self._f = f
        self._native = native
        # Bytes of the weights of one pair of inputs and 16 outputs: bfloat16, or the same numbers as float32.
        self.pair_bytes = VECTOR_BYTES if native else 2 * VECTOR_BYTES

    def step(self, sums: Sequence[Value], a: Sequence[Value], weights: Value, vectors: int) -> list[Value]:
        """One pair of inputs. sums: position by position; a: one pair a position, as i32; weights: where they begin."""
        f = self._f
        pairs = [f.splat(pair) for pair in a]
        if self._native:
            wide = "<32 x bfloat>"
            right = [f.load(wide, weights, v * VECTOR_BYTES) for v in range(vectors)]
            left = [f.cast("bitcast", pair, wide) for pair in pairs]
            tile = [(p, v) for p in range(len(left)) for v in range(vectors)]
            return [f.call(F32X16, DOT, sums[i], left[p], right[v]) for i, (p, v) in enumerate(tile)]
        out = list(sums)
        for part, widen in enumerate((widen_high, widen_low)):
            factors = [widen(f, pair) for pair in pairs]
            for v in range(vectors):
                w = f.load(F32X16, weights, (part * vectors + v) * VECTOR_BYTES)
                for p, factor in enumerate(factors):
                    out[p * vectors + v] = f.fma(factor, w, out[p * vectors + v])
        return out


def row_product(name: str, *, vectors: int, tile: int, native: bool) -> Function:
    """One row: out[x, n] = max(bias[n] + sum over segments s and k of a[x, s, k] * weights[s, k, n], low) + residuals.

    `positions` outputs, each `a_step` bytes on in the input; a segment is `2 * pairs` neighbouring bfloat16, and the
    next one lies `segment_step` bytes on (one for a 1x1, one a row for larger kernels). `blocks` blocks of
    16 * `vectors` output channels. `residual` and `shortcut` (float32) are added unless null. Outputs, each skipped
    when null: `wide` float32, `narrow` bfloat16, `scaled` and `scaled_wide` the same after a multiplication by `scale`
    (`scaled_wide` comes with `scaled` only). Every `_step` is
    bytes from one position to the next. `tile` positions are computed at a time.
    """
    f = Function(name, PARAMETERS)
    g = dict(zip((p for _, p in PARAMETERS), f.arguments, strict=True))
    low = f.splat(g["low"])
    block_bytes = f.mul(f.mul(g["segments"], g["pairs"]), vectors * Dots(f, native=native).pair_bytes)
    tiles = f.mul(f.let("i64", f"udiv i64 {g['positions'].name}, {tile}"), tile)

    def block(index: Value) -> None:
        channel = f.mul(index, vectors * 16)
        weights = f.at(g["weights"], f.mul(index, block_bytes))

        def positions(width: int, start: Value, stop: Value) -> None:
            def body(x: Value, _: list[Value]) -> list[Value]:
                sums = _sums(f, g, weights, channel, x, width=width, vectors=vectors, native=native)
                _finish(f, g, [f.maximum(s, low) for s in sums], channel, x, width, vectors, native)
                return []

            f.loop(start, stop, width, [], body)

        positions(tile, ZERO, tiles)
        positions(1, tiles, g["positions"])

    f.each(g["blocks"], 1, block)
    return f


def _sums(
    f: Function,
    g: dict[str, Value],
    weights: Value,
    channel: Value,
    x: Value,
    *,
    width: int,
    vectors: int,
    native: bool,
) -> list[Value]:
    """The tile's sums, position by position, starting from the bias."""
    dots = Dots(f, native=native)
    bias = f.at(g["bias"], f.mul(channel, 4))
    first = [f.load(F32X16, bias, v * VECTOR_BYTES) for v in range(vectors)]
    origin = f.at(g["a"], f.mul(x, g["a_step"]))

    def segment(index: Value, carried: list[Value]) -> list[Value]:
        *sums, packed = carried
        base = f.at(origin, f.mul(index, g["segment_step"]))
        rows = [base]
        for _ in range(width - 1):
            rows.append(f.at(rows[-1], g["a_step"]))

        def inner(k: Value, carried: list[Value]) -> list[Value]:
            *sums, packed = carried
            offset = f.mul(k, 4)
            for u in range(UNROLL):
                a = [f.load("i32", f.at(row, offset), 4 * u) for row in rows]
                sums = dots.step(sums, a, f.at(packed, u * vectors * dots.pair_bytes), vectors)
            return [*sums, f.at(packed, UNROLL * vectors * dots.pair_bytes)]

        return f.loop(ZERO, g["pairs"], UNROLL, [*sums, packed], inner)

    return f.loop(ZERO, g["segments"], 1, [*first * width, weights], segment)[:-1]


def _finish(
    f: Function,
    g: dict[str, Value],
    sums: list[Value],
    channel: Value,
    x: Value,
    width: int,
    vectors: int,
    native: bool,
) -> None:
    """Residuals and stores."""

    def places(name: str, size: int) -> list[Value]:
        """The addresses of the tile's vectors in one tensor."""
        row = f.at(f.at(g[name], f.mul(x, g[f"{name}_step"])), f.mul(channel, size))
        rows = [row]
        for _ in range(width - 1):
            rows.append(f.at(rows[-1], g[f"{name}_step"]))
        return [f.at(row, 16 * size * v) for row in rows for v in range(vectors)]

    for name in ("residual", "shortcut"):

        def added(name: str = name, sums: list[Value] = sums) -> list[Value]:
            return [f.fadd(s, f.load(F32X16, place)) for s, place in zip(sums, places(name, 4), strict=True)]

        sums = f.when(f.given(g[name]), sums, added)

    def store_wide() -> list[Value]:
        for s, place in zip(sums, places("wide", 4), strict=True):
            f.store(s, place)
        return []

    def store_narrow() -> list[Value]:
        for s, place in zip(sums, places("narrow", 2), strict=True):
            f.store(narrow(f, s, native=native), place)
        return []

    def store_scaled() -> list[Value]:
        scale = f.at(g["scale"], f.mul(channel, 4))
        scales = [f.load(F32X16, scale, v * VECTOR_BYTES) for v in range(vectors)] * width
        products = [f.fmul(s, factor) for s, factor in zip(sums, scales, strict=True)]
        for product, place in zip(products, places("scaled", 2), strict=True):
            f.store(narrow(f, product, native=native), place)

        def store_both() -> list[Value]:
            for product, place in zip(products, places("scaled_wide", 4), strict=True):
                f.store(product, place)
            return []

        return f.when(f.given(g["scaled_wide"]), [], store_both)

    f.when(f.given(g["wide"]), [], store_wide)
    f.when(f.given(g["narrow"]), [], store_narrow)
    f.when(f.given(g["scaled"]), [], store_scaled)
