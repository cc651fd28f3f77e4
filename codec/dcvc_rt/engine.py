"""Runs the networks of `dcvc-rt` on any `codec.torch_runtime.Runtime`, stretch by stretch between entropy steps.

    encoder   intra(picture, qp) | inter(picture, state, qp, reset)  ->  Symbols; the state is still being made then
    decoder   intra(qp) | inter(state, qp, reset)                    ->  a frame: begin(z), advance(symbols) .., finish

Entropy coding overlaps the network (section 10.4): the encoder hands out its symbols while it makes the new state, and
the decoder starts what needs no symbol before it asks for any.

`reset`: make the new state from the picture instead of the feature, so that the next picture is one with `use_ada_i`
(section 8).
"""

from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from codec.dcvc_rt import HYPER_CHANNELS, IMAGE_STEPS, STEP_CHANNELS, VIDEO_STEPS
from codec.dcvc_rt.image import ImageModel
from codec.dcvc_rt.latents import step_masks
from codec.dcvc_rt.video import VideoModel
from codec.layout import Layout
from codec.torch_runtime import Runtime, Stretch

CodeValues = NDArray[np.uint8]
Indexes = NDArray[np.uint8]
Symbols = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Coded:
    """What a picture's payload is made of, and the state it leaves behind.

    z: (128, h, w). symbols: (steps, 64, rows, columns). indexes: table numbers in that shape, SKIPPED where nothing is
    coded. The arrays are valid until the next picture, the state for good.
    """

    z: Symbols
    symbols: Symbols
    indexes: Indexes
    state: Tensor


@dataclass(frozen=True, slots=True)
class Decoded:
    """code_values: uint8 (3, padded height, padded width). picture: the same before rounding, (1, 3, ., .), 0..1.

    Both are valid until the next picture, the state for good.
    """

    code_values: CodeValues
    picture: Tensor
    state: Tensor


class _Engine:
    """The two models on one runtime, ready for pictures of one size."""

    def __init__(self, image: ImageModel, video: VideoModel, runtime: Runtime) -> None:
        self._image, self._video, self._runtime = image, video, runtime
        self._layout: Layout | None = None
        self._masks: tuple[list[Tensor], list[Tensor]] | None = None

    @property
    def layout(self) -> Layout:
        assert self._layout is not None, "prepare first"
        return self._layout

    def _reset(self, layout: Layout) -> None:
        self._layout = layout
        # First: graphs may still be running that read the masks.
        self._runtime.reset()
        self._masks = None

    @property
    def _image_masks(self) -> list[Tensor]:
        return self._both_masks()[0]

    @property
    def _video_masks(self) -> list[Tensor]:
        return self._both_masks()[1]

    def _both_masks(self) -> tuple[list[Tensor], list[Tensor]]:
        """Made once for a size, outside any stretch: in a graph they would be made again for every picture."""
        if self._masks is None:
            rows, columns = self.layout.latent_shape
            # On the CPU, then copied: made on the device, they could be read before they are there.
            like = torch.empty(0, dtype=self._runtime.dtype)
            image, video = (
                [self._runtime.constant(mask) for mask in step_masks(rows, columns, steps=steps, like=like)]
                for steps in (IMAGE_STEPS, VIDEO_STEPS)
            )
            self._masks = image, video
        return self._masks

    def _unit(self, code_values: Tensor) -> Tensor:
        """8-bit code values as 0..1, (1, 3, H, W): divided in float32, then rounded to the network's precision."""
        return code_values[None].to(torch.float32).div(255).to(self._runtime.dtype)

    def _float(self, integers: Tensor) -> Tensor:
        return integers.to(self._runtime.dtype)

    def _qp(self, qp: int) -> Tensor:
        """Every picture begins with this."""
        self._both_masks()
        return self._runtime.upload("qp", np.array([qp], np.int64))


class EncoderEngine(_Engine):
    """The encoding side. `prepare` before the first picture and at every change of size."""

    def prepare(self, layout: Layout, *, warm: bool = True) -> None:
        """Make ready for pictures of one size; afterwards the first frame costs what every frame costs.

        warm: code pictures of that size now. Without, nothing of the size is allocated, and the first frame is slow.
        """
        self._reset(layout)
        stretch = self._runtime.stretch
        self._intra_front = stretch(self._image_symbols)
        self._intra_back = stretch(self._state_of_image)
        self._inter_front = stretch(self._video_symbols)
        self._inter_back = stretch(partial(self._state_of_video, reset=False))
        self._reset_back = stretch(partial(self._state_of_video, reset=True))
        if not warm:
            return
        picture = np.zeros((3, layout.padded_height, layout.padded_width), np.uint8)
        state = self.intra(picture, 0).state
        for reset in (False, True):
            self.inter(picture, state, 0, reset=reset)

    def intra(self, picture: CodeValues, qp: int) -> Coded:
        """picture: uint8 (3, padded height, padded width). qp: 0..63."""
        row = self._qp(qp)
        z, symbols, indexes, y_hat = self._intra_front(self._runtime.upload("picture", picture), row)
        return self._hand_out(z, symbols, indexes, self._intra_back, y_hat, row)

    def inter(self, picture: CodeValues, state: Tensor, qp: int, *, reset: bool) -> Coded:
        """qp: shifted, 0..71."""
        row = self._qp(qp)
        z, symbols, indexes, y_hat, context = self._inter_front(self._runtime.upload("picture", picture), state, row)
        back = self._reset_back if reset else self._inter_back
        return self._hand_out(z, symbols, indexes, back, y_hat, context, row)

    def _hand_out(self, z: Tensor, symbols: Tensor, indexes: Tensor, back: Stretch, *inputs: Tensor) -> Coded:
        """The symbols as soon as they are there; the state is made meanwhile."""
        download = self._runtime.download
        arriving = download("z", z), download("symbols", symbols), download("indexes", indexes)
        state = self._runtime.keep(*back(*inputs))
        return Coded(arriving[0].result(), arriving[1].result(), arriving[2].result(), state)

    def _image_symbols(self, picture: Tensor, qp: Tensor) -> tuple[Tensor, ...]:
        z, symbols, indexes, y_hat = self._image.encode(self._unit(picture), qp, self._image_masks)
        return _bytes(z[0]), _bytes(symbols), indexes.contiguous(), y_hat

    def _state_of_image(self, y_hat: Tensor, qp: Tensor) -> tuple[Tensor, ...]:
        return (self._video.state_of_picture(self._image.reconstruct(y_hat, qp)),)

    def _video_symbols(self, picture: Tensor, state: Tensor, qp: Tensor) -> tuple[Tensor, ...]:
        z, symbols, indexes, y_hat, context = self._video.encode(self._unit(picture), state, qp, self._video_masks)
        return _bytes(z[0]), _bytes(symbols), indexes.contiguous(), y_hat, context

    def _state_of_video(self, y_hat: Tensor, context: Tensor, qp: Tensor, *, reset: bool) -> tuple[Tensor, ...]:
        feature = self._video.feature(y_hat, context, qp)
        if reset:
            return (self._video.state_of_picture(self._video.reconstruct(feature, qp)),)
        return (self._video.state_of_feature(feature),)


class DecodingFrame(Protocol):
    """One picture on its way through the decoder. Ask for the table numbers of one step, give its symbols, and so on.

    `steps` times symbols are given: to `advance`, but those of the last step to `finish`.
    """

    steps: int

    def begin(self, z: Symbols) -> Indexes:
        """Take z (128, h, w); table numbers of step 0, (64, rows, columns)."""

    def advance(self, symbols: Symbols) -> Indexes:
        """Take the symbols of one step, (64, rows, columns); table numbers of the next."""

    def finish(self, symbols: Symbols) -> Decoded:
        """Take the symbols of the last step."""


class DecoderEngine(_Engine):
    """The decoding side. `prepare` before the first picture and at every change of size."""

    def prepare(self, layout: Layout, *, warm: bool = True) -> None:
        """Make ready for pictures of one size; afterwards the first frame costs what every frame costs.

        warm: code pictures of that size now. Without, nothing of the size is allocated, and the first frame is slow.
        """
        self._reset(layout)
        stretch = self._runtime.stretch
        self._image_begin = stretch(self._begin_image)
        self._image_advance = [stretch(partial(self._advance_image, step)) for step in range(1, IMAGE_STEPS)]
        self._image_finish = stretch(self._finish_image)
        self._video_extract = stretch(self._video.extract)
        self._video_context = stretch(self._context)
        self._video_begin = stretch(self._begin_video)
        self._video_advance = stretch(self._advance_video)
        self._video_finish = stretch(partial(self._finish_video, reset=False))
        self._video_reset = stretch(partial(self._finish_video, reset=True))
        if not warm:
            return
        rows, columns = layout.latent_shape
        z = np.zeros((HYPER_CHANNELS, *layout.hyper_shape), np.int8)
        nothing = np.zeros((STEP_CHANNELS, rows, columns), np.int8)
        state: Tensor | None = None
        for reset in (False, False, True):
            frame = self.intra(0) if state is None else self.inter(state, 0, reset=reset)
            frame.begin(z)
            for _ in range(frame.steps - 1):
                frame.advance(nothing)
            state = frame.finish(nothing).state

    def intra(self, qp: int) -> DecodingFrame:
        """qp: 0..63."""
        return _IntraFrame(self, qp)

    def inter(self, state: Tensor, qp: int, *, reset: bool) -> DecodingFrame:
        """Starts at once with what needs no symbols. qp: shifted, 0..71."""
        return _InterFrame(self, state, qp, reset=reset)

    def _begin_image(self, z: Tensor) -> tuple[Tensor, ...]:
        indexes, *carried = self._image.begin(self._float(z)[None], *self.layout.latent_shape, self._image_masks)
        return indexes.contiguous(), *carried

    def _advance_image(
        self, step: int, symbols: Tensor, means: Tensor, acc: Tensor, common: Tensor
    ) -> tuple[Tensor, ...]:
        symbols = self._float(symbols)
        indexes, *carried = self._image.advance(step, symbols, means, acc, common, self._image_masks)
        return indexes.contiguous(), *carried

    def _finish_image(
        self, symbols: Tensor, means: Tensor, acc: Tensor, params: Tensor, qp: Tensor
    ) -> tuple[Tensor, ...]:
        y_hat = self._image.latents(self._float(symbols), means, acc, params, self._image_masks)
        picture = self._image.reconstruct(y_hat, qp)
        return _code_values(picture), picture, self._video.state_of_picture(picture)

    def _context(self, c1: Tensor) -> tuple[Tensor, ...]:
        return (self._video.context(c1),)

    def _begin_video(self, z: Tensor, temporal: Tensor) -> tuple[Tensor, ...]:
        indexes, params = self._video.begin(self._float(z)[None], temporal, self._video_masks)
        return indexes.contiguous(), params

    def _advance_video(self, symbols: Tensor, params: Tensor) -> tuple[Tensor, ...]:
        indexes, *carried = self._video.advance(self._float(symbols), params, self._video_masks)
        return indexes.contiguous(), *carried

    def _finish_video(
        self,
        symbols: Tensor,
        means: Tensor,
        part_0: Tensor,
        params: Tensor,
        context: Tensor,
        qp: Tensor,
        *,
        reset: bool,
    ) -> tuple[Tensor, ...]:
        y_hat = self._video.latents(self._float(symbols), means, part_0, params, self._video_masks)
        feature = self._video.feature(y_hat, context, qp)
        picture = self._video.reconstruct(feature, qp)
        state = self._video.state_of_picture(picture) if reset else self._video.state_of_feature(feature)
        return _code_values(picture), picture, state

    def decoded(self, code_values: Tensor, picture: Tensor, state: Tensor) -> Decoded:
        download = self._runtime.download("code_values", code_values)
        kept = self._runtime.keep(state)
        return Decoded(download.result(), picture, kept)


class _IntraFrame:
    steps = IMAGE_STEPS

    def __init__(self, engine: DecoderEngine, qp: int) -> None:
        self._engine, self._runtime = engine, engine._runtime
        self._qp = engine._qp(qp)
        self._step = 0

    def begin(self, z: Symbols) -> Indexes:
        indexes, self._means, self._acc, self._common, self._params = self._engine._image_begin(
            self._runtime.upload("z", z)
        )
        return self._runtime.download("indexes", indexes).result()

    def advance(self, symbols: Symbols) -> Indexes:
        indexes, self._means, self._acc = self._engine._image_advance[self._step](
            self._runtime.upload("symbols", symbols), self._means, self._acc, self._common
        )
        self._step += 1
        return self._runtime.download("indexes", indexes).result()

    def finish(self, symbols: Symbols) -> Decoded:
        return self._engine.decoded(
            *self._engine._image_finish(
                self._runtime.upload("symbols", symbols), self._means, self._acc, self._params, self._qp
            )
        )


class _InterFrame:
    steps = VIDEO_STEPS

    def __init__(self, engine: DecoderEngine, state: Tensor, qp: int, *, reset: bool) -> None:
        self._engine, self._runtime, self._reset = engine, engine._runtime, reset
        self._qp = engine._qp(qp)
        self._c1, self._temporal = engine._video_extract(state, self._qp)

    def begin(self, z: Symbols) -> Indexes:
        indexes, self._params = self._engine._video_begin(self._runtime.upload("z", z), self._temporal)
        download = self._runtime.download("indexes", indexes)
        # Not needed before the pixels: made while step 0 is decoded.
        (self._context,) = self._engine._video_context(self._c1)
        return download.result()

    def advance(self, symbols: Symbols) -> Indexes:
        indexes, self._means, self._part_0 = self._engine._video_advance(
            self._runtime.upload("symbols", symbols), self._params
        )
        return self._runtime.download("indexes", indexes).result()

    def finish(self, symbols: Symbols) -> Decoded:
        stretch = self._engine._video_reset if self._reset else self._engine._video_finish
        return self._engine.decoded(
            *stretch(
                self._runtime.upload("symbols", symbols),
                self._means,
                self._part_0,
                self._params,
                self._context,
                self._qp,
            )
        )


def _code_values(picture: Tensor) -> Tensor:
    return picture[0].to(torch.float32).mul(255).round().to(torch.uint8).contiguous()


def _bytes(integers: Tensor) -> Tensor:
    """As they travel to the host: whole and in order, whatever the network's memory format."""
    return integers.to(torch.int8).contiguous()
