"""Fast streams leave encoder and decoders some rest; others are left alone."""

import pytest

from server.cadence import Cadence


def starts(fps: float, *, encode_s: float, decode_ms: list[float], seconds: float = 2.0) -> int:
    """Frames begun each second by an encoder that is asked at every picture."""
    cadence, done_at, begun = Cadence(fps), None, 0
    for picture in range(int(seconds * fps)):
        now = picture / fps
        if done_at is not None and now >= done_at:
            cadence.done(done_at)
            done_at = None
        if done_at is None and cadence.wait_s(now, decode_ms) == 0:
            cadence.begin(now)
            done_at = now + encode_s
            begun += 1
    return round(begun / seconds)


@pytest.mark.parametrize(
    ("fps", "encode_s", "decode_ms", "expected"),
    [
        (30, 0.030, [40.0], (30, 30)),  # nothing to spare, nothing left out
        (25, 0.030, [100.0], (25, 25)),
        (120, 0.004, [4.0], (120, 120)),  # fast enough
        (120, 0.012, [5.0], (58, 68)),  # four fifths of what the encoder could
        (120, 0.004, [12.0], (58, 68)),  # or the decoder
        (120, 0.004, [12.0, 4.0], (120, 120)),  # a slow viewer holds nobody back
        (120, 0.004, [1e6], (30, 40)),  # whatever a viewer says
        (120, 0.004, [], (120, 120)),
    ],
)
def test_frames_begun_a_second(fps: float, encode_s: float, decode_ms: list[float], expected: tuple[int, int]) -> None:
    low, high = expected
    assert low <= starts(fps, encode_s=encode_s, decode_ms=decode_ms) <= high
