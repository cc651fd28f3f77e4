"""A rendition of a fast stream, on a clock of the test's: how many of its pictures the encoder is given."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from codec.arithmetic import Arithmetic
from codec.profiles import Profile
from latentcast.config import ServeSettings
from server.encoder_worker import EncodeJob, EncodeResult
from server.frame_slots import CapturedFrame, FrameSlots
from server.rendition import Rendition

SIZE = (64, 64)


class FakeEncoder:
    """In the place of the encoder process: takes jobs, and is done when it is told to."""

    ready, busy, pid = True, False, None

    def __init__(self, *, on_result: Callable[[Any], None], **_: object) -> None:
        self._on_result = on_result
        self.jobs: list[EncodeJob] = []

    def submit(self, job: EncodeJob) -> None:
        self.jobs.append(job)
        self.busy = True

    def finish(self) -> None:
        self.busy = False
        job = self.jobs[-1]
        self._on_result(EncodeResult(job.frame_id, None, b"", (), 30, SIZE, 0, 0))

    async def stop(self) -> None:
        """Nothing runs."""


class FakeControl:
    """Every picture may be coded."""

    def decide(self, _: object, *, frame_id: int, **__: object) -> SimpleNamespace:
        return SimpleNamespace(frame_id=frame_id, reference_id=None, inter_qp=30, intra_qp=30, pins=(), size=SIZE)

    def on_coded(self, *_: object, **__: object) -> None:
        """Once is enough."""

    def deliver(self, *_: object) -> None:
        """Nobody is there."""


def viewer(decode_ms: float) -> Any:
    seen = SimpleNamespace(stages_ms={"decode": decode_ms})
    nothing = lambda: None  # noqa: E731
    return SimpleNamespace(
        watching=True, seen=seen, intra_interval=None, sender=None, announce=nothing, on_coded=nothing
    )


@pytest.mark.asyncio
@pytest.mark.parametrize(("fps", "decode_ms", "given"), [(120, 2, 60), (120, 20, 18), (30, 20, 60)])
async def test_half_a_second_or_two_of_pictures(
    monkeypatch: pytest.MonkeyPatch, fps: int, decode_ms: float, given: int
) -> None:
    now = SimpleNamespace(s=100.0)
    monkeypatch.setattr("server.rendition.Worker", FakeEncoder)
    monkeypatch.setattr("server.rendition.time", SimpleNamespace(monotonic=lambda: now.s))
    monkeypatch.setattr("server.rendition.packetise", lambda *_, **__: SimpleNamespace(packets=[b""]))
    slots = FrameSlots(width=SIZE[0], height=SIZE[1])
    rendition = Rendition(
        index=0,
        profile=Profile.of(ServeSettings()),
        slots=slots,
        source_size=SIZE,
        size=SIZE,
        fps=fps,
        threads=1,
        on_ready=lambda: None,
        on_failure=pytest.fail,
    )
    rendition.arithmetic = Arithmetic("0" * 32, "float32")
    rendition.control = cast(Any, FakeControl())
    rendition.sessions.append(viewer(decode_ms))
    encoder = cast(FakeEncoder, rendition._worker)
    for number in range(60):
        slots.publish(CapturedFrame(slots.slot_to_write(), number, 0))
        rendition.pump()
        now.s += 0.004
        if encoder.busy:
            encoder.finish()
        now.s += 1 / fps - 0.004
    assert len(encoder.jobs) == pytest.approx(given, abs=2)
    # The last picture is not forgotten when no other comes after it.
    if encoder.jobs[-1].frame_id != 59:
        now.s += 1
        await asyncio.sleep(2 / fps + 1 / 30)
        assert encoder.jobs[-1].frame_id == 59
    await rendition.stop()
    slots.close()
