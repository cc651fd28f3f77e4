"""A small writer of LLVM IR as text: values are names, loops carry their values explicitly.

Just what the kernels of this package need. Loops and conditions come out in SSA form with phi nodes, so the module
needs no optimisation passes before code generation.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

F32X16 = "<16 x float>"
I32X16 = "<16 x i32>"
I16X16 = "<16 x i16>"
VECTOR_BYTES = 64


@dataclass(frozen=True, slots=True)
class Value:
    """A typed SSA value or constant."""

    type: str
    name: str

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


def i64(value: int) -> Value:
    return Value("i64", str(value))


NULL = Value("ptr", "null")
ZERO = i64(0)


@dataclass
class Function:
    """One function being written. Instructions are appended to the current basic block."""

    name: str
    parameters: Sequence[tuple[str, str]]
    _lines: list[str] = field(default_factory=list)
    _count: int = 0
    _block: str = "entry"

    @property
    def arguments(self) -> list[Value]:
        return [Value(kind, f"%{name}") for kind, name in self.parameters]

    def text(self, attributes: str) -> str:
        """The finished definition. Functions return nothing."""
        parameters = ", ".join(f"{kind} %{name}" for kind, name in self.parameters)
        body = "\n".join(self._lines)
        return f"define void @{self.name}({parameters}) noinline {attributes} {{\nentry:\n{body}\n  ret void\n}}\n"

    def _fresh(self, stem: str = "v") -> str:
        self._count += 1
        return f"{stem}{self._count}"

    def do(self, line: str) -> None:
        self._lines.append("  " + line)

    def let(self, kind: str, expression: str) -> Value:
        """A new value of type `kind`."""
        value = Value(kind, "%" + self._fresh())
        self.do(f"{value.name} = {expression}")
        return value

    # Integers and addresses -------------------------------------------------------------------------------------

    def add(self, a: Value, b: Value | int) -> Value:
        return self.let("i64", f"add i64 {a.name}, {b if isinstance(b, int) else b.name}")

    def sub(self, a: Value, b: Value | int) -> Value:
        return self.let("i64", f"sub i64 {a.name}, {b if isinstance(b, int) else b.name}")

    def mul(self, a: Value, b: Value | int) -> Value:
        return self.let("i64", f"mul i64 {a.name}, {b if isinstance(b, int) else b.name}")

    def remainder(self, a: Value, b: int) -> Value:
        return self.let("i64", f"urem i64 {a.name}, {b}")

    def compare(self, how: str, a: Value, b: Value | int) -> Value:
        """`how` is an icmp predicate."""
        other = b if isinstance(b, int) else b.name
        return self.let("i1", f"icmp {how} {a.type} {a.name}, {other}")

    def given(self, pointer: Value) -> Value:
        """True where a pointer is not null."""
        return self.let("i1", f"icmp ne ptr {pointer.name}, null")

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        return self.let(a.type, f"select {condition}, {a}, {b}")

    def at(self, pointer: Value, offset: Value | int) -> Value:
        """The address `offset` bytes on. Null stays null for offset 0 only: test pointers before moving them."""
        step = i64(offset) if isinstance(offset, int) else offset
        return self.let("ptr", f"getelementptr i8, {pointer}, {step}")

    def load(self, kind: str, pointer: Value, offset: Value | int = 0) -> Value:
        address = pointer if isinstance(offset, int) and offset == 0 else self.at(pointer, offset)
        return self.let(kind, f"load {kind}, {address}, align 1")

    def store(self, value: Value, pointer: Value, offset: Value | int = 0) -> None:
        address = pointer if isinstance(offset, int) and offset == 0 else self.at(pointer, offset)
        self.do(f"store {value}, {address}, align 1")

    # Vectors of 16 floats -----------------------------------------------------------------------------------------

    def call(self, kind: str, function: str, *arguments: Value) -> Value:
        listed = ", ".join(map(str, arguments))
        return self.let(kind, f"call {kind} @{function}({listed})")

    def splat(self, scalar: Value) -> Value:
        kind = f"<16 x {scalar.type}>"
        one = self.let(kind, f"insertelement {kind} poison, {scalar}, i64 0")
        return self.let(kind, f"shufflevector {kind} {one.name}, {kind} poison, <16 x i32> zeroinitializer")

    def fadd(self, a: Value, b: Value) -> Value:
        return self.let(a.type, f"fadd {a.type} {a.name}, {b.name}")

    def fsub(self, a: Value, b: Value) -> Value:
        return self.let(a.type, f"fsub {a.type} {a.name}, {b.name}")

    def fmul(self, a: Value, b: Value) -> Value:
        return self.let(a.type, f"fmul {a.type} {a.name}, {b.name}")

    def fdiv(self, a: Value, b: Value) -> Value:
        return self.let(a.type, f"fdiv {a.type} {a.name}, {b.name}")

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        return self.call(F32X16, "llvm.fma.v16f32", a, b, c)

    def maximum(self, a: Value, b: Value) -> Value:
        mask = self.let("<16 x i1>", f"fcmp ogt {a.type} {a.name}, {b.name}")
        return self.let(a.type, f"select {mask}, {a}, {b}")

    def minimum(self, a: Value, b: Value) -> Value:
        mask = self.let("<16 x i1>", f"fcmp olt {a.type} {a.name}, {b.name}")
        return self.let(a.type, f"select {mask}, {a}, {b}")

    def constant(self, value: float) -> Value:
        """16 times a number that float32 holds exactly."""
        return Value(F32X16, f"splat (float {value:e})")

    def cast(self, how: str, value: Value, kind: str) -> Value:
        return self.let(kind, f"{how} {value} to {kind}")

    # Control flow -------------------------------------------------------------------------------------------------

    def _start(self, label: str) -> None:
        self._lines.append(f"{label}:")
        self._block = label

    def loop(
        self,
        start: Value,
        stop: Value,
        step: int,
        carried: Sequence[Value],
        body: Callable[[Value, list[Value]], Sequence[Value]],
    ) -> list[Value]:
        """for index in range(start, stop, step); `body(index, carried)` returns the next values. May run zero times."""
        before, head, inside, after = self._block, self._fresh("head"), self._fresh("body"), self._fresh("done")
        index, following = "%" + self._fresh("i"), "%" + self._fresh("n")
        phis = [Value(value.type, "%" + self._fresh("c")) for value in carried]
        self.do(f"br label %{head}")
        self._start(head)
        place = len(self._lines)
        test = self.let("i1", f"icmp slt i64 {index}, {stop.name}")
        self.do(f"br {test}, label %{inside}, label %{after}")
        self._start(inside)
        results = body(Value("i64", index), list(phis))
        self.do(f"{following} = add i64 {index}, {step}")
        last = self._block
        self.do(f"br label %{head}")
        nodes = [f"  {index} = phi i64 [ {start.name}, %{before} ], [ {following}, %{last} ]"]
        for phi, first, result in zip(phis, carried, results, strict=True):
            nodes.append(f"  {phi.name} = phi {phi.type} [ {first.name}, %{before} ], [ {result.name}, %{last} ]")
        self._lines[place:place] = nodes
        self._start(after)
        return phis

    def each(self, stop: Value, step: int, body: Callable[[Value], None]) -> None:
        """A loop from 0 that carries nothing."""

        def run(index: Value, _: list[Value]) -> list[Value]:
            body(index)
            return []

        self.loop(ZERO, stop, step, [], run)

    def when(self, condition: Value, values: Sequence[Value], body: Callable[[], Sequence[Value]]) -> list[Value]:
        """`body()` where the condition holds, `values` otherwise."""
        before, inside, after = self._block, self._fresh("then"), self._fresh("join")
        self.do(f"br {condition}, label %{inside}, label %{after}")
        self._start(inside)
        results = body()
        last = self._block
        self.do(f"br label %{after}")
        self._start(after)
        return [
            self.let(value.type, f"phi {value.type} [ {value.name}, %{before} ], [ {result.name}, %{last} ]")
            for value, result in zip(values, results, strict=True)
        ]
