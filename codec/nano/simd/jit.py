"""Compile the kernels for this processor, in memory: nothing is installed or written, no compiler is needed."""

import ctypes
from collections.abc import Callable
from functools import cache

import numpy as np
from llvmlite import binding
from numpy.typing import NDArray

from codec.nano.simd.isa import Isa, host
from codec.nano.simd.kernels import ENTRY, module


class Kernels:
    """The compiled module: a quarter of a second of work. Raises RuntimeError where LLVM cannot compile it."""

    def __init__(self, isa: Isa) -> None:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        self.isa = isa
        parsed = binding.parse_assembly(module(isa))
        parsed.triple = binding.get_process_triple()
        parsed.verify()
        target = binding.Target.from_triple(parsed.triple)
        machine = target.create_target_machine(cpu=isa.cpu, features=isa.features, opt=2)
        self._engine = binding.create_mcjit_compiler(parsed, machine)
        self._engine.finalize_object()
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
        self._run: Callable[[int, int], None] = prototype(self._engine.get_function_address(ENTRY))

    def run(self, records: NDArray[np.int64]) -> None:
        """Run the records of a network, (operations, RECORD_FIELDS), without the interpreter lock.

        Every address in them must be valid for the sizes beside it.
        """
        self._run(records.ctypes.data, len(records))


@cache
def kernels() -> Kernels:
    """For this processor, compiled once a process. Raises RuntimeError where they cannot be."""
    return Kernels(host())
