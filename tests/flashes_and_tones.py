"""A clip whose picture flashes while its sound beeps: what comes out tells how far apart the two are."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 48_000
TONE_HZ = 1_000
AMPLITUDE = 12_000


def make_clip(
    path: Path,
    *,
    seconds: float,
    flashes: tuple[float, ...],
    length_s: float = 0.1,
    size: tuple[int, int] = (64, 64),
    fps: int = 25,
    sound: bool = True,
    delay_s: float = 0.0,
) -> None:
    """Write a clip that is white and beeps for `length_s` at each of `flashes` seconds, else black and silent.

    delay_s: pictures and sound begin so much after the file does.
    """
    with av.open(path, "w") as container:
        video = container.add_stream("mjpeg", rate=fps)
        video.width, video.height = size
        video.pix_fmt = "yuvj420p"
        audio = container.add_stream("pcm_s16le", rate=RATE, layout="stereo") if sound else None
        for i in range(round(seconds * fps)):
            at_s = i / fps
            lit = any(start <= at_s + 1e-9 < start + length_s for start in flashes)
            picture = np.full((size[1], size[0], 3), 255 if lit else 0, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture).reformat(format="yuvj420p")
            frame.pts, frame.time_base = round((at_s + delay_s) * fps), Fraction(1, fps)
            for packet in video.encode(frame):
                container.mux(packet)
            if audio is not None:
                block = tone(at_s, 1 / fps, flashes, length_s)
                heard = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="stereo")
                heard.sample_rate, heard.time_base = RATE, Fraction(1, RATE)
                heard.pts = round((at_s + delay_s) * RATE)
                for sound_packet in audio.encode(heard):
                    container.mux(sound_packet)
        for packet in video.encode(None):
            container.mux(packet)


def tone(start_s: float, length_s: float, flashes: tuple[float, ...], burst_s: float) -> NDArray[np.int16]:
    """(n, 2) samples from `start_s` on."""
    t = start_s + np.arange(round(length_s * RATE)) / RATE
    on = np.any([(t >= start - 1e-9) & (t < start + burst_s - 1e-9) for start in flashes], axis=0)
    wave = (AMPLITUDE * np.sin(2 * np.pi * TONE_HZ * t) * on).astype(np.int16)
    return np.stack([wave, wave], axis=1)


def onsets(times_s: NDArray[np.float64], levels: NDArray[np.float64], *, quiet_s: float = 0.15) -> list[float]:
    """Times at which something loud or bright follows `quiet_s` of nothing."""
    found: list[float] = []
    last = -1e9
    for at_s, level in zip(times_s.tolist(), levels.tolist(), strict=True):
        if level > 0.25:
            if at_s - last > quiet_s:
                found.append(at_s)
            last = at_s
    return found
