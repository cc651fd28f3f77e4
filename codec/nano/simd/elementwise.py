"""Kernels that are not products: patches, pixels, rounding, the two coding steps (`docs/nano.md`, "Latents").

All read one record (`codec.nano.simd.records`). Every operation here is exact or rounded once by IEEE 754, so its
result is the same on every processor.
"""

from codec.nano.simd.gemm import narrow
from codec.nano.simd.ir import F32X16, I32X16, VECTOR_BYTES, ZERO, Function, Value, i64
from codec.nano.simd.records import FIELD_BYTES, OPERATIONS, field

I8X16 = "<16 x i8>"
MIN_STEP = 0.5
SYMBOL_LIMIT = 127.0
Z_MIN, Z_MAX = -128.0, 127.0
PATCH = 8
PLANES = 3


class Operation:
    """The function of one operation: it takes the address of a record; `self[name]` is a field of it."""

    def __init__(self, name: str) -> None:
        self.f = Function(f"op_{name}", (("ptr", "record"),))
        self._name = name
        self._values: dict[str, Value] = {}
        for key in OPERATIONS[name]:
            kind = "ptr" if key in ADDRESSES else "i64"
            self._values[key] = self.f.load(kind, self.f.arguments[0], FIELD_BYTES * field(name, key))

    def __getitem__(self, key: str) -> Value:
        return self._values[key]

    def has(self, key: str) -> bool:
        return key in self._values

    def row(self, key: str, y: Value) -> Value:
        """Address of row y of a tensor."""
        return self.f.at(self[key], self.f.mul(y, self[f"{key}_row"]))

    def place(self, key: str, y: Value, x: Value) -> Value:
        """Address of position (y, x) of a tensor."""
        return self.f.at(self.row(key, y), self.f.mul(x, self[f"{key}_step"]))

    def row_or_null(self, key: str, y: Value) -> Value:
        """Address of row y, or null where the tensor is not wanted."""
        return self.f.select(self.f.given(self[key]), self.row(key, y), Value("ptr", "null"))


ADDRESSES = frozenset(
    [
        "a",
        "weights",
        "bias",
        "wide",
        "narrow",
        "scaled",
        "scaled_wide",
        "scale",
        "x",
        "base",
        "dc0",
        "dc0_bias",
        "dc2",
        "dc2_bias",
        "dc3",
        "dc3_bias",
        "ffn0",
        "ffn0_bias",
        "ffn2",
        "ffn2_bias",
        "ring",
        "mixed",
        "middle",
        "middle_narrow",
        "hidden",
        "picture",
        "out",
        "scratch",
        "patches",
        "y",
        "params",
        "mean",
        "symbols",
    ]
)


def _floats(f: Function, integers: Value, how: str) -> Value:
    return f.cast("sitofp", f.cast(how, integers, I32X16), F32X16)


def _round(f: Function, value: Value) -> Value:
    """To the nearest integer, ties to even, as torch and numpy round."""
    return f.call(F32X16, "llvm.roundeven.v16f32", value)


def _clamp(f: Function, value: Value, low: float, high: float) -> Value:
    return f.minimum(f.maximum(value, f.constant(low)), f.constant(high))


def _bytes(f: Function, value: Value) -> Value:
    """Integral floats as 16 bytes."""
    return f.cast("trunc", f.cast("fptosi", value, I32X16), I8X16)


def patches() -> Function:
    """Picture uint8 (3, H, W) to (H/8, W/8, 192) bfloat16 code values: exact. Channels are plane*64 + dy*8 + dx."""
    op = Operation("patches")
    f = op.f

    def row(y: Value) -> None:
        def patch(x: Value) -> None:
            out = f.at(op.row("out", y), f.mul(x, PLANES * PATCH * PATCH * 2))
            for plane in range(PLANES):
                source = f.at(op["picture"], f.mul(op["picture_plane"], plane))
                source = f.at(f.at(source, f.mul(f.mul(y, PATCH), op["picture_row"])), f.mul(x, PATCH))
                for dy in range(0, PATCH, 2):
                    halves = []
                    for _ in range(2):
                        halves.append(f.load("<8 x i8>", source))
                        source = f.at(source, op["picture_row"])
                    order = ", ".join(f"i32 {i}" for i in range(16))
                    both = f.let(I8X16, f"shufflevector {halves[0]}, {halves[1]}, <16 x i32> <{order}>")
                    bits = f.cast("bitcast", _floats(f, both, "zext"), I32X16)
                    # Eight significant bits: the lower half of the float is zero.
                    half = f.cast("trunc", f.let(I32X16, f"lshr {bits}, splat (i32 16)"), "<16 x i16>")
                    f.store(half, out, (plane * PATCH + dy) * PATCH * 2)

        f.each(op["columns"], 1, patch)

    f.each(op["rows"], 1, row)
    return f


def head(*, native: bool, vectors: int) -> Function:
    """conv1x1 to 192 channels, clamp to 0..1: pixels as uint8 (3, H, W) and patches as bfloat16, each unless null."""
    op = Operation("head")
    f = op.f
    null = Value("ptr", "null")
    channels = PLANES * PATCH * PATCH

    def row(y: Value) -> None:
        low = Value("float", "0.0")
        arguments = (
            *(op.row("a", y), op["a_step"], i64(1), ZERO, op["pairs"], op["weights"], op["bias"], op["blocks"]),
            *(op["columns"], low, null, ZERO, null, ZERO, op["scratch"], i64(4 * channels)),
            *(null, ZERO, null, ZERO, null, ZERO, null),
        )
        f.do(f"call void @row_product{vectors}({', '.join(map(str, arguments))})")
        keep, show = f.given(op["patches"]), f.given(op["picture"])

        def patch(x: Value) -> None:
            source = f.at(op["scratch"], f.mul(x, 4 * channels))
            kept = f.at(op.row("patches", y), f.mul(x, 2 * channels))
            shown = f.at(f.at(op["picture"], f.mul(f.mul(y, PATCH), op["picture_row"])), f.mul(x, PATCH))

            def value(vector: int) -> Value:
                """Clamped below by the product already."""
                return f.minimum(f.load(F32X16, source, VECTOR_BYTES * vector), f.constant(1.0))

            def store_patch() -> list[Value]:
                for vector in range(channels // 16):
                    f.store(narrow(f, value(vector), native=native), kept, 32 * vector)
                return []

            def store_pixels() -> list[Value]:
                for plane in range(PLANES):
                    pixels = f.at(shown, f.mul(op["picture_plane"], plane))
                    for pair in range(PATCH // 2):
                        code = _round(f, f.fmul(value(plane * PATCH // 2 + pair), f.constant(255.0)))
                        both = _bytes(f, code)
                        for half in range(2):
                            order = ", ".join(f"i32 {PATCH * half + i}" for i in range(PATCH))
                            part = f.let("<8 x i8>", f"shufflevector {both}, {I8X16} poison, <8 x i32> <{order}>")
                            f.store(part, pixels)
                            pixels = f.at(pixels, op["picture_row"])
                return []

            f.when(keep, [], store_patch)
            f.when(show, [], store_pixels)

        f.each(op["columns"], 1, patch)

    f.each(op["rows"], 1, row)
    return f


def _step(f: Function, params: Value, offset: Value | int) -> Value:
    return f.maximum(f.load(F32X16, params, offset), f.constant(MIN_STEP))


def _half(f: Function, y: Value, x: Value) -> Value:
    """0 where channels 0..31 are coded in step 0, 1 where 32..63 are: row plus column, modulo 2."""
    return f.let("i64", f"and i64 {f.add(y, x).name}, 1")


def quantise() -> Function:
    """Symbols of one coding step, int8: clamp(round(y / step - mean), -127, 127); `parity` 0 or 1 names the step."""
    op = Operation("quantise")
    f = op.f

    def row(y: Value) -> None:
        def position(x: Value) -> None:
            half = f.let("i64", f"xor i64 {_half(f, y, x).name}, {op['parity'].name}")
            first = f.mul(half, 32)
            latents, params, mean = op.place("y", y, x), op.place("params", y, x), op.place("mean", y, x)
            symbols = f.at(op.row("symbols", y), f.mul(x, 64))
            for v in range(2):
                channel = f.add(first, 16 * v)
                offset = f.mul(channel, 4)
                scaled = f.fdiv(f.load(F32X16, latents, offset), _step(f, params, offset))
                value = _round(f, f.fsub(scaled, f.load(F32X16, mean, offset)))
                f.store(_bytes(f, _clamp(f, value, -SYMBOL_LIMIT, SYMBOL_LIMIT)), symbols, channel)

        f.each(op["columns"], 1, position)

    f.each(op["rows"], 1, row)
    return f


def dequantise_first(*, native: bool) -> Function:
    """symbol + mean where step 0 codes, 0 elsewhere, bfloat16: what the spatial prior sees."""
    op = Operation("dequantise_first")
    f = op.f

    def row(y: Value) -> None:
        def position(x: Value) -> None:
            half = _half(f, y, x)
            first, other = f.mul(half, 32), f.mul(f.let("i64", f"xor i64 {half.name}, 1"), 32)
            params, out = op.place("params", y, x), op.place("out", y, x)
            symbols = f.at(op.row("symbols", y), f.mul(x, 64))
            for v in range(2):
                channel = f.add(first, 16 * v)
                mean = f.load(F32X16, params, f.add(f.mul(channel, 4), 256))
                value = f.fadd(_floats(f, f.load(I8X16, symbols, channel), "sext"), mean)
                f.store(narrow(f, value, native=native), out, f.mul(channel, 2))
                zeros = Value("<16 x i16>", "zeroinitializer")
                f.store(zeros, out, f.mul(f.add(other, 16 * v), 2))

        f.each(op["columns"], 1, position)

    f.each(op["rows"], 1, row)
    return f


def dequantise(*, native: bool) -> Function:
    """(symbol + mean of its step) * step, bfloat16: what the decoder network sees."""
    op = Operation("dequantise")
    f = op.f

    def row(y: Value) -> None:
        def position(x: Value) -> None:
            half = _half(f, y, x)
            params, out, mean_1 = op.place("params", y, x), op.place("out", y, x), op.place("mean", y, x)
            symbols = f.at(op.row("symbols", y), f.mul(x, 64))
            for v in range(4):
                in_step_0 = f.compare("eq", half, v // 2)
                mean = f.select(in_step_0, f.at(params, 256), mean_1)
                value = f.fadd(
                    _floats(f, f.load(I8X16, symbols, 16 * v), "sext"), f.load(F32X16, mean, VECTOR_BYTES * v)
                )
                value = f.fmul(value, _step(f, params, VECTOR_BYTES * v))
                f.store(narrow(f, value, native=native), out, 32 * v)

        f.each(op["columns"], 1, position)

    f.each(op["rows"], 1, row)
    return f


def round_z(*, native: bool) -> Function:
    """clamp(round(z), -128, 127) of `count` floats, in place, and as bfloat16, which holds them exactly."""
    op = Operation("round")
    f = op.f

    def vector(index: Value) -> None:
        place = f.at(op["x"], f.mul(index, 4))
        value = _clamp(f, _round(f, f.load(F32X16, place)), Z_MIN, Z_MAX)
        f.store(value, place)
        f.store(narrow(f, value, native=native), op["narrow"], f.mul(index, 2))

    f.each(op["count"], 16, vector)
    return f


def narrow_all(*, native: bool) -> Function:
    """`count` floats, a multiple of 16, to bfloat16."""
    op = Operation("narrow")
    f = op.f

    def vector(index: Value) -> None:
        value = f.load(F32X16, op["x"], f.mul(index, 4))
        f.store(narrow(f, value, native=native), op["narrow"], f.mul(index, 2))

    f.each(op["count"], 16, vector)
    return f


def pad() -> Function:
    """Replicate the last column and then the last row of a tensor; `x_step` is a multiple of 64 bytes."""
    op = Operation("pad")
    f = op.f

    def copy(target: Value, source: Value, count: Value) -> None:
        def chunk(index: Value) -> None:
            f.store(f.load(I32X16, source, index), target, index)

        f.each(count, VECTOR_BYTES, chunk)

    def row(y: Value) -> None:
        last = op.place("x", y, f.sub(op["columns"], 1))

        def column(x: Value, _: list[Value]) -> list[Value]:
            copy(op.place("x", y, x), last, op["x_step"])
            return []

        f.loop(op["columns"], op["padded_columns"], 1, [], column)

    f.each(op["rows"], 1, row)
    bottom = op.row("x", f.sub(op["rows"], 1))

    def below(y: Value, _: list[Value]) -> list[Value]:
        copy(op.row("x", y), bottom, f.mul(op["padded_columns"], op["x_step"]))
        return []

    f.loop(op["rows"], op["padded_rows"], 1, [], below)
    return f
