"""Any video frame in, the working picture out, and the working picture back to RGB.

The working picture, everywhere in the project, is `planes`: numpy uint8, shape (3, H, W), Y, Cb, Cr at full resolution
(4:4:4), full-range BT.709 code values as ITU-T H.273 defines them: Y = 255 E'Y, Cb = 255 E'Cb + 128, Cr likewise.

    YUV frame ── swscale: size, chroma to 4:4:4, nothing else ── integer matrix: BT.601 / limited / ... to BT.709 full
    RGB frame ── swscale: size and BT.709 full range in one go

Why the matrix is here and not in swscale: swscale converts between matrices by way of 8-bit RGB, and what comes out
depends on which of its shortcuts it took (measured: luma 1.3 code values too dark for 4:2:0 BT.601, or six times the
time with accurate rounding). Integer arithmetic on whole planes is exact to one code value and faster than either.
"""

import math
import threading
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from latentcast.errors import UserError

Rectangle: TypeAlias = tuple[int, int, int, int]
"""x, y, width, height in pixels."""

KR_BT709, KB_BT709 = 0.2126, 0.0722
"""Luma weights of red and blue, ITU-R BT.709-6 item 3.2."""

BLACK_Y, NEUTRAL_CHROMA = 0, 128
"""Black of the working picture (full range, so 0 and not 16) and the code value of no colour."""

_AVCOL_SPC_BT709, _AVCOL_SPC_UNSPECIFIED, _AVCOL_SPC_BT470BG, _AVCOL_SPC_SMPTE170M = 1, 2, 5, 6
_LUMA_WEIGHTS: dict[int, tuple[float, float]] = {
    _AVCOL_SPC_BT709: (KR_BT709, KB_BT709),
    4: (0.30, 0.11),  # FCC title 47
    _AVCOL_SPC_BT470BG: (0.299, 0.114),
    _AVCOL_SPC_SMPTE170M: (0.299, 0.114),
    7: (0.212, 0.087),  # SMPTE ST 240
    9: (0.2627, 0.0593),  # BT.2020 non-constant luminance
}
"""(Kr, Kb) by MatrixCoefficients code point, ITU-T H.273 table 4, which is also FFmpeg's AVColorSpace."""

_UNLABELLED = (0, _AVCOL_SPC_UNSPECIFIED, 3)
"""Code points that name no matrix for YUV: RGB and reserved turn up on frames of careless drivers."""

_HD_LINES = 720
"""An unlabelled picture with at least this many lines is BT.709, with fewer BT.601: what players assume."""

_FRACTION_BITS = 8
"""Fixed point of the colour matrices. Every coefficient is stored as its difference from the identity, which keeps
each sum inside int16 for any 8-bit input and the result within one code value of the real number."""

_STRIP_PIXELS = 65_536
"""Pixels worked on at a time: the int16 temporaries of one strip stay in a second-level cache."""


def fit_rectangle(src_w: int, src_h: int, dst_w: int, dst_h: int, sample_aspect: Fraction | float = 1) -> Rectangle:
    """Largest centred rectangle of a picture's shape inside another, all four numbers even.

    `sample_aspect` is the width of one source pixel over its height (1 for square pixels). An odd destination loses
    its last row or column to the border.
    """
    if min(src_w, src_h, dst_w, dst_h) < 2 or sample_aspect <= 0:
        raise ValueError(
            f"cannot fit {src_w}x{src_h} (sample aspect {sample_aspect}) into {dst_w}x{dst_h}: "
            "sizes start at 2, aspects above 0"
        )
    display_w = src_w * float(sample_aspect)
    scale = min(dst_w / display_w, dst_h / src_h)
    w = min(max(2, 2 * round(display_w * scale / 2)), dst_w & ~1)
    h = min(max(2, 2 * round(src_h * scale / 2)), dst_h & ~1)
    return (dst_w - w) // 4 * 2, (dst_h - h) // 4 * 2, w, h


def paint_border(planes: NDArray[np.uint8], rectangle: Rectangle) -> None:
    """Paint everything of `planes` outside `rectangle` black, in place; the inside is not touched."""
    x, y, w, h = rectangle
    for border in (planes[:, :y], planes[:, y + h :], planes[:, y : y + h, :x], planes[:, y : y + h, x + w :]):
        border[0] = BLACK_Y
        border[1:] = NEUTRAL_CHROMA


class ToPlanes:
    """Converter of frames to the working picture. Keeps the scaler and scratch memory: one per source and thread.

    * matrix: the frame's own; unspecified means BT.601 below 720 lines and BT.709 from there on;
    * range: the frame's own; unspecified means limited for YUV, full for greyscale and the `yuvj` formats; RGB is full;
    * rotation by a multiple of 90 degrees recorded in the frame's display matrix is applied;
    * primaries and transfer function are taken as they are: wide-gamut or HDR video is not tone-mapped;
    * scaling is bicubic, or by area when both sides shrink to half or less (a third of the cost, and no ringing).
    """

    def __init__(self) -> None:
        self._scaler = VideoReformatter()
        self._scratch = _Scratch()

    def __call__(
        self, frame: av.VideoFrame, *, width: int, height: int, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """Fill `out` (uint8, (3, height, width), any strides; a new array if None) from `frame` and return it.

        The frame is stretched to the size asked for: keep its shape with `fit_rectangle` and a view of the picture.
        Raises UserError for a matrix that cannot be converted (YCgCo, constant luminance, ICtCp).
        """
        if out is None:
            out = np.empty((3, height, width), np.uint8)
        elif out.shape != (3, height, width) or out.dtype != np.uint8:
            raise ValueError(f"out is {out.dtype} {out.shape}, expected uint8 {(3, height, width)}")
        quarter_turns = round(frame.rotation / 90) % 4
        target = np.rot90(out, -quarter_turns, axes=(1, 2)) if quarter_turns else out
        target_h, target_w = target.shape[1:]

        shrinks = 2 * target_w <= frame.width and 2 * target_h <= frame.height
        interpolation = Interpolation.AREA if shrinks else Interpolation.BICUBIC
        rgb = _is_rgb(frame)
        full = rgb or _is_full_range(frame)
        weights = (KR_BT709, KB_BT709) if rgb else _luma_weights(frame)
        scaled = self._scaler.reformat(
            frame,
            width=target_w,
            height=target_h,
            format="yuv444p",
            # The same labels on both sides, so that swscale leaves the colours of a YUV frame alone. Full, whatever
            # the range really is: greyscale it takes for full regardless, and RGB has to become full.
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=interpolation,
            threads=1,
        )
        _to_bt709_full(_plane_views(scaled), target, weights=weights, full=full, scratch=self._scratch)
        return out


def frame_to_planes(
    frame: av.VideoFrame, *, width: int, height: int, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """`ToPlanes` for occasional use: one converter per thread, kept between calls."""
    return _local.to_planes(frame, width=width, height=height, out=out)


def planes_to_frame(planes: NDArray[np.uint8]) -> av.VideoFrame:
    """Copy of the working picture as a yuv444p frame, labelled BT.709 and full range."""
    _, height, width = planes.shape
    frame = av.VideoFrame(width, height, "yuv444p")
    for view, plane in zip(_plane_views(frame), planes, strict=True):
        view[:] = plane
    frame.colorspace = _AVCOL_SPC_BT709
    frame.color_primaries = 1  # BT.709, H.273 table 2
    frame.color_trc = 1  # BT.709, H.273 table 3
    frame.color_range = ColorRange.JPEG
    return frame


def ycbcr_to_rgb(planes: NDArray[np.uint8], *, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Working picture to RGB, uint8 (H, W, 3), within one code value of the BT.709 formula.

    Chroma is centred on code value 128 (H.273), so that grey stays grey. Written into `out` when given.
    """
    _, height, width = planes.shape
    if out is None:
        out = np.empty((height, width, 3), np.uint8)
    kg = 1 - KR_BT709 - KB_BT709
    # Red and blue as differences from one: 2 - 2 Kb on its own would overflow int16.
    red = _fixed(2 - 2 * KR_BT709 - 1)
    blue = _fixed(2 - 2 * KB_BT709 - 1)
    green_cb = _fixed(-(2 - 2 * KB_BT709) * KB_BT709 / kg)
    green_cr = _fixed(-(2 - 2 * KR_BT709) * KR_BT709 / kg)
    for rows, (cb, cr, a, b) in _local.scratch.strips(height, width):
        y = planes[0, rows]
        np.subtract(planes[1, rows], NEUTRAL_CHROMA, out=cb, dtype=np.int16)
        np.subtract(planes[2, rows], NEUTRAL_CHROMA, out=cr, dtype=np.int16)
        for channel, chroma, coefficient in ((0, cr, red), (2, cb, blue)):
            np.multiply(chroma, coefficient, out=a)
            _round_off(a)
            a += chroma
            a += y
            np.clip(a, 0, 255, out=out[rows, :, channel], casting="unsafe")
        np.multiply(cb, green_cb, out=a)
        np.multiply(cr, green_cr, out=b)
        a += b
        _round_off(a)
        a += y
        np.clip(a, 0, 255, out=out[rows, :, 1], casting="unsafe")
    return out


def psnr_y(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of the Y planes of two working pictures, in dB (peak 255).

    Takes (3, H, W) pictures or (H, W) luma planes. Capped at 100.0, which is also what equal planes give: a finite
    number, so that means over frames stay finite.
    """
    y_a, y_b = (picture[0] if picture.ndim == 3 else picture for picture in (a, b))
    if y_a.shape != y_b.shape:
        raise ValueError(f"cannot compare luma of {y_a.shape} with {y_b.shape}")
    difference = np.maximum(y_a, y_b) - np.minimum(y_a, y_b)
    squares = np.multiply(difference, difference, dtype=np.uint16)
    total = int(squares.sum(axis=1, dtype=np.uint32).sum(dtype=np.uint64))  # a row of 1920 stays below 2^27
    if total == 0:
        return 100.0
    return min(100.0, 10 * math.log10(255**2 * difference.size / total))


class _Scratch:
    """Four int16 strips, kept between calls."""

    def __init__(self) -> None:
        self._buffers: tuple[NDArray[np.int16], ...] = ()

    def strips(self, height: int, width: int) -> list[tuple[slice, tuple[NDArray[np.int16], ...]]]:
        """Row slices that cover a picture, each with four (rows, width) int16 arrays to work in."""
        rows = min(height, max(1, _STRIP_PIXELS // width))
        if not self._buffers or self._buffers[0].shape != (rows, width):
            self._buffers = tuple(np.empty((rows, width), np.int16) for _ in range(4))
        starts = range(0, height, rows)
        return [(slice(r, min(r + rows, height)), tuple(s[: height - r] for s in self._buffers)) for r in starts]


class _Local(threading.local):
    """What the plain functions keep per thread."""

    def __init__(self) -> None:
        self.to_planes = ToPlanes()
        self.scratch = _Scratch()


_local = _Local()


def _fixed(value: float) -> np.int16:
    return np.int16(round(value * (1 << _FRACTION_BITS)))


def _round_off(a: NDArray[np.int16]) -> None:
    a += np.int16(1 << (_FRACTION_BITS - 1))
    a >>= np.int16(_FRACTION_BITS)


def _plane_views(frame: av.VideoFrame) -> list[NDArray[np.uint8]]:
    """(H, W) views of the planes of a yuv444p frame, without the padding at the end of each row."""
    return [
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]
        for plane in frame.planes
    ]


def _is_rgb(frame: av.VideoFrame) -> bool:
    name = frame.format.name
    return frame.format.is_rgb or frame.format.has_palette or name.startswith(("bayer", "mono"))


def _is_full_range(frame: av.VideoFrame) -> bool:
    if frame.format.name.startswith("yuvj"):
        return True
    if frame.color_range == ColorRange.UNSPECIFIED:
        return frame.format.name.startswith(("gray", "ya"))
    return frame.color_range == ColorRange.JPEG


def _luma_weights(frame: av.VideoFrame) -> tuple[float, float]:
    matrix = frame.colorspace
    if matrix in _UNLABELLED:
        matrix = _AVCOL_SPC_BT709 if frame.height >= _HD_LINES else _AVCOL_SPC_SMPTE170M
    try:
        return _LUMA_WEIGHTS[matrix]
    except KeyError:
        raise UserError(
            f"the video uses colour matrix {matrix} of ITU-T H.273, which is not one that can be converted "
            "(BT.601, BT.709, BT.2020, SMPTE 240M, FCC): re-encode it as BT.709"
        ) from None


@lru_cache
def _matrix_to_bt709_full(kr: float, kb: float, *, full: bool) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Fixed-point (matrix - identity) on (Y, Cb - 128, Cr - 128), and what to add to each row, rounding included."""

    def from_rgb(kr: float, kb: float) -> NDArray[np.float64]:
        luma = np.array([kr, 1 - kr - kb, kb])
        blue, red = np.array([0, 0, 1]), np.array([1, 0, 0])
        return np.stack([luma, (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)])

    stretch = np.diag([1.0, 1.0, 1.0] if full else [255 / 219, 255 / 224, 255 / 224])
    matrix = from_rgb(KR_BT709, KB_BT709) @ np.linalg.inv(from_rgb(kr, kb)) @ stretch
    black = 0.0 if full else 16.0
    offsets = [_fixed(0.5 - black * matrix[0, 0]), _fixed(0.5), _fixed(0.5)]
    return np.round((matrix - np.eye(3)) * (1 << _FRACTION_BITS)).astype(np.int16), np.array(offsets)


def _to_bt709_full(
    source: list[NDArray[np.uint8]],
    target: NDArray[np.uint8],
    *,
    weights: tuple[float, float],
    full: bool,
    scratch: _Scratch,
) -> None:
    if full and weights == (KR_BT709, KB_BT709):
        for view, plane in zip(target, source, strict=True):
            view[:] = plane
        return
    matrix, offsets = _matrix_to_bt709_full(*weights, full=full)
    for rows, (cb, cr, a, b) in scratch.strips(*source[0].shape):
        np.subtract(source[1][rows], NEUTRAL_CHROMA, out=cb, dtype=np.int16)
        np.subtract(source[2][rows], NEUTRAL_CHROMA, out=cr, dtype=np.int16)
        components: tuple[NDArray[np.integer], ...] = (source[0][rows], cb, cr)
        for plane, destination, coefficients, offset in zip(source, target, matrix, offsets, strict=True):
            first, *others = [
                (component, coefficient)
                for component, coefficient in zip(components, coefficients, strict=True)
                if coefficient
            ] or [(cb, np.int16(0))]
            np.multiply(*first, out=a, dtype=np.int16)
            for component, coefficient in others:
                np.multiply(component, coefficient, out=b, dtype=np.int16)
                a += b
            a += offset
            a >>= np.int16(_FRACTION_BITS)
            a += plane[rows]
            np.clip(a, 0, 255, out=destination[rows], casting="unsafe")
