"""Everything measured while viewing, and the report made of it.

Frames are recorded where they are presented, whichever thread that is; comparison with captured pictures runs in a
thread of its own, so that it delays nobody.
"""

import csv
import os
import platform
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.picture import Picture
from client.receiver import Counts
from codec.colour import psnr_y
from latentcast import __version__
from latentcast.capture_ring import CaptureRing
from latentcast.control import Config, Stats
from latentcast.errors import UserError
from latentcast.report import (
    STAGES,
    Bitrate,
    Frames,
    Latency,
    LoopLag,
    Machine,
    Memory,
    MemoryUse,
    Percentiles,
    Psnr,
    Qp,
    Repair,
    Report,
    Sound,
    write_report,
)
from latentcast.statistics import percentiles
from transport.deadline import PRESENTATION_DEADLINE_S

# An hour at 60 fps: 20 MB. The newest frames are kept.
MAX_FRAMES = 216_000
# Pictures that wait to be compared: more than the capture ring holds would be of no use.
COMPARE_QUEUE = 8
COMPARE_POLL_S = 0.1
# Without PSNR, one picture in so many is looked up, for the still.
STILL_EVERY = 30
IN_TIME_MS = PRESENTATION_DEADLINE_S * 1e3


@dataclass(frozen=True, slots=True)
class PresentedFrame:
    """One line of frames.csv."""

    frame_id: int
    presented_us: int
    qp: int
    intra: bool
    stages_ms: tuple[float, ...]
    captured_us: int
    """Server's clock."""
    offset_us: int
    """Server's clock minus ours, as it was known then: what the stages were computed with."""

    @property
    def total_ms(self) -> float:
        return sum(self.stages_ms)


@dataclass(frozen=True, slots=True)
class Session:
    """What one connection leaves behind for the report."""

    stats: Stats
    counts: Counts
    loss: float
    expected_packets: int


class Measurement:
    """Thread-safe. `started` is when the viewer was started, monotonic seconds."""

    def __init__(self, *, started: float, ring_path: Path | None, psnr: bool) -> None:
        self._started = started
        self._started_utc = datetime.now(UTC)
        self._lock = threading.Lock()
        self._frames: deque[PresentedFrame] = deque(maxlen=MAX_FRAMES)
        self._presented = 0
        self._sessions: list[Session] = []
        self._first_presented: float | None = None
        self._clock_error_us = 0
        self._rtt_ms = 0.0
        self._client_memory: list[tuple[float, float]] = []
        self._server_memory: list[tuple[float, float]] = []
        self.reconnects = 0
        self._comparison = None if ring_path is None else Comparison(ring_path, every_frame=psnr)
        self._psnr = psnr

    @property
    def presented(self) -> int:
        with self._lock:
            return self._presented

    @property
    def first_presented(self) -> float | None:
        """Monotonic seconds."""
        with self._lock:
            return self._first_presented

    def on_presented(
        self, picture: Picture, *, presented_us: int, offset_us: int | None, clock_error_us: int, rtt_us: int
    ) -> PresentedFrame | None:
        """A picture became visible. Returns its record, or None as long as the two clocks are not aligned."""
        if offset_us is None:
            with self._lock:
                self._first_presented = self._first_presented or presented_us / 1e6
                self._presented += 1
            return None
        stages = picture.timeline.stages_ms(presented_us=presented_us, offset_us=offset_us)
        record = PresentedFrame(
            picture.frame_id,
            presented_us,
            picture.qp,
            picture.intra,
            tuple(stages.values()),
            captured_us=picture.timeline.captured_us,
            offset_us=offset_us,
        )
        with self._lock:
            if self._first_presented is None:
                self._first_presented = presented_us / 1e6
            self._frames.append(record)
            self._presented += 1
            self._clock_error_us = max(self._clock_error_us, clock_error_us)
            self._rtt_ms = rtt_us / 1e3
        if self._comparison is not None:
            self._comparison.offer(picture, record)
        return record

    def add_memory(self, *, client_mb: float, server_mb: float | None) -> None:
        """One sample a second, counted from the first presented frame."""
        with self._lock:
            if self._first_presented is None:
                return
            at = time.monotonic() - self._first_presented
            self._client_memory.append((at, client_mb))
            if server_mb is not None:
                self._server_memory.append((at, server_mb))

    def add_session(self, session: Session) -> None:
        """A connection ended."""
        self._sessions.append(session)

    def finish(
        self, folder: Path, *, config: Config, client_lag: Percentiles, presenter: str, sound: Sound | None = None
    ) -> Report:
        """Write report.json, frames.csv, latency.png and, with a capture ring, still.png into `folder`."""
        # Drawing needs SDL, which nothing before the first picture should wait for.
        from client.chart import FrameStages, latency_chart
        from client.still import side_by_side

        folder.mkdir(parents=True, exist_ok=True)
        psnrs: dict[PresentedFrame, float] = {} if self._comparison is None else self._comparison.finish()
        report = self._report(config, client_lag, presenter, psnrs if self._psnr else None)
        report = report.model_copy(update={"sound": sound})
        write_report(folder / "report.json", report)
        self._write_frames(folder / "frames.csv", psnrs)
        total = report.latency_ms.total
        latency_chart(
            folder / "latency.png",
            frames=[
                FrameStages(frame.presented_us / 1e6, dict(zip(STAGES, frame.stages_ms, strict=True)))
                for frame in self._frames
            ],
            title=f"{report.stream}: capture to display, {report.width}x{report.height}, {report.presenter}",
            subtitle=(
                f"{report.fps_presented:.1f} fps, {report.bitrate_bps.sent / 1e3:.0f} kbit/s, p50 {total.p50:.0f} ms, "
                f"p95 {total.p95:.0f} ms, clock error at most {report.clock_error_ms:.2f} ms"
            ),
        )
        if self._comparison is not None and self._comparison.pair is not None:
            source, picture, quality = self._comparison.pair
            side_by_side(
                folder / "still.png",
                source=source,
                decoded=picture.planes,
                caption=(
                    f"frame {picture.frame_id}, QP {picture.qp}, PSNR-Y {quality:.2f} dB, "
                    f"stream at {report.bitrate_bps.sent / 1e3:.0f} kbit/s, profile {report.profile}"
                ),
            )
        return report

    def _report(
        self, config: Config, client_lag: Percentiles, presenter: str, psnrs: dict[PresentedFrame, float] | None
    ) -> Report:
        frames = list(self._frames)
        sessions = self._sessions
        seconds = (frames[-1].presented_us - frames[0].presented_us) / 1e6 if len(frames) > 1 else 0.0
        server_lag = [session.stats.loop_lag_ms for session in sessions]
        server = Percentiles(**{name: _largest(server_lag, name) for name in ("p50", "p95", "p99", "max")})
        worse = {name: max(getattr(server, name), getattr(client_lag, name)) for name in ("p50", "p95", "p99", "max")}
        sent_seconds = sum(session.stats.seconds for session in sessions)
        expected = sum(session.expected_packets for session in sessions)
        arrived = sum(session.counts.packets for session in sessions)
        qps = [frame.qp for frame in frames]
        return Report(
            latentcast=__version__,
            started=self._started_utc.isoformat(timespec="seconds"),
            seconds=round(seconds, 3),
            stream=config.stream,
            profile=config.profile,
            weights_sha256=config.weights,
            width=config.width,
            height=config.height,
            fps=config.fps,
            presenter=presenter,
            reconnects=self.reconnects,
            first_picture_s=None if self._first_presented is None else round(self._first_presented - self._started, 3),
            frames=Frames(
                captured=sum(session.stats.captured for session in sessions),
                encoded=sum(session.stats.encoded for session in sessions),
                sent=sum(session.stats.sent for session in sessions),
                received=sum(session.counts.received for session in sessions),
                decoded=sum(session.counts.decoded for session in sessions),
                presented=self._presented,
                intra=sum(session.counts.intra for session in sessions),
                damaged=sum(session.counts.damaged for session in sessions),
                intact=sum(session.counts.intact for session in sessions),
                in_time=sum(frame.total_ms <= IN_TIME_MS for frame in frames),
                lost=sum(session.counts.lost for session in sessions),
            ),
            fps_presented=round((len(frames) - 1) / seconds, 3) if seconds else 0.0,
            latency_ms=Latency(
                total=percentiles([frame.total_ms for frame in frames]),
                stages={name: percentiles([frame.stages_ms[i] for frame in frames]) for i, name in enumerate(STAGES)},
            ),
            clock_error_ms=round(self._clock_error_us / 1e3, 3),
            rtt_ms=round(self._rtt_ms, 3),
            loop_lag_ms=LoopLag(**worse, server=server, client=client_lag),
            bitrate_bps=Bitrate(
                target=round(
                    sum(s.stats.target_mean_bps * s.stats.seconds for s in sessions) / sent_seconds
                    if sent_seconds
                    else 0.0
                ),
                sent=round(
                    8 * sum(session.stats.bytes for session in sessions) / sent_seconds if sent_seconds else 0.0
                ),
            ),
            qp=Qp(mean=round(float(np.mean(qps)), 2), min=min(qps), max=max(qps)) if qps else Qp(mean=0, min=0, max=0),
            repair=Repair(
                parity=sum(session.stats.parity for session in sessions),
                recovered=sum(session.counts.recovered for session in sessions),
                resent=sum(session.stats.resent for session in sessions),
                probes=sum(session.stats.probes for session in sessions),
            ),
            longest_stall_ms=round(
                max((b.presented_us - a.presented_us for a, b in pairwise(frames)), default=0) / 1e3, 3
            ),
            loss=round(max(0.0, 1 - arrived / expected) if expected else 0.0, 5),
            memory_mb=MemoryUse(server=_memory(self._server_memory), client=_memory(self._client_memory)),
            psnr_y_db=(
                Psnr(
                    mean=round(float(np.mean(list(psnrs.values()))), 3),
                    min=round(min(psnrs.values()), 3),
                    frames=len(psnrs),
                )
                if psnrs
                else None
            ),
            machine=describe_machine(),
        )

    def _write_frames(self, path: Path, psnrs: dict[PresentedFrame, float]) -> None:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            stages = (f"{name}_ms" for name in STAGES)
            writer.writerow(["frame", "presented_us", "qp", "intra", *stages, "psnr_y_db", "captured_us", "offset_us"])
            for frame in self._frames:
                quality = psnrs.get(frame)
                times = (f"{value:.3f}" for value in frame.stages_ms)
                writer.writerow(
                    [
                        frame.frame_id,
                        frame.presented_us,
                        frame.qp,
                        int(frame.intra),
                        *times,
                        "" if quality is None else f"{quality:.3f}",
                        frame.captured_us,
                        frame.offset_us,
                    ]
                )


class Comparison:
    """Looks presented pictures up in the server's capture ring and measures them, in its own thread."""

    def __init__(self, path: Path, *, every_frame: bool) -> None:
        """Raises UserError when there is no ring at `path`."""
        self._path = path
        self._ring = CaptureRing.open(path)
        self._inode = path.stat().st_ino
        self._every = 1 if every_frame else STILL_EVERY
        self._queue: queue.Queue[tuple[Picture, PresentedFrame]] = queue.Queue(COMPARE_QUEUE)
        self._psnrs: dict[PresentedFrame, float] = {}
        self._offered = 0
        self.missed = 0
        """Pictures not compared: the ring had moved on, or this thread was behind."""
        self.pair: tuple[NDArray[np.uint8], Picture, float] | None = None
        """The newest (captured, presented, PSNR-Y)."""
        self._finishing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="compare", daemon=True)
        self._thread.start()

    def offer(self, picture: Picture, record: PresentedFrame) -> None:
        """Never blocks."""
        self._offered += 1
        if (self._offered - 1) % self._every:
            return
        try:
            self._queue.put_nowait((picture, record))
        except queue.Full:
            self.missed += 1

    def finish(self) -> dict[PresentedFrame, float]:
        """PSNR-Y of each frame compared, once everything offered has been."""
        self._finishing.set()
        self._thread.join()
        return self._psnrs

    def _run(self) -> None:
        while not (self._finishing.is_set() and self._queue.empty()):
            try:
                picture, record = self._queue.get(timeout=COMPARE_POLL_S)
            except queue.Empty:
                continue
            self._follow()
            captured = self._ring.read(picture.frame_id)
            if captured is None or len(captured) != picture.planes.size:
                self.missed += 1
                continue
            source = np.frombuffer(captured, np.uint8).reshape(picture.planes.shape)
            quality = psnr_y(source, picture.planes)
            self._psnrs[record] = quality
            self.pair = (source, picture, quality)
        self._ring.close()

    def _follow(self) -> None:
        """A server that was started again has put a new ring in the old one's place."""
        try:
            inode = self._path.stat().st_ino
            if inode != self._inode:
                ring = CaptureRing.open(self._path)
                self._ring.close()
                self._ring, self._inode = ring, inode
        except (OSError, UserError):
            # Between two servers there is none; the old one then simply holds none of the new pictures.
            return


def describe_machine() -> Machine:
    """What the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return Machine(
        cpu=cpu,
        cores=os.cpu_count() or 0,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        onnxruntime=version("onnxruntime"),
        aiortc=version("aiortc"),
    )


def _largest(values: list[Percentiles], name: str) -> float:
    return max((getattr(value, name) for value in values), default=0.0)


def _memory(samples: list[tuple[float, float]]) -> Memory:
    if not samples:
        return Memory(at_5s=0.0, end=0.0, max=0.0)
    settled = [mb for at, mb in samples if at >= 5.0] or [samples[-1][1]]
    return Memory(at_5s=round(settled[0], 1), end=round(samples[-1][1], 1), max=round(max(settled), 1))
