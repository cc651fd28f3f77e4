"""One viewer of a simulated run: the server's sender, the path, the viewer's receiver, its queue and its decoder.

    EncodeControl --offer--> MediaSender --> forward link --> MediaReceiver --> DecodeQueue --> decoder --> shown
                                 ^---------- back link <---- feedback <--------------------------/

The two ends have clocks of their own, 4096 s apart.
"""

from bench.network.run_log import Packet, PacketKind, Sample, Shown, ViewerLog
from bench.network.scenario import Scenario, Viewer
from bench.network.schedule import Schedule
from bench.network.simulated_codec import Decoded, SymbolicDecoder, SymbolicEncoder
from client.decode_queue import DecodeQueue
from transport.netsim import Path
from transport.packetiser import PacketisedFrame
from transport.reassembly import FrameLost, FrameReady
from transport.receiver import MediaReceiver
from transport.sender import MediaSender
from transport.wire import Kind

CLOCK_AHEAD_S = 4096.0
"""A power of two, so that adding it costs a float no more than a picosecond."""
TICK_S = 0.05
_RESENT_FLAG = 2
_KINDS: dict[int, PacketKind] = {Kind.DATA: "data", Kind.PARITY: "parity", Kind.PROBE: "probe"}
_NEVER = float("inf")
_LEAST_WAIT_S = 1e-4
_MAX_STEPS_AT_ONCE = 10_000
"""More steps at one moment are a fault of a part that asks for a time that has passed."""


def _or_never(time: float | None) -> float:
    return _NEVER if time is None else time


class SimulatedSender(MediaSender):
    """The product's sender, with a note of what it is offered."""

    log: ViewerLog
    offered = False
    """Since it was last polled."""

    def offer(self, frame: PacketisedFrame, now: float) -> bool:
        self.offered = True
        taken = super().offer(frame, now)
        self.log.fates[frame.frame_id] = "sent" if taken else "refused"
        if taken and frame.reference_id is None:
            self.log.intra_offered.append(now)
        return taken


class SimulatedViewer:
    """Both ends and what lies between. `step` it when it is `due`, and whenever its sender was offered a frame."""

    def __init__(self, viewer: Viewer, scenario: Scenario, *, seed: int) -> None:
        self.spec = viewer
        left_s = min(viewer.leave_s or scenario.seconds, scenario.seconds)
        self.log = ViewerLog(viewer.name, viewer.join_s, left_s)
        self.sender = SimulatedSender(
            initial_bps=scenario.start_bps,
            min_bps=scenario.min_bps,
            max_bps=scenario.max_bps,
            frame_interval_s=1 / scenario.fps,
        )
        self.sender.log = self.log
        self.rendition = 0
        self._schedule = Schedule(viewer.conditions, seed=seed, start=viewer.join_s)
        self.path: Path = self._schedule.path
        self._decode_s = scenario.source.decode_s
        self._receiver = MediaReceiver()
        self._queue = DecodeQueue()
        self._decoder = SymbolicDecoder()
        self._decoding: tuple[int, Decoded | None, float] | None = None
        """(frame id, what comes of it, when)."""
        self._config: tuple[int, SymbolicEncoder, float] | None = None
        """(epoch, encoder, when it reaches the viewer): the newest one on its way."""
        self._watched: SymbolicEncoder | None = None
        """Encoder of the rendition whose config is here."""
        self._announced = -1
        self.due = viewer.join_s
        """When to step next."""
        self._next_tick = viewer.join_s
        self._wake = viewer.join_s
        # When the parts have something to do; each is asked again only after something has happened to it.
        self._next_send = self._next_arrival = self._next_feedback = _NEVER
        self._next_stage = _or_never(self._schedule.next_event())
        self._sent: dict[int, Packet] = {}
        self._dropped = 0

    def announce(self, encoder: SymbolicEncoder, now: float) -> None:
        """Sends the stream config if it has changed. The channel for it is reliable; it is not simulated, and takes a
        round trip."""
        if self.sender.epoch != self._announced:
            self._announced = self.sender.epoch
            round_trip_s = self.path.forward.delay_s + self.path.back.delay_s
            self._config = (self.sender.epoch, encoder, now + round_trip_s)
            self.due = min(self.due, self._config[2])

    def start(self, encoder: SymbolicEncoder) -> None:
        """The config that it is greeted with."""
        self._watched = encoder
        self._announced = self.sender.epoch
        self._queue.on_config(self.sender.epoch)

    def run_until(self, end: float) -> None:
        """All steps that are due before `end`, each at its time.

        Raises RuntimeError when a part keeps asking for a time that has passed.
        """
        last, repeats = -_NEVER, 0
        while self.due < end:
            now = self.due
            repeats = repeats + 1 if now <= last else 0
            if repeats > _MAX_STEPS_AT_ONCE:
                raise RuntimeError(f"the simulation of viewer {self.spec.name!r} stands still at {now:.6f} s")
            last = now
            self.step(now)

    def step(self, now: float) -> None:
        """Everything that is due."""
        forward, back = self.path.forward, self.path.back
        if self._next_stage <= now:
            self._schedule.poll(now)
            self._next_stage = _or_never(self._schedule.next_event())
            self._next_arrival, self._next_feedback = _or_never(forward.next_arrival()), _or_never(back.next_arrival())
        came = self._next_arrival <= now and self._receive(now)
        fed = False
        if self._config is not None and self._config[2] <= now:
            self._on_config()
            fed = True
        if self._decoding is not None and self._decoding[2] <= now:
            self._on_decoded(now)
            fed = True
        if came or fed or self._wake <= now:
            self._poll_receiver(now, fed)
        heard = self.sender.offered
        if self._next_feedback <= now:
            for data, _ in back.poll(now):
                self.sender.on_feedback(data, now, round(now * 1e6))
                heard = True
            self._next_feedback = _or_never(back.next_arrival())
        if now >= self._next_tick:
            self._next_tick = now + TICK_S
            self.sender.on_tick(now)
            self._log_cross(now)
            heard = True
        if heard or self._next_send <= now:
            self._send(now)
        self._set_due(now)

    def _set_due(self, now: float) -> None:
        due = min(
            self._next_tick, self._wake, self._next_send, self._next_arrival, self._next_feedback, self._next_stage
        )
        if self._decoding is not None and self._decoding[2] < due:
            due = self._decoding[2]
        if self._config is not None and self._config[2] < due:
            due = self._config[2]
        self.due = max(due, now)

    def sample(self, frame_id: int, now: float) -> None:
        """Notes how it stands when a picture is captured."""
        link = self.path.forward
        self.log.samples.append(
            Sample(
                time_s=now,
                frame_id=frame_id,
                target_bps=self.sender.target_bps,
                link_bps=_NEVER if link.rate_bps is None else link.rate_bps,
                rendition=self.rendition,
                backlog_s=self.sender.pacer.backlog_s(now),
                loss=self.sender.estimator.loss,
            )
        )

    def finish(self) -> None:
        """The run is over."""
        sent, link = self.sender.statistics(), self.path.forward.statistics()
        self.log.counts = {
            "packets": sent.packets,
            "frames": sent.frames,
            "frames_refused": sent.frames_refused,
            "parity": sent.parity,
            "resent": sent.resent,
            "probes": sent.probes,
            "malformed": sent.malformed + self._receiver.malformed,
            "dropped_queue": link.dropped_queue,
            "dropped_random": link.dropped_random,
            "dropped_outage": link.dropped_outage,
        }

    # -- from the network

    def _receive(self, now: float) -> bool:
        forward = self.path.forward
        arrivals = forward.poll(now)
        self._next_arrival = _or_never(forward.next_arrival())
        if not arrivals:
            return False
        client_now = now + CLOCK_AHEAD_S
        client_us = round(client_now * 1e6)
        for data, arrived_s in arrivals:
            if data[1] in _KINDS:
                packet = self._sent.get(int.from_bytes(data[4:8], "big"))
                if packet is not None and packet.arrived_s is None:
                    packet.arrived_s = arrived_s
                    packet.queue_s = arrived_s - packet.sent_s - forward.delay_s
            self._receiver.on_media(data, client_now, client_us)
        return True

    def _poll_receiver(self, now: float, fed: bool) -> None:
        """fed: something has happened to the decoder or its queue since the last time."""
        client_now = now + CLOCK_AHEAD_S
        for event in self._receiver.poll(client_now):
            self._on_frame(event)
            fed = True
        if fed:
            self._feed(now)
        messages = self._receiver.feedback(client_now, round(client_now * 1e6))
        if messages:
            for message in messages:
                self.path.back.send(message, now)
            self._next_feedback = _or_never(self.path.back.next_arrival())
        # A due time that rounds to now must not hold the clock.
        self._wake = max(self._receiver.next_time(client_now) - CLOCK_AHEAD_S, now + _LEAST_WAIT_S)

    def _on_config(self) -> None:
        assert self._config is not None
        epoch, self._watched, _ = self._config
        self._config = None
        self._decoder.configure()
        for frame_id in self._queue.on_config(epoch):
            self._lose(frame_id, "config")

    # -- frames

    def _on_frame(self, event: FrameReady | FrameLost) -> None:
        if isinstance(event, FrameLost):
            self.log.fates[event.frame_id] = event.reason
        else:
            for frame_id in self._queue.push(event):
                self._lose(frame_id, "queue")

    def _feed(self, now: float) -> None:
        if self._decoding is None:
            frame, lost = self._queue.pop()
            for frame_id in lost:
                self._lose(frame_id, "no state")
            if frame is not None:
                assert self._watched is not None
                decoded = self._decoder.decode(frame, self._watched.coded(frame.frame_id))
                self._decoding = (frame.frame_id, decoded, now + self._decode_s)
        self._receiver.waiting_for_intra = self._queue.waiting_for_intra

    def _on_decoded(self, now: float) -> None:
        assert self._decoding is not None
        frame_id, decoded, _ = self._decoding
        self._decoding = None
        if decoded is None:
            self._queue.on_failed()
            self._lose(frame_id, "failed")
            return
        status, missing = decoded
        self._queue.on_decoded()
        self._receiver.on_decoded(frame_id, status, missing)
        self.log.fates[frame_id] = "concealed" if missing else "on damaged" if status else "intact"
        self.log.shown.append(Shown(frame_id, now, not status))

    def _lose(self, frame_id: int, fate: str) -> None:
        self.log.fates[frame_id] = fate
        self._receiver.on_lost(frame_id)

    # -- to the network

    def _send(self, now: float) -> None:
        forward = self.path.forward
        self.sender.offered = False
        packets = self.sender.poll(now, round(now * 1e6))
        self._next_send = _or_never(self.sender.next_time())
        if not packets:
            return
        for data in packets:
            kind = _KINDS.get(data[1])
            if kind is not None:
                if kind == "data" and data[2] & _RESENT_FLAG:
                    kind = "resent"
                frame_id = None if kind == "probe" else int.from_bytes(data[8:12], "big")
                packet = Packet(now, len(data), kind, frame_id)
                self.log.packets.append(packet)
                self._sent[int.from_bytes(data[4:8], "big")] = packet
            forward.send(data, now)
            dropped = forward.dropped_queue
            if dropped > self._dropped:
                self.log.queue_drops += [now] * (dropped - self._dropped)
                self._dropped = dropped
        self._next_arrival = _or_never(forward.next_arrival())

    def _log_cross(self, now: float) -> None:
        flows = self._schedule.flows
        if flows:
            self.path.forward.advance(now)
            self.log.cross.append((now, sum(flow.statistics().delivered_bytes for flow in flows)))
