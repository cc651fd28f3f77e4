"""Sequence coding (section 8): intra pictures, QPs and resets by number, and runs of pictures to units and back.

    Schedule            what kind of picture number t is, by arithmetic alone
    SequenceEncoder     encode(planes) -> the bytes that follow in the file
    SequenceDecoder     pictures(units) -> decoded pictures, one at a time

The state of a picture is made when the picture is finished, from its pixels or from its feature, and it is the *next*
picture that says which (`use_ada_i`). The encoder knows from the schedule; the decoder reads one unit ahead.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from codec.dcvc_rt import DEFAULT_RESET_INTERVAL
from codec.dcvc_rt.coder import ModelTables, PictureDecoder, PictureEncoder, Trace
from codec.dcvc_rt.engine import Decoded, DecoderEngine, EncoderEngine
from codec.dcvc_rt.payload import wants_two_streams
from codec.dcvc_rt.units import ParameterSet, PictureUnit, UnitWriter
from codec.layout import MAX_QP, FileLayout
from codec.quality_cycle import inter_row
from latentcast.errors import BitstreamError, UserError


@dataclass(frozen=True, slots=True)
class Kind:
    """How one picture is coded. qp: row of the tables, shifted for inter pictures."""

    intra: bool
    qp: int
    use_ada_i: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """The kind of every picture, by its number from the start of the file; intra pictures do not restart the count.

    qp, qp_inter: base QPs 0..63 of intra and inter pictures (None: the same). intra_period: every picture whose number
    is a multiple of it is intra; 0 or less: only the first. reset_interval: inter pictures whose number is 1 modulo it
    build on the picture instead of the feature; 0 or less: never. Raises UserError for a QP out of range.
    """

    qp: int
    qp_inter: int | None = None
    intra_period: int = -1
    reset_interval: int = DEFAULT_RESET_INTERVAL

    def __post_init__(self) -> None:
        for qp in (self.qp, self.qp if self.qp_inter is None else self.qp_inter):
            if not 0 <= qp <= MAX_QP:
                raise UserError(f"there is no QP {qp}; choose one from 0 (smallest file) to {MAX_QP} (best picture).")

    def __getitem__(self, number: int) -> Kind:
        if number == 0 or (self.intra_period > 0 and number % self.intra_period == 0):
            return Kind(intra=True, qp=self.qp, use_ada_i=False)
        base = self.qp if self.qp_inter is None else self.qp_inter
        ada_i = self.reset_interval > 0 and number % self.reset_interval == 1
        return Kind(intra=False, qp=inter_row(base, number), use_ada_i=ada_i)


class SequenceEncoder:
    """Pictures of one size, in order, to the units of a file.

    two_streams: None for what the format asks for by the size (section 7.5), else forced. `state` and `check` are those
    of the newest picture, for who wants to hold a decoder against it.
    """

    def __init__(
        self,
        engine: EncoderEngine,
        tables: ModelTables,
        layout: FileLayout,
        schedule: Schedule,
        *,
        two_streams: bool | None = None,
    ) -> None:
        self.state: Tensor | None = None
        self.check = 0
        self._pictures = PictureEncoder(engine, tables, layout, warm=False)
        self._layout, self._schedule = layout, schedule
        self._two_streams = wants_two_streams(layout.width, layout.height) if two_streams is None else two_streams
        self._writer = UnitWriter()
        self._number = 0

    def encode(self, planes: NDArray[np.uint8]) -> bytes:
        """planes: code values, uint8 (3, height, width). Returns the units that follow in the file."""
        kind, following = self._schedule[self._number], self._schedule[self._number + 1]
        coded = self._pictures.encode(
            None if kind.intra else self.state,
            planes,
            qp=kind.qp,
            reset=following.use_ada_i,
            two_streams=self._two_streams,
        )
        self.state, self.check = coded.state, coded.check
        self._number += 1
        parameters = ParameterSet(self._layout.width, self._layout.height, kind.use_ada_i, self._two_streams)
        return self._writer.picture(parameters, intra=kind.intra, qp=kind.qp, payload=coded.payload)


@dataclass(frozen=True, slots=True)
class SequencePicture:
    """One decoded picture. decoded: valid until the next one. check: see `symbol_check`. trace: every integer of it."""

    number: int
    unit: PictureUnit
    decoded: Decoded
    check: int
    trace: Trace = field(repr=False)

    @property
    def picture(self) -> NDArray[np.float32]:
        """The picture before rounding, cropped: float32 (3, height, width), 0..1."""
        parameters = self.unit.parameters
        whole: NDArray[np.float32] = self.decoded.picture[0].float().cpu().numpy()
        return whole[:, : parameters.height, : parameters.width]


class SequenceDecoder:
    """Units to pictures. Holds one state, one payload, and the next one."""

    def __init__(self, engine: DecoderEngine, tables: ModelTables) -> None:
        self._engine, self._tables = engine, tables
        self._decoder: PictureDecoder | None = None

    def pictures(self, units: Iterable[PictureUnit]) -> Iterator[SequencePicture]:
        """Decode lazily. Raises BitstreamError with the offset in the file, after the pictures before the damage."""
        state: Tensor | None = None
        number = 0
        ahead = _Ahead(units)
        while (unit := ahead.take()) is not None:
            picture = self._decode(state, unit, number, reset=ahead.wants_reset())
            state = picture.decoded.state
            yield picture
            number += 1

    def _decode(self, state: Tensor | None, unit: PictureUnit, number: int, *, reset: bool) -> SequencePicture:
        layout = unit.parameters.layout
        if self._decoder is None or self._decoder.layout != layout:
            # Nothing of the size is allocated before z has been read out of the payload.
            self._decoder = PictureDecoder(self._engine, self._tables, layout, warm=False)
        try:
            decoded, check = self._decoder.decode(
                None if unit.intra else state,
                unit.payload,
                qp=unit.qp,
                reset=reset,
                two_streams=unit.parameters.two_streams,
            )
        except BitstreamError as error:
            raise BitstreamError(
                f"picture {number}: {error}", offset=unit.payload_offset + (error.offset or 0)
            ) from error
        assert self._decoder.trace is not None
        return SequencePicture(number, unit, decoded, check, self._decoder.trace)


class _Ahead:
    """Units with one known in advance. Damage ahead is kept until the picture before it has been taken."""

    def __init__(self, units: Iterable[PictureUnit]) -> None:
        self._units = iter(units)
        self._next: PictureUnit | None = None
        self._error: BitstreamError | None = None
        self._read()

    def take(self) -> PictureUnit | None:
        if self._error is not None:
            raise self._error
        unit = self._next
        if unit is not None:
            self._read()
        return unit

    def wants_reset(self) -> bool:
        """Whether the next unit builds on pixels; where there is none, it does not matter."""
        return self._next is not None and not self._next.intra and self._next.parameters.use_ada_i

    def _read(self) -> None:
        self._next = None
        try:
            self._next = next(self._units, None)
        except BitstreamError as error:
            self._error = error
