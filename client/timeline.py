"""The timestamps of one frame from capture to display, and the stages between them (`docs/latency.md`)."""

from dataclasses import dataclass

from latentcast.report import STAGES


@dataclass(frozen=True, slots=True)
class Timeline:
    """captured_us .. sent_us on the server's clock; received_us .. decoded_us on this machine's."""

    captured_us: int
    encode_started_us: int
    encoded_us: int
    sent_us: int
    """The last packet left the pacer."""
    received_us: int
    """The last packet came in, or the frame was given up."""
    decode_started_us: int
    decoded_us: int

    def stages_ms(self, *, presented_us: int, offset_us: int) -> dict[str, float]:
        """Milliseconds of each stage in the order of `latentcast.report.STAGES`.

        presented_us: this machine's clock. offset_us: server clock minus ours. All stages are differences of
        neighbours on one clock, so they add up to the total.
        """
        times = (
            self.captured_us,
            self.encode_started_us,
            self.encoded_us,
            self.sent_us,
            self.received_us + offset_us,
            self.decode_started_us + offset_us,
            self.decoded_us + offset_us,
            presented_us + offset_us,
        )
        pairs = zip(STAGES, times[:-1], times[1:], strict=True)
        return {name: (end - start) / 1e3 for name, start, end in pairs}
