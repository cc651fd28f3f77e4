"""What a viewer knows about its stream at one moment: what the window shows, and what it says when it shows nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """What the viewer knows about its stream at one moment."""

    reason: str | None = None
    """Why there is no current picture, in words for the user; None while the stream plays."""
    fps: float = 0.0
    """Pictures presented in the last second."""
    bitrate_bps: float = 0.0
    """Media received in the last second, packet headers included, in bit/s."""
    qp: int | None = None
    """Quantisation parameter of the newest frame, 0 to 63: higher is finer."""
    loss: float = 0.0
    """Share of media packets lost in the last second, 0 to 1, before repair."""
    latency_ms: float | None = None
    """Median time from capture to presentation over the last second."""
    rtt_ms: float | None = None
    """Round-trip time of the clock exchange."""
    clock_error_ms: float | None = None
    """Bound on the error that the alignment of the two clocks leaves in `latency_ms`."""
    size: tuple[int, int] | None = None
    """Width and height of the stream in pixels."""
    stream: str = ""
    """Name of the stream."""
