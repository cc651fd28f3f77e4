"""Runs a scenario in simulated time: the product's own classes over the simulated network, with recorded frame sizes.

The clock jumps from one event to the next; nothing sleeps, and the same seed gives the same run on every machine.
"""

from random import Random

from bench.network.footage import Footage
from bench.network.run_log import Coded, RunLog
from bench.network.scenario import Scenario
from bench.network.simulated_codec import SymbolicEncoder, SymbolicFrame
from bench.network.simulated_viewer import SimulatedViewer
from server.encode_control import EncodeControl, EncodeOrder
from server.renditions import RenditionPlanner, ViewerLoad, rendition_sizes
from transport.packetiser import PacketisedFrame, packetise
from transport.sender import MediaSender

_PLAN_S = 0.1
"""How often it is considered who watches what."""
_START_S = 1.0
"""What it takes to start the encoder process of a lower rendition."""
_CLIP_FRAMES = 60
"""About as long as a recorded clip is before it turns back."""
_NEVER = float("inf")


class Rendition:
    """One encode: its control, its encoder, and the picture it works on."""

    def __init__(self, number: int, footage: Footage, scenario: Scenario, log: RunLog, size: tuple[int, int]) -> None:
        self.number = number
        self.encoder = SymbolicEncoder(footage)
        self.control = EncodeControl(size=size, fps=scenario.fps)
        self._log = log
        self._encode_s = scenario.source.encode_s
        self.standing: list[MediaSender] | None = None
        """Senders of viewers that have a say in the rate; None: all."""
        self._ready_s: float | None = None
        self._waiting: int | None = None
        self._busy: tuple[EncodeOrder, float] | None = None

    def ready(self, now: float) -> bool:
        """Whether its encoder process runs. Asking starts it."""
        if self.number == 0:
            return True
        if self._ready_s is None:
            self._ready_s = now + _START_S
        return now >= self._ready_s

    @property
    def next_time(self) -> float:
        """When its encoder is done."""
        return self._busy[1] if self._busy is not None else _NEVER

    def on_captured(self, frame_id: int, viewers: list[SimulatedViewer], now: float) -> None:
        """A picture, which replaces one that still waits."""
        self._waiting = frame_id
        self._pump(viewers, now)

    def step(self, viewers: list[SimulatedViewer], now: float) -> None:
        """The encoder is done if `now` is `next_time`."""
        if self._busy is None or now < self._busy[1]:
            return
        order, self._busy = self._busy[0], None
        frame = self.encoder.encode(order)
        packets = self._packetise(order, frame, now)
        size_bytes = sum(map(len, packets.packets))
        again = self.control.on_coded(
            order, size_bytes=size_bytes, qp=frame.qp, reference_id=frame.reference_id, now=now
        )
        if again is not None:
            self._busy = (again, now + self._encode_s)
            return
        self._log.coded.append(
            Coded(
                frame_id=frame.frame_id,
                captured_s=self._log.captured_s[frame.frame_id],
                coded_s=now,
                rendition=self.number,
                qp=frame.qp,
                size_bytes=size_bytes,
                budget_bytes=order.choice.budget_bytes,
                reference_id=frame.reference_id,
                tries=order.attempt + 1,
                width=order.size[0],
                height=order.size[1],
                age=0 if frame.reference_id is None else frame.frame_id - frame.reference_id,
            )
        )
        self.control.deliver(packets, [viewer.sender for viewer in viewers], now)
        self._pump(viewers, now)

    def _pump(self, viewers: list[SimulatedViewer], now: float) -> None:
        if self._waiting is None or self._busy is not None or not viewers:
            return
        frame_id, self._waiting = self._waiting, None
        order = self.control.decide(
            [viewer.sender for viewer in viewers],
            frame_id=frame_id,
            captured_us=round(self._log.captured_s[frame_id] * 1e6),
            now=now,
            standing=self.standing,
        )
        for viewer in viewers:
            viewer.announce(self.encoder, now)
        if order is not None:
            self._busy = (order, now + self._encode_s)

    def _packetise(self, order: EncodeOrder, frame: SymbolicFrame, now: float) -> PacketisedFrame:
        started_us = round(order.started * 1e6)
        return packetise(
            frame.data,
            frame.slice_offsets,
            frame_id=frame.frame_id,
            reference_id=frame.reference_id,
            epoch=0,
            captured_us=order.captured_us,
            wait_us=started_us - order.captured_us,
            encode_us=round(now * 1e6) - started_us,
        )


class Simulation:
    """One scenario, one seed. `run` it once."""

    def __init__(self, scenario: Scenario, *, seed: int) -> None:
        self._scenario = scenario
        self._log = RunLog(scenario.name, seed, scenario.seconds, scenario.fps, scenario.deadline_s)
        generator = Random(seed)
        # What no two runs have in common: which picture is the first, and when it is taken.
        self._first_capture = generator.random() / scenario.fps
        self._footage = Footage(scenario.source, fps=scenario.fps, skipped=generator.randrange(_CLIP_FRAMES))
        self._planner = RenditionPlanner(scenario.renditions)
        sizes = rendition_sizes((scenario.source.width, scenario.source.height), scenario.renditions)
        self._renditions = [
            Rendition(number, self._footage, scenario, self._log, size) for number, size in enumerate(sizes)
        ]
        self._viewers = [
            SimulatedViewer(viewer, scenario, seed=seed * 1000 + number)
            for number, viewer in enumerate(scenario.viewers)
        ]
        self._here: list[SimulatedViewer] = []

    def run(self) -> RunLog:
        """The whole scenario."""
        seconds, interval_s = self._scenario.seconds, 1 / self._scenario.fps
        next_capture, next_plan = self._first_capture, 0.0
        while True:
            # Between two events that concern all viewers, each goes its own way.
            now = min(next_capture, next_plan, *(rendition.next_time for rendition in self._renditions))
            for viewer in self._here:
                viewer.run_until(min(now, seconds))
            if now >= seconds:
                break
            stepped = [viewer for viewer in self._here if viewer.due <= now]
            for rendition in self._renditions:
                if rendition.next_time <= now:
                    watching = self._watching(rendition)
                    rendition.step(watching, now)
                    stepped += watching
            if now >= next_plan:
                next_plan += _PLAN_S
                self._come_and_go(now)
                self._plan(now)
            if now >= next_capture:
                self._capture(now)
                next_capture = self._first_capture + len(self._log.captured_s) * interval_s
                stepped += self._here
            for viewer in dict.fromkeys(stepped):
                viewer.step(now)
        for viewer in self._viewers:
            viewer.finish()
            self._log.viewers[viewer.spec.name] = viewer.log
        return self._log

    def _watching(self, rendition: Rendition) -> list[SimulatedViewer]:
        return [viewer for viewer in self._here if viewer.rendition == rendition.number]

    def _capture(self, now: float) -> None:
        frame_id = len(self._log.captured_s)
        self._log.captured_s.append(now)
        for viewer in self._here:
            viewer.sample(frame_id, now)
        for rendition in self._renditions:
            rendition.on_captured(frame_id, self._watching(rendition), now)

    def _come_and_go(self, now: float) -> None:
        for viewer in self._viewers:
            if viewer in self._here:
                if now >= viewer.log.left_s:
                    self._here.remove(viewer)
            elif viewer.spec.join_s <= now < viewer.log.left_s:
                viewer.start(self._renditions[0].encoder)
                self._here.append(viewer)

    def _plan(self, now: float) -> None:
        loads = [
            ViewerLoad(
                viewer.spec.name, viewer.sender.target_bps, viewer.sender.acks.intact_lag_s(now), viewer.rendition
            )
            for viewer in self._here
        ]
        for rendition in self._renditions:
            good = self._planner.in_good_standing(loads, rendition.number, now)
            rendition.standing = [viewer.sender for viewer in self._here if viewer.spec.name in good]
        plan = self._planner.plan(loads, now)
        for viewer in self._here:
            rendition = self._renditions[plan[viewer.spec.name]]
            if rendition.number != viewer.rendition and rendition.ready(now):
                viewer.rendition = rendition.number
                viewer.sender.start_epoch()
                viewer.announce(rendition.encoder, now)
