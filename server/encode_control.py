"""One encode: whether a captured picture is coded, from which state, at which QP and size, and whether once more.

    decide(viewers) -> EncodeOrder -> (encoder) -> on_coded -> None: send it | EncodeOrder: code it again

Sans-IO: the server's rendition runs it around an encoder process, the simulation around recorded frame sizes. Of the
states it keeps only the names, in the same ring as the encoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from codec.layout import Layout
from codec.state import State, StateRing
from server.ladder import Ladder
from server.rate_controller import Choice, RateController
from server.renditions import LAG_S
from transport.packetiser import PacketisedFrame
from transport.references import choose_reference
from transport.sender import MediaSender

SHARED_INTRA_S = 1.0
"""A newcomer within this time of the last intra frame is sent that very frame, and the next one is coded from it."""
MIN_INTRA_INTERVAL_S = 0.3
"""Intra frames for viewers that have lost everything are at least this far apart: a third of a second of waiting."""
RESCUE_S = 1.0
"""Who watches with others and has fallen behind them is taken along this often: at the price of one frame from an older
state, or intra, for all."""
MAX_PINS = 8
"""States kept beyond the ring for viewers far behind: a few megabytes each at 1080p."""
_FPS_GAIN = 0.1
"""Rate of coded frames: exponential mean over about a third of a second."""
_SECOND_TRY_SHARE = 0.95
"""Both tries together may take this share of a frame interval, or the next picture would wait."""
_WAIT = -1
_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class EncodeOrder:
    """What to ask of the encoder."""

    frame_id: int
    captured_us: int
    reference_id: int | None
    """State to code from; None: intra."""
    intra_qp: int
    inter_qp: int
    """QP rows for either case: an encoder that has lost the state codes intra."""
    size: tuple[int, int]
    """Width and height to code at."""
    pins: tuple[int, ...]
    """States to keep beyond the ring."""
    choice: Choice
    target_bps: float
    """What frames may use."""
    started: float
    attempt: int


class EncodeControl:
    """One per encode, with one encoder behind it that codes one picture at a time."""

    def __init__(self, *, size: tuple[int, int], fps: float) -> None:
        """size: of the picture at full resolution; fps: of the source."""
        self._fps = fps
        self._interval_s = 1 / fps
        self._ladder = Ladder(fps=fps, size=size)
        self._size = self._ladder.size
        self._rate = RateController(Layout(*self._size).positions)
        self._ring = StateRing()
        self._coded = 0
        self._order_of: dict[int, int] = {}
        self._coded_fps = fps
        self._last_captured_us: int | None = None
        self._last_intra = float("-inf")
        self._intra_frame: PacketisedFrame | None = None
        """The newest one, for newcomers."""
        self._last_rescue = float("-inf")
        self._since_intra = 0
        self._forced = False
        """Somebody asked for an intra frame."""

    def force_intra(self) -> None:
        """Code the next picture from nothing."""
        self._forced = True

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that the next frame is coded at."""
        return self._size

    def on_encoder_lost(self) -> None:
        """The encoder was started again and holds no state."""
        self._ring.clear()
        self._order_of.clear()
        self._intra_frame = None
        self._last_intra = float("-inf")

    def decide(
        self,
        viewers: Sequence[MediaSender],
        *,
        frame_id: int,
        captured_us: int,
        now: float,
        standing: Sequence[MediaSender] | None = None,
        intra_interval: int | None = None,
    ) -> EncodeOrder | None:
        """Whether and how to code the picture `frame_id`. None: not this one.

        viewers: those that watch this encode. standing: those of them that have a say in its rate
        (`RenditionPlanner.in_good_standing`), None: all. intra_interval: frames from one intra frame to the next, for
        viewers whose arithmetic drifts.
        """
        self._admit(viewers, now)
        if not any(viewer.keeps_up(now) for viewer in viewers) or not self._due(captured_us):
            return None
        heard = [viewer for viewer in viewers if viewer.responsive(now)] or list(viewers)
        in_step = [v for v in heard if v.acks.ack_lag_s(now) < LAG_S and not v.wastes_intra(now)] or heard
        say = [viewer for viewer in in_step if standing is None or viewer in standing] or in_step
        target_bps = min(viewer.media_bps(now) for viewer in say)
        reference = self._reference(say, heard, now, intra_interval)
        if reference == _WAIT:
            return None
        self._note_rate(captured_us)
        age = 1 if reference is None else self._coded - self._order_of[reference] + 1
        choice = self._rate.choose(target_bps=target_bps, fps=self._paced_fps, age=age)
        return EncodeOrder(
            frame_id=frame_id,
            captured_us=captured_us,
            reference_id=reference,
            intra_qp=choice.intra_qp,
            inter_qp=choice.inter_qp,
            size=self._size,
            pins=self._pins(viewers),
            choice=choice,
            target_bps=target_bps,
            started=now,
            attempt=0,
        )

    def on_coded(
        self, order: EncodeOrder, *, size_bytes: int, qp: int, reference_id: int | None, now: float
    ) -> EncodeOrder | None:
        """What came out: size_bytes with packet headers, reference_id None if intra. Returns the order for a second
        try at another QP, whose result replaces this one, or None: `deliver` it."""
        intra = reference_id is None
        in_time = 2 * (now - order.started) < _SECOND_TRY_SHARE * self._interval_s
        if order.attempt == 0 and in_time:
            again = self._rate.again(order.choice, size_bytes=size_bytes, qp=qp, intra=intra)
            if again is not None:
                return replace(order, choice=again, intra_qp=again.intra_qp, inter_qp=again.inter_qp, attempt=1)
        self._rate.on_coded(
            order.choice, size_bytes=size_bytes, qp=qp, intra=intra, target_bps=order.target_bps, fps=self._paced_fps
        )
        self._coded += 1
        self._ring.pin((*order.pins, order.reference_id))
        self._ring.put(State(order.frame_id, None), intra=intra)
        self._order_of[order.frame_id] = self._coded
        self._order_of = {state: self._order_of[state] for state in self._ring.ids}
        self._since_intra = 1 if intra else self._since_intra + 1
        if intra:
            self._last_intra = now
            self._forced = False
        elif self._ladder.on_frame(order.choice, size_bytes=size_bytes, now=now):
            self._resize()
        return None

    def deliver(self, frame: PacketisedFrame, viewers: Sequence[MediaSender], now: float) -> None:
        """Give a coded frame to every viewer that can use it and keeps up."""
        if frame.reference_id is None:
            self._intra_frame = frame
        for viewer in viewers:
            if viewer.takes(frame.reference_id, now) and viewer.keeps_up(now):
                viewer.offer(frame, now)

    def _admit(self, viewers: Sequence[MediaSender], now: float) -> None:
        """Newcomers share the newest intra frame if it is fresh."""
        frame = self._intra_frame
        if frame is None or now - self._last_intra > SHARED_INTRA_S:
            return
        for viewer in viewers:
            if viewer.newest_offered is None:
                viewer.offer(frame, now)

    def _reference(
        self, say: Sequence[MediaSender], heard: Sequence[MediaSender], now: float, intra_interval: int | None
    ) -> int | None:
        """State to code from, None for intra, `_WAIT` to code nothing yet.

        say: who decides. The others must not be a burden to them, nor be shut out: newcomers are served, and who has
        fallen behind is taken along once in `RESCUE_S`, were it by an intra frame.
        """
        if self._forced or (intra_interval is not None and self._since_intra >= intra_interval):
            return None
        others = [viewer for viewer in heard if viewer not in say and not viewer.wastes_intra(now)]
        asking = [viewer for viewer in others if viewer.newest_offered is None]
        young = [viewer for viewer in others if viewer.is_new(now)]
        rescued: list[MediaSender] = []
        if now - self._last_rescue >= RESCUE_S:
            rescued = [viewer for viewer in others if viewer not in asking and viewer not in young]
            self._last_rescue = now if rescued else self._last_rescue
        found = self._common([*say, *asking, *young, *rescued], now)
        if found is not None:
            return found
        alone = self._common(say, now)
        since_s = now - self._last_intra
        if since_s >= (MIN_INTRA_INTERVAL_S if asking or alone is None else RESCUE_S if rescued else _NEVER):
            return None
        if alone is not None:
            return alone
        # Who has lost everything so soon after an intra frame waits; the others go on.
        able = [viewer for viewer in say if self._common([viewer], now) is not None]
        found = self._common(able, now) if able else None
        return _WAIT if found is None else found

    def _common(self, viewers: Sequence[MediaSender], now: float) -> int | None:
        """The newest state that the encoder holds and all of them may hold."""
        return choose_reference([viewer.acks for viewer in viewers], self._ring.ids, now=now)

    def _pins(self, viewers: Sequence[MediaSender]) -> tuple[int, ...]:
        """The newest state that each viewer is known to hold; they outlast the ring."""
        newest = {viewer.acks.newest_intact: None for viewer in viewers}
        return tuple(state for state in newest if state is not None and state in self._order_of)[:MAX_PINS]

    def _resize(self) -> None:
        """The ladder may have changed the size: states of the old one are of no use."""
        if self._size != self._ladder.size:
            self._size = self._ladder.size
            self._rate.resize(Layout(*self._size).positions)
            self.on_encoder_lost()

    def _due(self, captured_us: int) -> bool:
        """Whether the ladder lets this picture through: half an interval early counts."""
        if self._last_captured_us is None:
            return True
        since_s = (captured_us - self._last_captured_us) / 1e6
        return since_s > (self._ladder.divisor - 0.5) * self._interval_s

    def _note_rate(self, captured_us: int) -> None:
        if self._last_captured_us is not None:
            # A pause (nobody watched) is not a frame rate.
            interval_s = min(max((captured_us - self._last_captured_us) / 1e6, 1 / 240), 1.0)
            self._coded_fps += _FPS_GAIN * (1 / interval_s - self._coded_fps)
        self._last_captured_us = captured_us

    @property
    def _paced_fps(self) -> float:
        return max(1.0, min(self._fps, self._coded_fps))
