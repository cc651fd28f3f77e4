"""What a viewer holds, as far as its acks tell, and the choice of a reference, over model viewers with real rings."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.state import RING_CAPACITY, DecoderRing, State, StateRing
from transport import references
from transport.references import MAX_FRAMES, SILENCE_S, AckTracker, choose_reference
from transport.wire import MAX_ACKS, FrameAcks, FrameStatus

INTACT, CONCEALED, LOST = FrameStatus.INTACT, FrameStatus.CONCEALED, FrameStatus.LOST
FRAME_S = 1 / 30
# Frame ids of the tests straddle the end of the circle, where ids skip the one that means "none".
FIRST_ID = 0xFFFFFFFF - 20


def frame_id(number: int) -> int:
    return (FIRST_ID + number) % 0xFFFFFFFF


def acks(*words: tuple[int, FrameStatus], waiting: bool = False, newest_intact: int | None = None) -> FrameAcks:
    return FrameAcks(waiting, newest_intact, tuple((number, status, ()) for number, status in words))


def chain(count: int, *, start: int = 0) -> AckTracker:
    """A tracker that was offered an intra frame `start` and `count - 1` frames, each coded from the one before."""
    tracker = AckTracker()
    for number in range(start, start + count):
        tracker.on_offered(number, number - 1 if number > start else None, number * FRAME_S)
    return tracker


def test_the_ring_is_as_large_as_the_tracker_takes_it_to_be() -> None:
    assert references.RING_CAPACITY == RING_CAPACITY


def test_frames_under_way_count_as_held_but_not_as_intact() -> None:
    tracker = chain(5)
    now = 5 * FRAME_S
    assert tracker.may_hold(4, now)
    assert not tracker.intact(4)
    assert tracker.newest_intact is None
    tracker.on_acks(acks((0, INTACT), (1, INTACT)), now)
    assert tracker.intact(1)
    assert tracker.newest_intact == 1
    assert tracker.may_hold(4, now)
    assert not tracker.damaged(now)


@pytest.mark.parametrize("status", [LOST, CONCEALED])
def test_what_builds_on_a_frame_that_was_not_intact_is_not_held(status: FrameStatus) -> None:
    tracker = chain(6)
    now = 6 * FRAME_S
    tracker.on_acks(acks((0, INTACT), (1, INTACT), (2, status)), now)
    assert [tracker.may_hold(number, now) for number in range(6)] == [True, True, False, False, False, False]
    assert tracker.damaged(now)
    tracker.on_offered(6, 1, now)
    assert tracker.may_hold(6, now), "coded past the damage"
    assert not tracker.damaged(now)


def test_a_frame_that_went_missing_whole_shows_by_the_acks_after_it() -> None:
    tracker = chain(4)
    now = 4 * FRAME_S
    tracker.on_offered(4, 1, now)
    tracker.on_acks(acks((1, INTACT), (4, INTACT)), now)
    assert not tracker.may_hold(2, now)
    assert not tracker.may_hold(3, now)
    assert tracker.may_hold(4, now)
    assert tracker.settled(2)


def test_a_frame_that_the_viewer_asked_packets_of_is_no_reference_until_it_is_whole() -> None:
    tracker = chain(5)
    tracker.on_acks(acks((0, FrameStatus.INTACT)), 0.1)
    tracker.doubt(2)
    tracker.doubt(77)
    assert choose_reference([tracker], range(5), now=0.1) == 1
    # What is on its way goes on its way all the same.
    assert tracker.may_decode_from(4, 0.1)
    tracker.on_acks(acks((1, FrameStatus.INTACT), (2, FrameStatus.INTACT)), 0.12)
    assert choose_reference([tracker], range(5), now=0.12) == 4


@pytest.mark.parametrize(("status", "of_use"), [(FrameStatus.CONCEALED, True), (FrameStatus.LOST, False)])
def test_what_was_coded_from_a_damaged_frame_can_still_become_a_picture(status: FrameStatus, of_use: bool) -> None:
    tracker = chain(5)
    tracker.on_acks(acks((1, FrameStatus.INTACT), (2, status)), 0.1)
    assert not tracker.may_hold(2, 0.1)
    assert not tracker.may_hold(4, 0.1)
    assert (tracker.may_decode_from(2, 0.1), tracker.may_decode_from(4, 0.1)) == (of_use, of_use)
    assert not tracker.may_decode_from(9, 0.1)


def test_a_viewer_that_falls_silent_is_told_only_what_it_surely_understands() -> None:
    tracker = chain(5)
    tracker.rtt_s = 0.04
    tracker.on_acks(acks((1, FrameStatus.INTACT)), 0.15)
    tracker.heard = 0.15
    assert tracker.may_hold(4, 0.15 + 0.04 + SILENCE_S - 0.001)
    assert not tracker.may_hold(4, 0.15 + 0.04 + SILENCE_S + 0.001)
    assert tracker.may_hold(1, 0.15 + 0.04 + SILENCE_S + 0.001)


def test_overdue_acks_leave_only_what_was_acknowledged() -> None:
    tracker = chain(6)
    tracker.rtt_s = 0.04
    tracker.on_acks(acks((0, INTACT), (1, INTACT), (2, INTACT)), 0.2)
    due = 3 * FRAME_S + 0.04 + references.ACK_DELAY_S
    assert tracker.may_hold(5, due - 0.001)
    assert tracker.overdue_s(due - 0.001) == 0
    late = due + 0.25
    assert not tracker.may_hold(5, late)
    assert tracker.may_hold(2, late)
    assert tracker.overdue_s(late) == pytest.approx(0.25)
    assert tracker.ack_lag_s(late) == pytest.approx(late - 3 * FRAME_S)
    # One frame coded from the acknowledged state and heard of ends it.
    tracker.on_offered(6, 2, late)
    tracker.on_acks(acks((6, INTACT)), late + 0.05)
    assert tracker.overdue_s(late + 0.05) == 0
    assert tracker.ack_lag_s(late + 0.05) == 0
    assert tracker.may_hold(6, late + 0.05)


def test_a_viewer_that_gets_nothing_whole_shows_although_it_answers() -> None:
    tracker = chain(4)
    assert tracker.intact_lag_s(0.2) == pytest.approx(0.2)
    tracker.on_acks(acks((0, INTACT), (1, INTACT)), 0.2)
    assert tracker.intact_lag_s(0.2) == pytest.approx(0.2 - 2 * FRAME_S)
    tracker.on_acks(acks((2, LOST), (3, CONCEALED)), 1.0)
    assert tracker.ack_lag_s(1.0) == 0
    assert tracker.intact_lag_s(1.0) == pytest.approx(1.0 - 2 * FRAME_S)
    tracker.on_offered(4, 1, 1.0)
    tracker.on_acks(acks((4, INTACT)), 1.1)
    assert tracker.intact_lag_s(5.0) == 0, "nothing was offered since"


def test_a_frame_that_waits_in_the_pacer_is_due_later() -> None:
    tracker = AckTracker()
    tracker.on_offered(0, None, 0.0, sending_s=0.5)
    due = 0.5 + references.ACK_DELAY_S + tracker.rtt_s
    assert tracker.may_hold(0, due - 0.001)
    assert not tracker.may_hold(0, due + 0.001)


def test_an_outage_of_any_length_leaves_the_newest_intact_state() -> None:
    tracker = chain(4)
    ring = DecoderRing()
    for number in range(4):
        ring.add(State(number, None), reference_id=number - 1 if number else None)
    tracker.on_acks(acks((3, INTACT)), 0.2)
    # Nothing is heard: all that is sent is coded from there. The viewer may have got any of it.
    for number in range(4, 104):
        now = number * 0.5
        assert choose_reference([tracker], range(number), now=now) == 3
        tracker.on_offered(number, 3, now)
        if number % 3:
            ring.add(State(number, None), reference_id=3)
        assert ring.get(3) is not None


@pytest.mark.parametrize("status", [LOST, CONCEALED, INTACT])
def test_a_state_that_the_viewer_may_have_pushed_out_does_not_count(status: FrameStatus) -> None:
    tracker = chain(2 + RING_CAPACITY)
    now = 0.3
    tracker.on_acks(acks((0, INTACT), (1, INTACT)), now)
    # 0 has 17 frames after it, 1 has 16; the newest intra frame stays whatever comes.
    assert tracker.may_hold(0, now)
    assert not tracker.may_hold(1, now)
    assert not tracker.intact(1)
    assert tracker.newest_intact == 0
    tracker.on_acks(acks((4, status)), now)
    assert tracker.newest_intact == {LOST: 1, CONCEALED: 0, INTACT: 4}[status]


def test_what_builds_on_a_lost_or_concealed_frame_pushes_no_intact_state_out() -> None:
    for status in (LOST, CONCEALED):
        tracker = chain(2 + 3 * RING_CAPACITY)
        tracker.on_acks(acks((0, INTACT), (1, INTACT)), 0.3)
        assert tracker.newest_intact == 0
        tracker.on_acks(acks((2, status)), 0.3)
        assert tracker.newest_intact == 1


def test_an_older_intra_frame_is_not_kept_beyond_the_ring() -> None:
    tracker = chain(10)
    tracker.on_acks(acks((0, INTACT)), 0.1)
    tracker.on_offered(10, None, 0.3)
    for number in range(11, 17):
        tracker.on_offered(number, number - 1, 0.3)
    assert not tracker.may_hold(0, 0.3)
    assert tracker.may_hold(10, 0.3)


def test_a_newcomer_holds_the_intra_frame_it_was_sent_and_nothing_else() -> None:
    old, newcomer = chain(20), AckTracker()
    now = 20 * FRAME_S
    old.on_acks(acks(*((number, INTACT) for number in range(18)), newest_intact=17), now)
    newcomer.on_offered(0, None, now)
    held = [0, *range(4, 20)]
    assert choose_reference([old], held, now=now) == 19
    assert choose_reference([old, newcomer], held, now=now) == 0
    for tracker in (old, newcomer):
        tracker.on_offered(20, 0, now)
    assert choose_reference([old, newcomer], [*held, 20], now=now) == 20


def test_a_frame_refused_by_one_pacer_costs_no_intra_frame() -> None:
    quick, slow = chain(5), chain(4)
    now = 5 * FRAME_S
    assert choose_reference([quick, slow], range(5), now=now) == 3
    assert choose_reference([quick], range(5), now=now) == 4


def test_no_common_state_means_intra() -> None:
    assert choose_reference([chain(4), chain(4, start=10)], [*range(4), *range(10, 14)], now=0.5) is None
    assert choose_reference([chain(4)], [], now=0.1) is None


def test_a_viewer_that_waits_for_an_intra_frame_holds_nothing_from_before() -> None:
    tracker = chain(8)
    tracker.on_acks(acks((0, INTACT), (1, INTACT), (2, INTACT)), 0.25)
    tracker.on_acks(acks((3, LOST), waiting=True), 0.28)
    assert not any(tracker.may_hold(number, 0.28) for number in range(8))
    tracker.on_offered(8, None, 0.29)
    # Said before the intra frame arrived.
    tracker.on_acks(acks((3, LOST), waiting=True), 0.3)
    assert tracker.may_hold(8, 0.3)
    # Repeated acks of frames from before mean nothing; the intra frame's own does.
    tracker.on_acks(acks((2, INTACT), (8, INTACT), newest_intact=8), 0.4)
    assert not tracker.intact(2)
    assert tracker.intact(8)


def test_a_late_intra_frame_counts_when_it_is_acknowledged_after_all() -> None:
    tracker = AckTracker()
    tracker.on_offered(0, None, 0.0)
    tracker.on_acks(acks(waiting=True), 0.9)
    assert not tracker.may_hold(0, 0.9)
    tracker.on_acks(acks((0, INTACT)), 1.0)
    assert tracker.may_hold(0, 1.0)


def test_acks_of_frames_never_offered_change_nothing_but_a_count() -> None:
    tracker = chain(3)
    tracker.on_acks(acks((77, INTACT), (0xFFFFFFFE, LOST), newest_intact=1000), 0.1)
    assert tracker.unknown_acks == 3
    assert tracker.newest_intact is None
    assert tracker.may_hold(2, 0.1)
    assert not tracker.may_hold(77, 0.1)
    assert tracker.settled(77), "nobody waits for it"


def test_memory_is_bounded() -> None:
    tracker = chain(10 * MAX_FRAMES)
    tracker.on_acks(acks((0, INTACT)), 1.0)
    assert tracker.unknown_acks == 1
    assert not tracker.settled(9 * MAX_FRAMES)
    assert tracker.settled(8 * MAX_FRAMES), "forgotten"


@dataclass
class ModelViewer:
    """A viewer with a real ring, and the tracker that knows it by messages only."""

    delay: int
    """Frames from the offer of a frame to its ack at the server."""
    tracker: AckTracker = field(default_factory=AckTracker)
    ring: DecoderRing = field(default_factory=DecoderRing)
    log: deque[tuple[int, FrameStatus]] = field(default_factory=lambda: deque(maxlen=MAX_ACKS))
    newest_intact: int | None = None
    on_its_way: deque[tuple[int, FrameAcks]] = field(default_factory=deque)

    def take(self, frame: int, reference: int | None, fate: str) -> FrameStatus | None:
        """The frame arrives whole, with a hole, not at all, or without a trace."""
        if fate == "vanished":
            return None
        base = None if reference is None else self.ring.get(reference)
        if fate == "lost" or (reference is not None and base is None):
            status = LOST
        else:
            intact = fate == "intact" and (base is None or base.intact)
            self.ring.add(State(frame, None, intact), reference_id=reference)
            status = INTACT if intact else CONCEALED
        self.log.append((frame, status))
        if status is INTACT:
            self.newest_intact = frame
        return status

    def message(self) -> FrameAcks:
        return acks(*self.log, waiting=not self.ring.ids, newest_intact=self.newest_intact)


Fate = tuple[str, bool, bool]
"""What becomes of a frame at a viewer; whether the pacer refuses it; whether the message after it is lost."""
fates: st.SearchStrategy[Fate] = st.tuples(
    st.sampled_from(["intact", "intact", "intact", "intact", "concealed", "lost", "vanished"]),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([False, False, True]),
)
# Long stretches of one kind are what pushes states out: each step says how often it is repeated.
steps = st.lists(st.tuples(st.integers(1, 24), st.lists(fates, min_size=2, max_size=2)), min_size=1, max_size=15)


@settings(deadline=None)
@given(steps, st.integers(1, 6), st.integers(1, 2))
def test_whatever_is_chosen_can_be_decoded_unless_something_was_lost_after_the_choice(
    script: Sequence[tuple[int, Sequence[Fate]]], delay: int, count: int
) -> None:
    viewers = [ModelViewer(delay) for _ in range(count)]
    encoder = StateRing()
    unheard: list[dict[int, FrameStatus | None]] = [{} for _ in viewers]
    number = 0
    for repeats, step in script:
        for _ in range(repeats):
            now, frame = number * FRAME_S, frame_id(number)
            reference = choose_reference([viewer.tracker for viewer in viewers], encoder.ids, now=now)
            certain = [reference is not None and viewer.tracker.intact(reference) for viewer in viewers]
            encoder.pin((*(viewer.tracker.newest_intact for viewer in viewers), reference))
            encoder.put(State(frame, None), intra=reference is None)
            for viewer, fate, sure, pending in zip(viewers, step, certain, unheard, strict=False):
                arrival, refused, message_lost = fate
                if refused:
                    continue
                viewer.tracker.on_offered(frame, reference, now)
                base = None if reference is None else viewer.ring.get(reference)
                if sure:
                    assert base is not None, "acknowledged as intact, and chosen as such"
                    assert base.intact
                elif reference is not None and (base is None or not base.intact):
                    # The viewer lost something that the server had not heard of when it chose.
                    assert any(status is not INTACT for status in pending.values())
                pending[frame] = viewer.take(frame, reference, arrival)
                if not message_lost and pending[frame] is not None:
                    viewer.on_its_way.append((number + viewer.delay, viewer.message()))
            number += 1
            for viewer, pending in zip(viewers, unheard, strict=True):
                while viewer.on_its_way and viewer.on_its_way[0][0] <= number:
                    message = viewer.on_its_way.popleft()[1]
                    viewer.tracker.on_acks(message, number * FRAME_S)
                    newest = message.acks[-1][0]
                    for heard in list(pending):
                        del pending[heard]
                        if heard == newest:
                            break
