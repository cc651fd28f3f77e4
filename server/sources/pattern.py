"""A moving test pattern: the first thing people see, and what delay and quality are measured with.

    sky and ridges, drifting   soft gradients, long edges, some grain: easy
    colour bars, 75 %          static flat colour with sharp edges
    texture, sliding           fine detail in steady motion
    zone plate, breathing      every spatial frequency down to a few pixels
    ball, bouncing             occlusion, and a motion that changes direction
    clock and frame number     sharp text that changes; for the eye and for photographs
    bar code                   the same for programs (`latentcast.barcode`)

Everything is drawn once when the source is made; a frame is copies of slices, one table look-up and a few glyphs
(measured on one core of a small server: 0.3 ms at 640x360, 2 ms at 1920x1080). Where things are follows from the time
since the start alone, whatever was skipped in between.
"""

from collections.abc import Callable

import av
import numpy as np
from numpy.typing import NDArray

from codec.colour import frame_to_planes
from latentcast import barcode
from server.audio import AudioFeed
from server.sources.base import Waiter, check_picture, check_planes, monotonic_us

_MAX_LATE_s = 0.5
"""Later than this, the schedule starts anew instead of counting the frames that were missed."""

_DRIFT_s = 24.0
"""Time in which the landscape passes by once: about one pixel a frame at 640 wide and 30 frames a second."""

_SEED = 7
"""The landscape is the same everywhere, so that measurements can be compared."""

_INK, _PAPER = 205, 40
"""Luma of text and of the panel behind it: readable, without the hardest contrast there is."""

_TITLE = "LATENTCAST"

_FONT = {
    "0": "0e11131519110e",
    "1": "040c040404040e",
    "2": "0e11010204081f",
    "3": "1f02040201110e",
    "4": "02060a121f0202",
    "5": "1f101e0101110e",
    "6": "0608101e11110e",
    "7": "1f010204080808",
    "8": "0e11110e11110e",
    "9": "0e11110f01020c",
    ":": "000c0c000c0c00",
    ".": "00000000000c0c",
    "#": "0a0a1f0a1f0a0a",
    "A": "0e11111f111111",
    "C": "0e11101010110e",
    "E": "1f10101e10101f",
    "L": "1010101010101f",
    "N": "11191513111111",
    "S": "0f10100e01011e",
    "T": "1f040404040404",
}
"""Glyphs of 5x7 dots: seven rows of two hexadecimal digits, the highest of five bits on the left."""


class PatternSource:
    """The test pattern at any size and rate; implements `Source`.

    Where it fits (`barcode.strip_height`), it carries the bar code: frame number `frame_id` modulo 2^32, and the
    capture time that `read` returns modulo 2^48. Capture time is the instant drawing starts.
    """

    frames_skipped: int
    """Frames left out because the reader came too late for them."""

    def __init__(
        self,
        *,
        size: tuple[int, int],
        fps: float,
        clock: Callable[[], int] = monotonic_us,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        check_picture(size=size, fps=fps)
        self._size, self._fps = size, fps
        self._waiter = Waiter(clock=clock, wait=wait)
        self._scene = _Scene(*size)
        self._start_us: int | None = None
        self._origin_us = 0
        self._ticks = 0
        self.frames_skipped = 0

    @property
    def kind(self) -> str:
        """See `Source.kind`."""
        return "pattern"

    @property
    def audio(self) -> AudioFeed | None:
        """None: the pattern is silent."""
        return None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the picture."""
        return self._size

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self._fps

    def read(self, planes: NDArray[np.uint8], *, frame_id: int) -> int:
        """See `Source.read`."""
        check_planes(planes, self._size)
        captured_us = self._waiter.until(self._next_due_us())
        self._scene.draw(planes, seconds=(captured_us - self._origin_us) / 1e6, frame_id=frame_id)
        if barcode.strip_height(width=self._size[0], height=self._size[1]):
            barcode.draw(
                planes,
                frame_number=frame_id % (1 << barcode.FRAME_NUMBER_BITS),
                captured_us=captured_us % (1 << barcode.CAPTURED_BITS),
            )
        return captured_us

    def interrupt(self) -> None:
        """See `Source.interrupt`."""
        self._waiter.interrupt()

    def close(self) -> None:
        """Nothing to release."""

    def _next_due_us(self) -> float:
        now_us = self._waiter.clock()
        if self._start_us is None:
            self._start_us = self._origin_us = now_us
        late_us = now_us - self._start_us - self._ticks * 1e6 / self._fps
        if late_us > _MAX_LATE_s * 1e6:
            self._start_us, self._ticks, late_us = now_us, 0, 0.0
        missed = max(0, int(late_us * self._fps / 1e6))
        self.frames_skipped += missed
        self._ticks += missed + 1
        return self._start_us + (self._ticks - 1) * 1e6 / self._fps


class _Scene:
    """The drawn parts and where they go."""

    def __init__(self, width: int, height: int) -> None:
        rng = np.random.default_rng(_SEED)
        self._width, self._height = width, height
        top = height - barcode.strip_height(width=width, height=height)
        landscape = _to_planes(_landscape(rng, width, height, horizon=0.55 * top))
        self._landscape = np.concatenate([landscape, landscape], axis=2)

        left, right = round(0.05 * width), round(0.55 * width)
        panel_w, panel_h = round(0.40 * width), round(0.34 * top)
        upper, lower = round(0.10 * top), round(0.56 * top)
        self._bars = np.s_[:, upper : upper + panel_h, left : left + panel_w]
        self._bar_planes = _to_planes(_colour_bars(panel_w, panel_h))
        self._texture = np.s_[:, lower : lower + panel_h, left : left + panel_w]
        tile = _to_planes(_texture(rng, panel_w, panel_h))
        self._texture_planes = np.tile(tile, (1, 2, 2))

        side = min(panel_w, round(0.46 * top))
        x = right + (panel_w - side) // 2
        self._plate = np.s_[:, round(0.04 * top) : round(0.04 * top) + side, x : x + side]
        self._plate_phase, self._plate_mask = _zone_plate(side)
        self._plate_luma = np.empty((side, side), np.uint8)

        self._text = _Text(right, lower, panel_w, panel_h)
        self._ball = _Ball(max(6, round(0.075 * min(width, top))), width, top)

    def draw(self, planes: NDArray[np.uint8], *, seconds: float, frame_id: int) -> None:
        """Draw the whole picture as it is `seconds` after the start."""
        x = int(seconds / _DRIFT_s * self._width) % self._width
        planes[:] = self._landscape[:, :, x : x + self._width]

        planes[self._bars] = self._bar_planes
        _, h, w = planes[self._texture].shape
        x, y = int(seconds * w / 5) % w, int(seconds * h / 7) % h
        planes[self._texture] = self._texture_planes[:, y : y + h, x : x + w]

        levels = 128 + 60 * np.cos(2 * np.pi * (np.arange(256) / 256 - 0.6 * seconds))
        np.take(levels.astype(np.uint8), self._plate_phase, out=self._plate_luma, mode="clip")
        plate = planes[self._plate]
        np.copyto(plate[0], self._plate_luma, where=self._plate_mask)
        np.copyto(plate[1:], 128, where=self._plate_mask)

        self._text.draw(planes, seconds=seconds, frame_id=frame_id)
        self._ball.draw(planes, seconds=seconds)


class _Text:
    """The panel with title, clock and frame number; absent where it would not be readable."""

    def __init__(self, x: int, y: int, width: int, height: int) -> None:
        self._dot = min(width // 64, height // 27)
        if not self._dot:
            return
        dot = self._dot
        self._area = np.s_[:, y : y + height, x : x + width]
        self._glyphs = {character: _glyph(character, dot) for character in _FONT}
        self._panel = np.empty((3, height, width), np.uint8)
        self._panel[:] = np.array([_PAPER, 140, 122])[:, None, None]
        self._x = (width - 60 * dot) // 2
        gap = (height - 21 * dot) // 4
        self._line_y = [gap + line * (7 * dot + gap) for line in range(3)]
        self._write(self._panel, 0, _TITLE)
        self._panel[1, self._line_y[0] : self._line_y[0] + 7 * dot] = 96
        self._panel[2, self._line_y[0] : self._line_y[0] + 7 * dot] = 150

    def draw(self, planes: NDArray[np.uint8], *, seconds: float, frame_id: int) -> None:
        if self._dot:
            panel = planes[self._area]
            panel[:] = self._panel
            minutes, milliseconds = divmod(int(seconds * 1000), 60_000)
            self._write(panel, 1, f"{minutes % 1000:3d}:{milliseconds // 1000:02d}.{milliseconds % 1000:03d}")
            self._write(panel, 2, f"#{frame_id % 10**9:09d}")

    def _write(self, planes: NDArray[np.uint8], line: int, text: str) -> None:
        y, dot = self._line_y[line], self._dot
        for place, character in enumerate(text):
            if character != " ":
                x = self._x + place * 6 * dot
                planes[0, y : y + 7 * dot, x : x + 5 * dot] = self._glyphs[character]


class _Ball:
    """A shaded ball between the walls of the picture, without gravity: both coordinates are triangle waves."""

    def __init__(self, radius: int, width: int, height: int) -> None:
        self._side = side = 2 * radius
        self._room = (width - side, height - side)
        axis = (np.arange(side) + 0.5) / radius - 1
        x, y = np.meshgrid(axis, axis)
        z = np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
        light = np.clip(-0.45 * x - 0.55 * y + 0.70 * z, 0, 1)
        rgb = np.array([0.95, 0.35, 0.12]) * (0.25 + 0.75 * light[..., None]) + 0.6 * light[..., None] ** 24
        self._sprite = _to_planes(rgb).astype(np.int16)
        coverage = np.clip((1 - np.hypot(x, y)) * radius + 0.5, 0, 1)
        self._alpha = np.round(coverage * 128).astype(np.int16)

    def draw(self, planes: NDArray[np.uint8], *, seconds: float) -> None:
        x, y = (
            int(room * abs((seconds / period_s + 0.3) % 2 - 1))
            for room, period_s in zip(self._room, (2.9, 1.7), strict=True)
        )
        area = planes[:, y : y + self._side, x : x + self._side]
        area[:] = area + ((self._sprite - area) * self._alpha >> 7)


def _to_planes(rgb: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Float RGB, 0..1, (H, W, 3), as a working picture."""
    codes = np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    return frame_to_planes(av.VideoFrame.from_ndarray(codes), width=codes.shape[1], height=codes.shape[0])


def _noise(rng: np.random.Generator, height: int, width: int, *, slope: float) -> NDArray[np.float32]:
    """Random field with a spectrum of 1/frequency^slope, wrapping round at its edges, about -1..1."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    spectrum = rng.standard_normal(frequency.shape) + 1j * rng.standard_normal(frequency.shape)
    field = np.fft.irfft2(spectrum * frequency**-slope, s=(height, width))
    normalised: NDArray[np.float32] = np.clip(field / (2.5 * field.std()), -1, 1).astype(np.float32)
    return normalised


def _landscape(rng: np.random.Generator, width: int, height: int, *, horizon: float) -> NDArray[np.float32]:
    """Evening sky over four ridges, RGB (H, W, 3), wrapping round horizontally."""
    y = np.arange(height, dtype=np.float32)[:, None]
    x = np.arange(width, dtype=np.float32)[None, :]
    up = np.clip(y / horizon, 0, 1)[..., None]
    zenith, glow = np.array([0.06, 0.13, 0.30], np.float32), np.array([0.93, 0.62, 0.42], np.float32)
    picture: NDArray[np.float32] = zenith + (glow - zenith) * up**1.7 + np.zeros((1, width, 1), np.float32)
    clouds = _noise(rng, height, width, slope=1.9)[..., None]
    picture += 0.10 * clouds * np.array([1.0, 0.8, 0.7], np.float32) * (0.3 + up)
    grain = _noise(rng, height, width, slope=1.3)
    far, near = np.array([0.42, 0.40, 0.50], np.float32), np.array([0.05, 0.13, 0.12], np.float32)
    for ridge in range(4):
        depth = ridge / 3
        line = np.full((1, width), horizon * (0.92 + 0.24 * ridge), np.float32)
        for waves in range(1, 24):
            size = horizon * (0.16 + 0.03 * ridge) / waves**1.1 * rng.normal()
            line += size * np.sin(2 * np.pi * (waves * (1 + ridge // 2) * x / width + rng.random())) / 2
        inside = np.clip(y - line + 0.5, 0, 1)[..., None]
        colour = far + (near - far) * depth
        shade = 1 + (0.08 + 0.20 * depth) * grain - 0.25 * np.clip((y - line) / horizon, 0, 1)
        picture += inside * (colour * shade[..., None] - picture)
    return picture


def _colour_bars(width: int, height: int) -> NDArray[np.float64]:
    """The eight bars of ITU-R BT.471 at 75 %, RGB (H, W, 3)."""
    bars = [[1, 1, 1], [1, 1, 0], [0, 1, 1], [0, 1, 0], [1, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 0]]
    columns = np.minimum(np.arange(width) * 8 // width, 7)
    return np.tile(0.75 * np.array(bars, float)[columns], (height, 1, 1))


def _texture(rng: np.random.Generator, width: int, height: int) -> NDArray[np.floating]:
    """Mossy stone, RGB (H, W, 3), wrapping round in both directions."""
    stone = 0.45 * _noise(rng, height, width, slope=1.4)[..., None]
    moss = _noise(rng, height, width, slope=1.8)[..., None]
    texture: NDArray[np.floating] = np.where(moss > 0.15, [0.34, 0.42, 0.20], [0.50, 0.44, 0.38]) * (1 + stone)
    return texture


def _zone_plate(side: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Phase of every pixel in 1/256 turns, and which belong to the disc. The rings at the rim are 9 pixels apart."""
    axis = np.arange(side) + 0.5 - side / 2
    radius = np.hypot(axis[:, None], axis)
    turns = radius**2 / (9 * side)
    return (turns * 256 % 256).astype(np.uint8), radius < side / 2


def _glyph(character: str, dot: int) -> NDArray[np.uint8]:
    rows = bytes.fromhex(_FONT[character])
    dots = np.array([[_INK if row >> (4 - column) & 1 else _PAPER for column in range(5)] for row in rows], np.uint8)
    glyph = np.kron(dots, np.ones((dot, dot), np.uint8))
    if dot == 1:
        return glyph
    # Softened by a pixel: no less readable, and half as hard to code as steps no lens would show.
    wide = np.pad(glyph.astype(np.uint16), 1, constant_values=_PAPER)
    wide = wide[:-2] + 2 * wide[1:-1] + wide[2:]
    return ((wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]) // 16).astype(np.uint8)
