"""How a viewer stands: which pictures were shown lately, why there is none now, and the numbers of the last second."""

import time
from collections import deque
from collections.abc import Callable

from client.explain import STARTING, Explanation, why_still
from client.intake import Intake
from client.measurement import Measurement, PresentedFrame
from client.picture import Picture
from client.receiver import Receiver
from client.status import ViewStatus
from latentcast.control import Config, SourceState
from latentcast.statistics import percentile
from transport.clock import ClockSync

# A picture that has not changed for this long (or five frames) needs a word of explanation.
STILL_S = 0.7
_RECENT = 240
"""Presented pictures that are remembered: a second of the fastest stream there may be."""


class Standing:
    """Any thread may ask and tell; what is told is one reference or number at a time."""

    def __init__(self, stream: str, *, measurement: Measurement, on_notice: Callable[[str], None]) -> None:
        """stream: its name until the server says it. on_notice(text): one line for the terminal when there is news."""
        self.explanation: Explanation | None = STARTING
        """Why there is no picture; None while they come."""
        self._stream = stream
        self._measurement = measurement
        self._on_notice = on_notice
        self._notice: str | None = None
        self._presented_at = 0.0
        self._recent: deque[PresentedFrame] = deque(maxlen=_RECENT)
        self._intake = Intake()

    def say(self, why: Explanation) -> None:
        """State for the window, and one line for the terminal when it is news."""
        self.explanation = why
        text = why.line or why.reason
        if text != self._notice:
            self._notice = text
            self._on_notice(text)

    def passed(self, now_us: int) -> None:
        """A picture came, whether shown or not."""
        self._presented_at = now_us / 1e6
        self.explanation = None

    def presented(self, picture: Picture, now_us: int, clock: ClockSync) -> PresentedFrame | None:
        """A picture is shown since `now_us` (monotonic); returns its record, where its time could be measured."""
        record = self._measurement.on_presented(
            picture,
            presented_us=now_us,
            offset_us=clock.offset_us,
            clock_error_us=clock.error_us or 0,
            rtt_us=clock.rtt_us or 0,
        )
        if record is not None:
            self._recent.append(record)
        self.passed(now_us)
        return record

    @property
    def recent(self) -> list[PresentedFrame]:
        """The newest pictures that were presented."""
        return list(self._recent)

    def status(
        self, receiver: Receiver | None, *, config: Config | None, source: SourceState | None, decoder_ready: bool
    ) -> ViewStatus:
        """What the user should know now. receiver: of the session, if there is one; the others as said last."""
        now = time.monotonic()
        recent = [frame for frame in self.recent if frame.presented_us / 1e6 > now - 1.0]
        latencies = sorted(frame.total_ms for frame in recent)
        bitrate, loss = self._intake.rate(receiver, now)
        clock = None if receiver is None else receiver.clock
        why = self.explanation
        if receiver is not None and why is None and config is not None:
            still_s = now - self._presented_at
            if still_s >= max(STILL_S, 5 / config.fps):
                why = why_still(source, still_s=still_s, waiting_for_intra=receiver.waiting_for_intra)
        if receiver is not None and why is not None and why.situation == "connecting" and not decoder_ready:
            # The connection waits for it as well.
            why = STARTING
        return ViewStatus(
            reason=None if why is None else why.reason,
            detail=None if why is None else why.detail_at(now),
            situation="still" if why is None else why.situation,
            source="" if source is None else source.kind,
            fps=float(len(recent)),
            bitrate_bps=bitrate,
            qp=recent[-1].qp if recent else None,
            loss=loss,
            latency_ms=percentile(latencies, 0.5) if latencies else None,
            rtt_ms=None if clock is None or clock.rtt_us is None else clock.rtt_us / 1e3,
            clock_error_ms=None if clock is None or clock.error_us is None else clock.error_us / 1e3,
            size=None if config is None else (config.width, config.height),
            stream=self._stream if config is None else config.stream,
        )
