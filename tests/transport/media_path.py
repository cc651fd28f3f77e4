"""A sender and a receiver over a simulated path, with a decoder that knows only which states it holds."""

from dataclasses import dataclass, field

from codec.state import DecoderRing, State
from transport.netsim import Link, Path
from transport.packetiser import PacketisedFrame, packetise
from transport.reassembly import FrameReady
from transport.receiver import MediaReceiver
from transport.references import choose_reference
from transport.sender import MediaSender
from transport.wire import FrameStatus

CLIENT_AHEAD_S = 1000.0
FPS = 30.0


def coded_frame(frame_id: int, reference_id: int | None, *, size: int, captured_us: int) -> PacketisedFrame:
    return packetise(
        bytes([frame_id % 251]) * size,
        range(min(120, size), size, 400),
        frame_id=frame_id,
        reference_id=reference_id,
        epoch=0,
        captured_us=captured_us,
        wait_us=0,
        encode_us=0,
    )


@dataclass(slots=True)
class MediaPath:
    """Frames of `frame_bytes`, or of the target's share where that is None, coded from what both ends hold."""

    path: Path = field(default_factory=lambda: Path(Link(delay_s=0.02), Link(delay_s=0.02)))
    frame_bytes: int | None = 4000
    sender: MediaSender = field(
        default_factory=lambda: MediaSender(initial_bps=2e6, min_bps=5e4, max_bps=1e7, frame_interval_s=1 / FPS)
    )
    receiver: MediaReceiver = field(default_factory=MediaReceiver)
    now: float = 0.0
    intact: list[int] = field(default_factory=list)
    concealed: list[int] = field(default_factory=list)
    undecodable: list[int] = field(default_factory=list)
    intra: list[int] = field(default_factory=list)
    skipped: int = 0
    in_time: int = 0
    _ring: DecoderRing = field(default_factory=DecoderRing)
    _held: list[int] = field(default_factory=list)
    _next_frame_s: float = 0.0
    _next_tick_s: float = 0.0
    _frame_id: int = 0

    def run(self, seconds: float) -> None:
        """Goes on for so long, in steps of half a millisecond."""
        end = self.now + seconds
        while self.now < end:
            self._step()
            self.now += 5e-4

    def _step(self) -> None:
        now, now_us = self.now, round(self.now * 1e6)
        client, client_us = now + CLIENT_AHEAD_S, round((now + CLIENT_AHEAD_S) * 1e6)
        if now >= self._next_tick_s:
            self._next_tick_s += 0.05
            self.sender.on_tick(now)
        if now >= self._next_frame_s:
            self._next_frame_s += 1 / FPS
            self._code(now, now_us)
        for data in self.sender.poll(now, now_us):
            self.path.forward.send(data, now)
        for data, _ in self.path.forward.poll(now):
            assert self.receiver.on_media(data, client, client_us)
        for event in self.receiver.poll(client):
            if isinstance(event, FrameReady):
                self._decode(event)
        self.receiver.waiting_for_intra = not self._ring.ids
        for data in self.receiver.feedback(client, client_us):
            self.path.back.send(data, now)
        for data, _ in self.path.back.poll(now):
            assert self.sender.on_feedback(data, now, now_us)

    def _code(self, now: float, now_us: int) -> None:
        if not self.sender.keeps_up(now):
            self.skipped += 1
            return
        reference = choose_reference([self.sender.acks], self._held, now=now)
        size = self.frame_bytes or max(200, int(self.sender.media_bps(now) / 8 / FPS))
        frame = coded_frame(self._frame_id, reference, size=size, captured_us=now_us)
        if reference is None:
            self.intra.append(self._frame_id)
        if self.sender.offer(frame, now):
            self._held = [*self._held, self._frame_id][-64:]
        self._frame_id += 1

    def _decode(self, frame: FrameReady) -> None:
        reference = None if frame.reference_id is None else self._ring.get(frame.reference_id)
        if frame.reference_id is not None and reference is None:
            self.undecodable.append(frame.frame_id)
            self.receiver.on_lost(frame.frame_id)
            return
        intact = frame.intact and (reference is None or reference.intact)
        self._ring.add(State(frame.frame_id, None, intact), reference_id=frame.reference_id)
        (self.intact if intact else self.concealed).append(frame.frame_id)
        self.in_time += self.now - frame.captured_us / 1e6 < 0.25
        self.receiver.on_decoded(frame.frame_id, FrameStatus.INTACT if intact else FrameStatus.CONCEALED)

    @property
    def frames(self) -> int:
        """Offered so far."""
        return self._frame_id
