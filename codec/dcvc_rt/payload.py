"""The payload of one picture: z, then y step by step, in one rANS stream or in two side by side (section 7).

The tables of a step follow from the symbols of the steps before, through the network, so a payload is read piece by
piece. Two streams halve the time of the coder; each gets one half of every segment and its own thread.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from codec import rans
from codec.dcvc_rt import HYPER_CHANNELS, SKIPPED
from codec.dcvc_rt.tables import EntropyTables
from codec.rans import StreamDecoder
from latentcast.errors import BitstreamError

# Pictures with more pixels are written as two streams (section 7.5).
TWO_STREAMS_ABOVE = 1280 * 720
# Zero bytes at the joint that the two streams may share.
_MAX_OVERLAP = 8

# The second stream of a picture; the first runs in the caller's thread.
_second = ThreadPoolExecutor(1, thread_name_prefix="rans")


def wants_two_streams(width: int, height: int) -> bool:
    return width * height > TWO_STREAMS_ABOVE


def encode_payload(
    z: NDArray[np.int8],
    symbols: NDArray[np.int8],
    indexes: NDArray[np.uint8],
    *,
    qp: int,
    tables: EntropyTables,
    two_streams: bool,
) -> bytes:
    """z: (128, h, w). symbols, indexes: (steps, 64, rows, columns), indexes `SKIPPED` where nothing is coded."""
    segments = [(z.ravel(), tables.z_rows(qp, z[0].size))]
    for step_symbols, step_indexes in zip(symbols, indexes, strict=True):
        coded = step_indexes != SKIPPED
        segments.append((step_symbols[coded], step_indexes[coded].astype(np.uint16)))
    return encode_segments(segments, tables, two_streams=two_streams)


def encode_segments(
    segments: list[tuple[NDArray[np.int8], NDArray[np.uint16]]], tables: EntropyTables, *, two_streams: bool
) -> bytes:
    """Symbols and their table numbers, segment by segment in decoding order (7.4, 7.5)."""
    if not two_streams:
        return _encode(segments, tables)
    halves = [
        [(s[: len(s) // 2], r[: len(s) // 2]) for s, r in segments],
        [(s[len(s) // 2 :], r[len(s) // 2 :]) for s, r in segments],
    ]
    second = _second.submit(_encode, halves[1], tables)
    return join(_encode(halves[0], tables), second.result())


def _encode(segments: list[tuple[NDArray[np.int8], NDArray[np.uint16]]], tables: EntropyTables) -> bytes:
    symbols = np.concatenate([s for s, _ in segments])
    rows = np.concatenate([r for _, r in segments])
    return rans.encode(symbols, rows, tables.tables)


def join(first: bytes, second: bytes) -> bytes:
    """Both streams in one run of bytes: the second is read from the back, and zeros at the joint are shared."""
    return first + second[: len(second) - overlap(first, second)][::-1]


def overlap(first: bytes, second: bytes) -> int:
    """Bytes that `join` shares: up to 8 final zeros of both, or else one final byte that is the same."""
    shared = 0
    while shared < min(_MAX_OVERLAP, len(first), len(second)) and first[-1 - shared] == second[-1 - shared] == 0:
        shared += 1
    return 1 if shared == 0 and first[-1] == second[-1] else shared


class PayloadDecoder:
    """Reads a payload: `z` once, then `step` for every coding step, then `finish`.

    All raise BitstreamError with the offset in the payload when it is damaged. After the last step both streams must
    be back in their starting state and every byte used (section 10.8).
    """

    def __init__(self, payload: bytes, tables: EntropyTables, *, two_streams: bool) -> None:
        self._payload = payload
        self._tables = tables
        data = np.frombuffer(payload, np.uint8).copy()
        # numba takes contiguous arrays only, so what is read from the back is turned round.
        views = [data, np.ascontiguousarray(data[::-1])] if two_streams else [data]
        self._streams = [StreamDecoder(view, tables.tables) for view in views]

    def z(self, shape: tuple[int, int], *, qp: int) -> NDArray[np.int8]:
        """z symbols, (128, rows, columns) with `shape` = (rows, columns)."""
        rows, columns = shape
        return self.segment(self._tables.z_rows(qp, rows * columns)).reshape(HYPER_CHANNELS, rows, columns)

    def step(self, indexes: NDArray[np.uint8]) -> NDArray[np.int8]:
        """Symbols of one step in the shape of its table numbers; 0 where nothing was coded."""
        coded = indexes != SKIPPED
        symbols = np.zeros(indexes.shape, np.int8)
        symbols[coded] = self.segment(indexes[coded].astype(np.uint16))
        return symbols

    def finish(self) -> None:
        self._streams[0].check()
        if len(self._streams) > 1:
            try:
                self._streams[1].check()
            except BitstreamError as error:
                raise self._from_back(error) from error
        used = [stream.used for stream in self._streams]
        size = len(self._payload)
        shared = sum(used) - size
        if len(used) == 1:
            if shared != 0:
                raise BitstreamError(f"{-shared} surplus bytes after the last symbol", offset=used[0])
            return
        first, second = self._payload[: used[0]], self._payload[size - used[1] :][::-1]
        if shared < 0 or shared != overlap(first, second):
            raise BitstreamError("the two streams of a picture do not meet", offset=used[0])

    def segment(self, rows: NDArray[np.uint16]) -> NDArray[np.int8]:
        """The next symbols, coded with these table numbers."""
        if len(self._streams) == 1:
            return self._streams[0].decode(rows)
        half = len(rows) // 2
        second = _second.submit(self._streams[1].decode, rows[half:])
        try:
            first = self._streams[0].decode(rows[:half])
        finally:
            # Its error is the one to report only where the first stream has none.
            problem = second.exception()
        if isinstance(problem, BitstreamError):
            raise self._from_back(problem) from problem
        if problem is not None:
            raise problem
        return np.concatenate((first, second.result()))

    def _from_back(self, error: BitstreamError) -> BitstreamError:
        """An error of the second stream, which is read from the back, with its offset from the front."""
        back = error.offset or 0
        return BitstreamError(str(error), offset=max(0, len(self._payload) - 1 - back))
