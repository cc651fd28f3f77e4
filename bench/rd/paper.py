"""The paper's profile as a codec, under the published test condition: its own file format, one intra picture, a reset
every 64 pictures, skip threshold 0.12, the same QP for both models (`docs/dcvc-rt.md`, section 10.5).
"""

import time
from collections.abc import Iterator
from pathlib import Path

from bench.rd.clips import Clip
from bench.rd.coding import Coded, Planes
from bench.rd.neural import to_420, to_444
from codec.dcvc_rt import DEFAULT_SKIP_THRESHOLD
from codec.dcvc_rt.models import Models, cpu_threads
from codec.dcvc_rt.sequence import Schedule, SequenceDecoder, SequenceEncoder
from codec.dcvc_rt.units import UnitReader
from codec.layout import MAX_QP, FileLayout
from latentcast.errors import BitstreamError, UserError

DEFAULT_POINTS = (0, 21, 42, 63)
RESET_INTERVAL = 64


class PaperCodec:
    """See RateDistortionCodec. Raises UserError for a QP outside 0..63."""

    name = "dcvc-rt"
    point_name = "QP"

    def __init__(self, models: Models, *, points: tuple[int, ...] | None = None) -> None:
        self.points = points or DEFAULT_POINTS
        if wrong := [point for point in self.points if not 0 <= point <= MAX_QP]:
            raise UserError(f"{self.name} has no QP {wrong[0]}; expected 0 to {MAX_QP}.")
        models.skip(DEFAULT_SKIP_THRESHOLD)
        self._models = models
        precision = "float16 on a GPU" if models.cuda else "float32 on the CPU, one thread"
        self.settings = (
            f"{precision}, one intra picture, reset interval {RESET_INTERVAL}, skip threshold {DEFAULT_SKIP_THRESHOLD}"
        )

    def code(self, clip: Clip, point: int, *, folder: Path) -> Coded:
        """See RateDistortionCodec."""
        models = self._models
        layout = FileLayout(clip.width, clip.height)
        schedule = Schedule(point, reset_interval=RESET_INTERVAL)
        encoder = SequenceEncoder(models.encoder(), models.tables, layout, schedule)
        path = folder / "clip.bin"
        started = time.perf_counter()
        # The number of threads is part of the arithmetic: one, so that the table does not depend on the machine.
        with cpu_threads(1), path.open("wb") as file:
            for planes in clip:
                file.write(encoder.encode(to_444(planes)))
        encode_s = time.perf_counter() - started
        return Coded(path.stat().st_size, encode_s, 1, self._decode(path))

    def _decode(self, path: Path) -> Iterator[Planes]:
        decoder = SequenceDecoder(self._models.decoder(), self._models.tables)
        with path.open("rb") as file:
            try:
                pictures = decoder.pictures(UnitReader(file))
                while True:
                    with cpu_threads(1):
                        picture = next(pictures, None)
                        if picture is None:
                            return
                        # Not rounded, as the published results were measured.
                        planes = to_420(255 * picture.picture)
                    yield planes
            except BitstreamError as error:
                raise UserError(f"a file just written cannot be decoded ({error}).") from error
