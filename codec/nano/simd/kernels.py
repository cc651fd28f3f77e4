"""The module of kernels: convolutions, whole blocks row by row, and the interpreter that runs a network in one call.

A block is computed row by row, so that everything between its input and its output stays in the nearest cache: a ring
of three rows in front of the depthwise layer, and one row of each later intermediate.
"""

from codec.nano.simd import elementwise
from codec.nano.simd.elementwise import Operation
from codec.nano.simd.gemm import DOT, NARROW, PARAMETERS, narrow, row_product
from codec.nano.simd.ir import F32X16, NULL, VECTOR_BYTES, ZERO, Function, Value, i64
from codec.nano.simd.isa import Isa
from codec.nano.simd.records import FIELD_BYTES, OPERATIONS, RECORD_FIELDS

NO_BOUND = Value("float", "0xFFF0000000000000")  # minus infinity
RELU = Value("float", "0.0")
ENTRY = "run"


def _call(f: Function, function: str, arguments: dict[str, Value]) -> None:
    """Call a row product; what is not named is null or 0."""
    values = []
    for kind, name in PARAMETERS:
        values.append(arguments.pop(name, NULL if kind == "ptr" else ZERO))
    assert not arguments, arguments
    f.do(f"call void @{function}({', '.join(map(str, values))})")


def _outputs(op: Operation, y: Value) -> dict[str, Value]:
    arguments = {"scale": op["scale"]}
    for name in ("wide", "narrow", "scaled", "scaled_wide"):
        arguments[name] = op.row_or_null(name, y)
        arguments[f"{name}_step"] = op[f"{name}_step"]
    return arguments


def convolution(vectors: int) -> Function:
    """1x1, or k x k as k segments: a segment holds k neighbouring positions, the next one lies a row on."""
    op = Operation(f"convolution{vectors}")
    f = op.f
    low = f.select(f.compare("ne", op["relu"], 0), RELU, NO_BOUND)

    def row(y: Value) -> None:
        arguments = {
            "a": op.row("a", y),
            "low": low,
            "positions": op["columns"],
            **{name: op[name] for name in ("a_step", "segments", "segment_step", "pairs", "weights", "bias", "blocks")},
            **_outputs(op, y),
        }
        _call(f, f"row_product{vectors}", arguments)

    f.each(op["rows"], 1, row)
    return f


def block(vectors: int) -> Function:
    """One LiteBlock without its adaptor (`docs/nano.md`, "Blocks"). Input and output may be the same tensors."""
    op = Operation(f"block{vectors}")
    f = op.f
    product = f"row_product{vectors}"
    columns, channels, blocks = op["columns"], op["channels"], op["blocks"]
    pairs = f.let("i64", f"lshr i64 {channels.name}, 1")
    wide, half = f.mul(channels, 4), f.mul(channels, 2)
    common = {"segments": i64(1), "positions": columns}
    # Ring rows 0..2; row 3 stays zero and stands for what is above and below the picture.
    nothing = f.at(op["ring"], f.mul(op["ring_row"], 3))

    def ring(y: Value) -> Value:
        return f.at(op["ring"], f.mul(f.remainder(y, 3), op["ring_row"]))

    def row(step: Value) -> None:
        def enter() -> list[Value]:
            arguments = {
                "a": op.row("x", step),
                "a_step": op["x_step"],
                "pairs": pairs,
                "weights": op["dc0"],
                "bias": op["dc0_bias"],
                "blocks": blocks,
                "low": RELU,
                "wide": f.at(ring(step), wide),
                "wide_step": wide,
            }
            _call(f, product, common | arguments)
            return []

        f.when(f.compare("slt", step, op["rows"]), [], enter)
        f.when(f.compare("sgt", step, 0), [], lambda: leave(f.sub(step, 1)))

    def leave(y: Value) -> list[Value]:
        below = f.add(y, 1)
        top = f.select(f.compare("eq", y, 0), nothing, ring(f.add(y, 2)))
        bottom = f.select(f.compare("slt", below, op["rows"]), ring(below), nothing)
        arguments = (top, ring(y), bottom, op["dc2"], op["dc2_bias"], op["mixed"], columns, channels)
        f.do(f"call void @depthwise({', '.join(map(str, arguments))})")
        base = {"residual": op.row("base", y), "residual_step": op["base_step"]}
        mix = {
            "a": op["mixed"],
            "a_step": half,
            "pairs": pairs,
            "weights": op["dc3"],
            "bias": op["dc3_bias"],
            "blocks": blocks,
            "low": NO_BOUND,
            "wide": op["middle"],
            "wide_step": wide,
            "narrow": op["middle_narrow"],
            "narrow_step": half,
        }
        _call(f, product, common | base | mix)
        expand = {
            "a": op["middle_narrow"],
            "a_step": half,
            "pairs": pairs,
            "weights": op["ffn0"],
            "bias": op["ffn0_bias"],
            "blocks": f.mul(blocks, 2),
            "low": RELU,
            "narrow": op["hidden"],
            "narrow_step": wide,
        }
        _call(f, product, common | expand)
        wanted = f.compare("ne", op["shortcut"], 0)
        contract = {
            "a": op["hidden"],
            "a_step": wide,
            "pairs": channels,
            "weights": op["ffn2"],
            "bias": op["ffn2_bias"],
            "blocks": blocks,
            "low": NO_BOUND,
            "residual": op["middle"],
            "residual_step": wide,
            "shortcut": f.select(wanted, op.row("base", y), NULL),
            "shortcut_step": op["base_step"],
            **_outputs(op, y),
        }
        _call(f, product, common | contract)
        return []

    f.each(f.add(op["rows"], 1), 1, row)
    return f


def depthwise(*, native: bool) -> Function:
    """One row of a depthwise 3x3 in float32, out as bfloat16.

    The three input rows have a zero position at each end. Weights are (9, channels), down the columns of the kernel
    first; channels are a multiple of 32. Every input is loaded once and serves three outputs.
    """
    names = ("top", "middle", "bottom", "weights", "bias", "out")
    f = Function("depthwise", (*(("ptr", name) for name in names), ("i64", "columns"), ("i64", "channels")))
    *rows, weights, bias, out, columns, channels = f.arguments
    step, half = f.mul(channels, 4), f.mul(channels, 2)

    def group(channel: Value) -> None:
        lanes = [f.mul(f.add(channel, 16 * v), 4) for v in range(2)]
        taps = [[f.load(F32X16, f.at(weights, f.mul(step, t)), lane) for lane in lanes] for t in range(9)]
        biases = [f.load(F32X16, bias, lane) for lane in lanes]

        def column(x: Value, tap: int, sums: list[Value], inputs: list[list[Value]]) -> list[Value]:
            return [
                f.fma(
                    inputs[2][v],
                    taps[tap + 2][v],
                    f.fma(inputs[1][v], taps[tap + 1][v], f.fma(inputs[0][v], taps[tap][v], s)),
                )
                for v, s in enumerate(sums)
            ]

        def inputs(x: Value) -> list[list[Value]]:
            offset = f.mul(x, step)
            return [[f.load(F32X16, f.at(row, offset), lane) for lane in lanes] for row in rows]

        left, here = inputs(ZERO), inputs(i64(1))
        finishing = column(ZERO, 3, column(ZERO, 0, biases, left), here)
        started = column(ZERO, 0, biases, here)

        def body(x: Value, carried: list[Value]) -> list[Value]:
            seen = inputs(f.add(x, 2))
            done = column(x, 6, carried[:2], seen)
            place = f.at(out, f.add(f.mul(x, half), f.mul(channel, 2)))
            for v, value in enumerate(done):
                f.store(narrow(f, value, native=native), place, VECTOR_BYTES // 2 * v)
            return [*column(x, 3, carried[2:], seen), *column(x, 0, biases, seen)]

        f.loop(ZERO, columns, 1, [*finishing, *started], body)

    f.each(channels, 32, group)
    return f


def interpreter() -> Function:
    """run(records, count): every record in turn."""
    f = Function(ENTRY, (("ptr", "records"), ("i64", "count")))
    records, count = f.arguments

    def step(index: Value) -> None:
        record = f.at(records, f.mul(index, RECORD_FIELDS * FIELD_BYTES))
        operation = f.load("i64", record)
        for number, name in enumerate(OPERATIONS):

            def execute(name: str = name) -> list[Value]:
                f.do(f"call void @op_{name}({record})")
                return []

            f.when(f.compare("eq", operation, number), [], execute)

    f.each(count, 1, step)
    return f


def module(isa: Isa) -> str:
    """The text of the whole module for one instruction set."""
    native = isa.dot_product
    functions = [row_product(f"row_product{v}", vectors=v, tile=isa.tiles[v], native=native) for v in (2, 3, 4)]
    functions += [depthwise(native=native)]
    functions += [convolution(v) for v in (2, 3, 4)] + [block(v) for v in (2, 3, 4)]
    functions += [
        elementwise.head(native=native, vectors=isa.vectors[0]),
        elementwise.patches(),
        elementwise.quantise(),
        elementwise.dequantise_first(native=native),
        elementwise.dequantise(native=native),
        elementwise.round_z(native=native),
        elementwise.narrow_all(native=native),
        elementwise.pad(),
    ]
    functions += [interpreter()]
    declarations = [f"declare {F32X16} @llvm.fma.v16f32({F32X16}, {F32X16}, {F32X16})"]
    declarations += [f"declare {F32X16} @llvm.roundeven.v16f32({F32X16})"]
    if native:
        declarations += [f"declare {F32X16} @{DOT}({F32X16}, <32 x bfloat>, <32 x bfloat>)"]
        declarations += [f"declare <16 x bfloat> @{NARROW}({F32X16})"]
    return "\n".join([*declarations, *(function.text(isa.attributes) for function in functions)])
