"""One picture to a payload and back: the networks of `engine` with the entropy coder of `payload` between them.

Nothing is remembered in between. Files (`codec.dcvc_rt.sequence`) and live frames (`codec.dcvc_rt.live`) differ in what
they write around the payload, not in this.
"""

import time
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from codec.dcvc_rt.engine import Decoded, DecoderEngine, EncoderEngine
from codec.dcvc_rt.payload import PayloadDecoder, encode_payload
from codec.dcvc_rt.tables import EntropyTables
from codec.encoder import Timing
from codec.layout import Layout
from codec.padding import pad


@dataclass(frozen=True, slots=True)
class ModelTables:
    """Tables of both models."""

    image: EntropyTables
    video: EntropyTables

    def of(self, *, intra: bool) -> EntropyTables:
        return self.image if intra else self.video


@dataclass(frozen=True, slots=True)
class CodedPicture:
    """payload: section 7. check: CRC-32 of all symbols, see `symbol_check`. state: what the next picture builds on."""

    payload: bytes
    check: int
    state: Tensor


@dataclass(frozen=True, slots=True)
class Trace:
    """Every integer of a picture: z (128, h, w), symbols and table numbers (steps, 64, rows, columns)."""

    z: NDArray[np.int8]
    symbols: NDArray[np.int8]
    indexes: NDArray[np.uint8]


def symbol_check(z: NDArray[np.int8], symbols: NDArray[np.int8]) -> int:
    """CRC-32 of the symbols of a picture, z first, then step by step, folded, skipped ones as 0.

    Two machines that round differently read different symbols out of the same bytes; this tells.
    """
    return zlib.crc32(symbols.tobytes(), zlib.crc32(z.tobytes()))


class PictureEncoder:
    """Pictures of one size to payloads. warm: see `EncoderEngine.prepare`."""

    def __init__(self, engine: EncoderEngine, tables: ModelTables, layout: Layout, *, warm: bool = True) -> None:
        self.layout = layout
        self.timing = Timing(0.0, 0.0, 0.0)
        self.trace: Trace | None = None
        self._engine, self._tables = engine, tables
        self._padded = np.zeros((3, layout.padded_height, layout.padded_width), np.uint8)
        engine.prepare(layout, warm=warm)

    def encode(
        self, state: Tensor | None, planes: NDArray[np.uint8], *, qp: int, reset: bool, two_streams: bool
    ) -> CodedPicture:
        """planes: uint8 (3, height, width). qp: row of the tables, 0..63 intra (state None), 0..71 inter."""
        started = time.perf_counter()
        pad(planes, self._padded)
        network_started = time.perf_counter()
        if state is None:
            coded = self._engine.intra(self._padded, qp)
        else:
            coded = self._engine.inter(self._padded, state, qp, reset=reset)
        network_done = time.perf_counter()
        payload = encode_payload(
            coded.z,
            coded.symbols,
            coded.indexes,
            qp=qp,
            tables=self._tables.of(intra=state is None),
            two_streams=two_streams,
        )
        check = symbol_check(coded.z, coded.symbols)
        done = time.perf_counter()
        self.timing = Timing(network_done - network_started, done - network_done, done - started)
        self.trace = Trace(coded.z, coded.symbols, coded.indexes)
        return CodedPicture(payload, check, coded.state)


class PictureDecoder:
    """Payloads to pictures of one size. warm: see `DecoderEngine.prepare`."""

    def __init__(self, engine: DecoderEngine, tables: ModelTables, layout: Layout, *, warm: bool = True) -> None:
        self.layout = layout
        self.timing = Timing(0.0, 0.0, 0.0)
        self.trace: Trace | None = None
        self._engine, self._tables = engine, tables
        engine.prepare(layout, warm=warm)

    def decode(
        self,
        state: Tensor | None,
        payload: bytes,
        *,
        qp: int,
        reset: bool,
        two_streams: bool,
    ) -> tuple[Decoded, int]:
        """The picture and the check of its symbols. Raises BitstreamError, with the offset in the payload."""
        started = time.perf_counter()
        entropy_s = 0.0
        reader = PayloadDecoder(payload, self._tables.of(intra=state is None), two_streams=two_streams)
        # Before the networks: what is damaged mostly shows here, and costs nothing then.
        z = reader.z(self.layout.hyper_shape, qp=qp)
        entropy_s += time.perf_counter() - started
        frame = self._engine.intra(qp) if state is None else self._engine.inter(state, qp, reset=reset)
        indexes = [frame.begin(z).copy()]
        symbols = []
        for step in range(frame.steps):
            began = time.perf_counter()
            symbols.append(reader.step(indexes[step]))
            entropy_s += time.perf_counter() - began
            if step < frame.steps - 1:
                indexes.append(frame.advance(symbols[step]).copy())
        reader.finish()
        decoded = frame.finish(symbols[-1])
        total_s = time.perf_counter() - started
        self.timing = Timing(total_s - entropy_s, entropy_s, total_s)
        self.trace = Trace(z, np.stack(symbols), np.stack(indexes))
        return decoded, symbol_check(z, self.trace.symbols)
