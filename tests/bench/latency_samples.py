"""Frames, sightings and a whole document, made up: 30 frames a second whose latency breathes."""

from collections.abc import Sequence

from bench.latency.display import Display
from bench.latency.document import make_document
from bench.latency.frames import Frame
from bench.latency.grab_process import Watched
from bench.latency.pairing import Pairs
from bench.latency.remote.command import as_result, in_window
from bench.latency.remote.desktop import KeySeen
from bench.latency.remote.probe import Press
from bench.latency.remote.window import WindowPress
from bench.latency.schema import Camera, LatencyDocument, Sweep, SweepPoint
from bench.latency.session import Measured, Setup
from bench.latency.sightings import Sighting
from latentcast.report import (
    Bitrate,
    Frames,
    Latency,
    LoopLag,
    Machine,
    Memory,
    MemoryUse,
    Percentiles,
    Qp,
    Report,
)

SETUP = Setup(source="pattern", size=(640, 360), fps=30.0, seconds=4.0, max_bitrate=1_000_000)
OFFSET_US = 40
"""Server's clock minus the viewer's, as a session would estimate it."""
START_US = 9_000_000_000


def frame(number: int, *, slower_ms: float = 0.0) -> Frame:
    """Captured every 33.333 ms; its stages add up exactly."""
    stages = (2.0, 12.0 + slower_ms, 14.0, 0.5, 1.0, 9.0, 2.5)
    captured_us = START_US + number * 33_333
    presented_us = captured_us + round(1e3 * sum(stages)) - OFFSET_US
    return Frame(number, captured_us, presented_us, OFFSET_US, stages, qp=30 + number % 8, intra=number == 0)


def frames(count: int = 120) -> tuple[Frame, ...]:
    return tuple(frame(number, slower_ms=number % 12) for number in range(count))


def sighting(of: Frame, *, late_ms: float = 1.0, bound_ms: float = 2.0) -> Sighting:
    """Its pixels appear a little after the drawing call, at an instant that grabs put within twice the bound."""
    visible_us, reach_us = of.presented_us + OFFSET_US + 1e3 * late_ms, 1e3 * bound_ms
    after_us, before_us = round(visible_us - reach_us), round(visible_us + reach_us)
    return Sighting(of.number, of.captured_us, after_us=after_us, before_us=before_us)


def watched(sightings: Sequence[Sighting]) -> Watched:
    return Watched(tuple(sightings), 960, 3, 0.1, (960, 540), (1280, 800), "The X.Org Foundation, release 1")


def constant(ms: float) -> Percentiles:
    return Percentiles(p50=ms, p95=ms, p99=ms, max=ms)


def report() -> Report:
    lag, memory = constant(0.2), Memory(at_5s=100, end=101, max=102)
    counts = {name: 120 for name in ("captured", "encoded", "sent", "received", "decoded", "presented")}
    return Report(
        latentcast="0.1.0",
        started="2026-01-01T00:00:00+00:00",
        seconds=4.0,
        stream="latency",
        profile="nano",
        weights_sha256="a" * 64,
        width=640,
        height=360,
        fps=30.0,
        presenter="window",
        reconnects=0,
        first_picture_s=1.0,
        frames=Frames(**counts, intra=1, damaged=0, lost=0),
        fps_presented=30.0,
        latency_ms=Latency(total=constant(47), stages={}),
        clock_error_ms=0.12,
        rtt_ms=0.3,
        loop_lag_ms=LoopLag(p50=0.2, p95=0.2, p99=0.2, max=0.2, server=lag, client=lag),
        bitrate_bps=Bitrate(target=900_000, sent=400_000),
        qp=Qp(mean=33, min=30, max=37),
        loss=0.0,
        memory_mb=MemoryUse(server=memory, client=memory),
        machine=Machine(
            cpu="</script><b>a processor", cores=2, system="Linux", python="3.11", onnxruntime="1.32", aiortc="1.16"
        ),
    )


def measured() -> Measured:
    shown = frames()
    return Measured(report(), shown, watched([sighting(one) for one in shown if one.number % 10]))


def sweep(parameter: str, unit: str, values: Sequence[float]) -> Sweep:
    points = tuple(
        SweepPoint(
            value=value,
            runs=(constant(50), constant(52), constant(55)),
            p50=52,
            p50_spread=(50, 55),
            p95=70,
            p95_spread=(60, 90),
            presented=0.99,
            sent_bps=3e5,
        )
        for value in values
    )
    return Sweep(parameter=parameter, unit=unit, link="", seconds=6, points=points)


def presses(count: int = 20) -> list[Press]:
    return [
        Press(
            sent_us=START_US + 400_000 * number,
            key=KeySeen(START_US + 400_000 * number + 1_500, START_US + 400_000 * number + 1_700, number % 2 == 0),
            captured_us=START_US + 400_000 * number + 1_500 + 1_000 * (number % 33),
            stages_ms=(2.0, 12.0, 14.0, 0.5, 1.0, 9.0, 2.5),
        )
        for number in range(count)
    ]


def window_presses(count: int = 20) -> list[WindowPress]:
    starts = [START_US + 400_000 * number for number in range(count)]
    return [
        WindowPress(start, start + 2_000, start + 60_000 + 1_000 * number, start + 64_000 + 1_000 * number)
        for number, start in enumerate(starts)
    ]


def document(*, full: bool) -> tuple[LatencyDocument, Pairs]:
    """full: with every part; otherwise the timestamps and the pixels alone."""
    display = Display(":7", virtual=True)
    if not full:
        return make_document(measured(), setup=SETUP, display=display, command="latentcast latency")
    return make_document(
        measured(),
        setup=SETUP,
        display=display,
        command="latentcast latency --sweep --input",
        camera=Camera(
            through="/dev/video0",
            images=9,
            pairs=8,
            delay=constant(66.7),
            p50_interval=(50, 70),
            delays=(50.0, 66.7, 70.0),
            interval=33.333,
        ),
        input_delay=as_result(presses(), lost=1, window=in_window(window_presses(), 0)),
        sweeps=(sweep("bitrate", "kbit/s", (150, 1000)), sweep("loss", "%", (0, 1, 5))),
    )
