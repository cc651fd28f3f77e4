"""Which states a viewer holds, as far as the server can tell, and which one the next frame is coded from.

    on_offered(frame) ... on_acks(message) ... -> may_hold(state), intact(state) -> choose_reference

Every frame leaves a state (`codec.state`), named by the frame's id, if it is decoded. Of a frame that is under way
nothing is known, and waiting for its ack would cost a round trip of prediction: so it counts as held for as long as
nothing speaks against it. What speaks against it, and why nothing worse follows, is in docs/recovery.md.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from transport.wire import FrameAcks, FrameStatus

RING_CAPACITY = 16
"""States that a viewer keeps at least: `codec.state.RING_CAPACITY`, of which transport knows nothing else."""
MAX_FRAMES = 256
"""Offered frames that are remembered: 8 s at 30 fps, and a viewer that is silent for 5 s is sent away."""
ACK_DELAY_S = 0.2
"""What an ack may take beyond the round trip: spread in the pacer, a repair that is waited for, the decoder's queue."""
SILENCE_S = 0.08
"""With frames outstanding a viewer reports every 40 ms what comes in. Silent for twice as long and a round trip, it
gets nothing."""
_UNKNOWN_RTT_S = 0.1


@dataclass(slots=True)
class _Offered:
    """A frame given to the pacer. index: how many were before it."""

    index: int
    reference_id: int | None
    due: float
    """When its ack is overdue, the round trip not counted."""
    offered: float
    status: FrameStatus | None = None
    """The viewer's word on it."""
    gone: bool = False
    """The viewer has said since that it holds nothing."""
    doubtful: bool = False
    """The viewer has asked for packets of it."""


class AckTracker:
    """One per viewer and stream config. Frames are offered in the order of their ids.

    `rtt_s` is the round trip in seconds, set by whoever measures it. Memory and work per message are bounded, whatever
    the viewer says.
    """

    def __init__(self, *, ack_delay_s: float = ACK_DELAY_S) -> None:
        self.rtt_s = _UNKNOWN_RTT_S
        self.heard: float | None = None
        """When anything last came from the viewer, set by whoever hears it."""
        self.unknown_acks = 0
        """Acks of frames that were never offered, or so long ago that they are forgotten."""
        self._ack_delay_s = ack_delay_s
        self._frames: OrderedDict[int, _Offered] = OrderedDict()
        self._count = 0
        self._newest_acked = -1
        """Index of the newest frame that the viewer has said anything about."""
        self._kept_ids: frozenset[int] | None = None
        """What `_surely_kept` said, until something changes."""

    def on_offered(self, frame_id: int, reference_id: int | None, now: float, *, sending_s: float = 0.0) -> None:
        """A frame was given to the pacer, which needs `sending_s` more to send it. A frame counts once."""
        if frame_id in self._frames:
            return
        self._kept_ids = None
        due = now + sending_s + self._ack_delay_s
        self._frames[frame_id] = _Offered(self._count, reference_id, due, now)
        self._count += 1
        if len(self._frames) > MAX_FRAMES:
            self._frames.popitem(last=False)

    def on_acks(self, message: FrameAcks, now: float) -> None:
        """What became of some frames. Messages may come late, twice or never; the first word on a frame counts.

        A viewer that waits for an intra frame holds no state: whatever it can have known of then is gone.
        """
        self._kept_ids = None
        words = [(frame_id, status) for frame_id, status, *_ in message.acks]
        if message.newest_intact is not None:
            words.append((message.newest_intact, FrameStatus.INTACT))
        for frame_id, status in words:
            frame = self._frames.get(frame_id)
            if frame is None:
                self.unknown_acks += 1
                continue
            self._newest_acked = max(self._newest_acked, frame.index)
            if frame.status is None:
                frame.status, frame.gone = status, False
        if message.waiting_for_intra:
            for frame in self._frames.values():
                # What was offered since may have met the viewer after it said so.
                frame.gone |= frame.index <= self._newest_acked or now > frame.due + self.rtt_s

    def doubt(self, frame_id: int) -> None:
        """The viewer misses packets of this frame, and what is sent again may be lost too.

        Neither it nor what builds on it is a reference, unless acknowledged intact.
        """
        frame = self._frames.get(frame_id)
        if frame is not None:
            frame.doubtful = True

    def may_decode_from(self, state_id: int, now: float) -> bool:
        """Whether a frame coded from this state, already on its way, would become a picture: damaged ones count."""
        frame = self._frames.get(state_id)
        if frame is None or not self._kept(state_id, frame):
            return False
        if frame.status is None:
            return self.overdue_s(now) == 0 and self._undamaged(frame, now, strict=False)
        return frame.status is not FrameStatus.LOST and not frame.gone

    def may_hold(self, state_id: int, now: float) -> bool:
        """Whether a frame may be coded from this state: nothing speaks against the viewer holding it, intact.

        While acks are overdue only states count that the viewer has acknowledged.
        """
        frame = self._frames.get(state_id)
        if frame is None or not self._kept(state_id, frame):
            return False
        if frame.status is FrameStatus.INTACT:
            return not frame.gone
        return self.overdue_s(now) == 0 and self._undamaged(frame, now)

    def intact(self, state_id: int) -> bool:
        """Whether the viewer has said that it decoded this frame without a hole, and surely still keeps its state."""
        frame = self._frames.get(state_id)
        return (
            frame is not None and frame.status is FrameStatus.INTACT and not frame.gone and self._kept(state_id, frame)
        )

    @property
    def newest_intact(self) -> int | None:
        """The newest state for which `intact` holds: to be pinned at the encoder."""
        return next((state_id for state_id in reversed(self._frames) if self.intact(state_id)), None)

    def damaged(self, now: float) -> bool:
        """Whether the newest frame offered is of no use as a reference: bad news, or none for too long."""
        newest = next(reversed(self._frames), None)
        return newest is not None and not self.may_hold(newest, now)

    def settled(self, frame_id: int) -> bool:
        """Whether the viewer has said what became of this frame, or of a newer one: acks come in order."""
        frame = self._frames.get(frame_id)
        return frame is None or frame.gone or frame.status is not None or frame.index <= self._newest_acked

    def ack_lag_s(self, now: float) -> float:
        """For how long the oldest frame that is still to be acknowledged has been waiting; 0 when there is none."""
        oldest = self._oldest_open()
        return 0.0 if oldest is None else max(0.0, now - oldest.offered)

    def intact_lag_s(self, now: float) -> float:
        """For how long the oldest frame offered after the newest acknowledged intact one has been waiting; 0: none has.

        Never less than `ack_lag_s`. Where that is small and this is large, acks come but nothing arrives whole: such a
        viewer holds the reference of the others back, or asks them for one intra frame after the other.
        """
        oldest = None
        for frame in reversed(self._frames.values()):
            if frame.status is FrameStatus.INTACT and not frame.gone:
                break
            oldest = frame
        return 0.0 if oldest is None else max(0.0, now - oldest.offered)

    def overdue_s(self, now: float) -> float:
        """By how much the oldest outstanding ack is later than one may be; 0 when none is."""
        oldest = self._oldest_open()
        if oldest is None:
            return 0.0
        late_s = now - oldest.due - self.rtt_s
        if self.heard is not None:
            asked = max(oldest.due - self._ack_delay_s, self.heard)
            late_s = max(late_s, now - asked - self.rtt_s - SILENCE_S)
        return max(0.0, late_s)

    def _since(self, index: int) -> Iterator[tuple[int, _Offered]]:
        """Remembered frames, by id, from the one numbered `index` on."""
        first = self._count - len(self._frames)
        return islice(self._frames.items(), max(0, index - first), None)

    def _oldest_open(self) -> _Offered | None:
        """The oldest frame of which the viewer has said nothing, and not of a newer one either."""
        return next((frame for _, frame in self._since(self._newest_acked + 1) if not frame.gone), None)

    def _undamaged(self, frame: _Offered, now: float, *, strict: bool = True) -> bool:
        """Whether nothing bad is known of an unacknowledged frame and of those that it builds on; not strict: nothing
        that keeps it from being decoded."""
        while frame.status is None and not frame.gone:
            if strict and frame.doubtful:
                return False
            if frame.index <= self._newest_acked or now > frame.due + self.rtt_s:
                # Newer frames were acknowledged and this one was not: it went missing whole.
                return False
            if frame.reference_id is None:
                return True
            reference = self._frames.get(frame.reference_id)
            if reference is None or reference.index >= frame.index:
                return False
            frame = reference
        good = frame.status is FrameStatus.INTACT or (not strict and frame.status is FrameStatus.CONCEALED)
        return good and not frame.gone

    def _kept(self, state_id: int, frame: _Offered) -> bool:
        """Whether the viewer's ring still has this state for sure, if it ever had it."""
        if self._count - frame.index <= RING_CAPACITY:
            return True
        if self._kept_ids is None:
            self._kept_ids = self._surely_kept()
        return state_id in self._kept_ids

    def _surely_kept(self) -> frozenset[int]:
        """All states of which `_kept` holds, by the rules of `codec.state.DecoderRing`.

        Frames of which nothing is known may each have pushed a state out. Those that build on a lost one cannot have
        been decoded; those that build on a concealed one were not intact.
        """
        lost, flawed = set(), set()
        for state_id, frame in self._frames.items():
            unheard = frame.status is None
            if frame.status is FrameStatus.LOST or (unheard and frame.reference_id in lost):
                lost.add(state_id)
            elif frame.status is FrameStatus.CONCEALED or (unheard and frame.reference_id in flawed):
                flawed.add(state_id)
        kept = set()
        newer = unflawed = 0
        newer_intra = False
        last_reference: int | None = None
        # The newest frames in a row that were decoded from `last_reference`.
        named_last = 0
        for state_id, frame in reversed(self._frames.items()):
            pushed = newer - named_last if state_id == last_reference else newer
            if pushed < RING_CAPACITY or not unflawed or (frame.reference_id is None and not newer_intra):
                kept.add(state_id)
            if state_id in lost:
                continue
            if not newer:
                last_reference = frame.reference_id
            named_last += named_last == newer and frame.reference_id == last_reference
            newer += 1
            unflawed += state_id not in flawed
            newer_intra |= frame.reference_id is None
        return frozenset(kept)


def choose_reference(trackers: Sequence[AckTracker], held: Sequence[int], *, now: float) -> int | None:
    """The newest state that the encoder holds and every viewer may hold; None: there is none, so intra.

    held: ids of the encoder's states, oldest first. trackers: of the viewers to be considered, at least one.
    """
    return next(
        (state_id for state_id in reversed(held) if all(tracker.may_hold(state_id, now) for tracker in trackers)), None
    )
