"""H.264 of the working picture in a container: the one place that knows the labels and the pixel format.

H264Track(container, width=, height=, rate=, time_base=, options=)    frame(planes) -> frame    mux(frame, pts)
"""

from fractions import Fraction

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from numpy.typing import NDArray

from codec.colour import planes_to_frame

_AVCOL_BT709 = 1
"""BT.709 as matrix, primaries and transfer function: ITU-T H.273 tables 2 to 4 give it the same number."""


class H264Track:
    """The video track of a file: 4:2:0, limited-range BT.709, labelled; libx264.

    An odd last column or row is doubled, since 4:2:0 has even sizes.
    """

    def __init__(
        self,
        container: OutputContainer,
        *,
        width: int,
        height: int,
        rate: Fraction,
        time_base: Fraction,
        options: dict[str, str],
    ) -> None:
        """`rate`: nominal pictures a second. `time_base`: seconds in one unit of `pts`. Raises av.FFmpegError."""
        self._container = container
        self._even = (height + height % 2, width + width % 2)
        self._time_base = time_base
        self._stream = container.add_stream("libx264", rate=rate, options=options)
        self._stream.height, self._stream.width = self._even
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = time_base
        self._stream.colorspace = self._stream.color_primaries = self._stream.color_trc = _AVCOL_BT709
        self._stream.color_range = ColorRange.MPEG
        self._reformatter = VideoReformatter()

    def frame(self, planes: NDArray[np.uint8]) -> av.VideoFrame:
        """What `mux` takes, of a working picture, uint8 (3, H, W)."""
        _, height, width = planes.shape
        if planes.shape[1:] != self._even:
            planes = np.pad(planes, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
        return self._reformatter.reformat(
            planes_to_frame(planes),
            format="yuv420p",
            src_colorspace=Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )

    def mux(self, frame: av.VideoFrame | None, pts: int = 0) -> None:
        """Code the frame for the time `pts`, later than the one before, and write it; None: write what is left.

        Raises av.FFmpegError, which is an OSError where the disk refuses.
        """
        if frame is not None:
            frame.pts = pts
            frame.time_base = self._time_base
        self._container.mux(self._stream.encode(frame))
