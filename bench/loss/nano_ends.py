"""`nano` on our transport, as server and viewer run it: rate control, choice of reference, rings, queue, concealment.

What is left out is what takes time: the processes around encoder and decoder.
"""

from collections.abc import Sequence

from bench.loss.ends import CONFIG_EPOCH, Decoded
from bench.rd.clips import FramePlanes
from bench.rd.neural import to_444
from client.decode_queue import DecodeQueue
from codec.engine import FrameDecoder, FrameEncoder
from codec.state import DecoderRing, StateRing
from latentcast.errors import BitstreamError, UserError
from server.encode_control import EncodeControl, EncodeOrder
from transport.packetiser import PacketisedFrame, packetise
from transport.reassembly import FrameReady
from transport.receiver import MediaReceiver
from transport.sender import MediaSender
from transport.wire import FrameAcks, FrameStatus


class NanoCoder:
    """`LiveCoder`. Raises UserError at a rate so low that the picture would have to be coded smaller."""

    def __init__(self, encoder: FrameEncoder, *, fps: float) -> None:
        self._encoder = encoder
        self._size = encoder.layout.width, encoder.layout.height
        self._control = EncodeControl(size=self._size, fps=fps)
        self._states = StateRing()
        self.intra_frames = 0

    def capture(self, frame_id: int, planes: FramePlanes, *, sender: MediaSender, now: float) -> None:
        captured_us = round(now * 1e6)
        order = self._control.decide([sender], frame_id=frame_id, captured_us=captured_us, now=now)
        while order is not None:
            frame, qp = self._code(order, planes)
            size_bytes = sum(map(len, frame.packets))
            again = self._control.on_coded(
                order, size_bytes=size_bytes, qp=qp, reference_id=frame.reference_id, now=now
            )
            if again is None:
                self.intra_frames += frame.reference_id is None
                self._control.deliver(frame, [sender], now)
            order = again

    def on_acks(self, acks: FrameAcks, *, now: float) -> None:
        """Nothing to do: the sender's tracker of references has heard it."""

    def _code(self, order: EncodeOrder, planes: FramePlanes) -> tuple[PacketisedFrame, int]:
        if order.size != self._size:
            raise UserError(
                f"at this rate the picture would be coded at {order.size[0]}x{order.size[1]}, which is not compared "
                "here: give a higher --rate or a smaller --size."
            )
        reference = None if order.reference_id is None else self._states.get(order.reference_id)
        qp = order.intra_qp if reference is None else order.inter_qp
        state, coded = self._encoder.encode(reference, to_444(planes), qp=qp, frame_id=order.frame_id)
        self._states.pin((*order.pins, order.reference_id))
        self._states.put(state, intra=reference is None)
        frame = packetise(
            coded.data,
            coded.slice_offsets,
            frame_id=order.frame_id,
            reference_id=None if reference is None else reference.id,
            epoch=CONFIG_EPOCH,
            captured_us=order.captured_us,
            wait_us=0,
            encode_us=0,
        )
        return frame, qp


class NanoViewer:
    """`LiveViewer`."""

    def __init__(self, decoder: FrameDecoder) -> None:
        self._decoder = decoder
        self._states = DecoderRing()
        self._queue = DecodeQueue()
        self._queue.on_config(CONFIG_EPOCH)

    def on_frame(self, frame: FrameReady, receiver: MediaReceiver) -> Sequence[Decoded]:
        pictures = []
        lost = self._queue.push(frame)
        while True:
            waiting, dropped = self._queue.pop()
            lost += dropped
            if waiting is None:
                break
            picture = self._decode(waiting, receiver)
            if picture is None:
                self._queue.on_failed()
                lost.append(waiting.frame_id)
            else:
                self._queue.on_decoded()
                pictures.append(picture)
        for frame_id in lost:
            receiver.on_lost(frame_id)
        receiver.waiting_for_intra = self._queue.waiting_for_intra
        return pictures

    def _decode(self, frame: FrameReady, receiver: MediaReceiver) -> Decoded | None:
        reference = None if frame.reference_id is None else self._states.get(frame.reference_id)
        if reference is None and frame.reference_id is not None:
            return None
        try:
            state, picture = self._decoder.decode(reference, frame.data, frame_id=frame.frame_id, holes=frame.holes)
        except BitstreamError:
            return None
        self._states.add(state, reference_id=frame.reference_id)
        status = FrameStatus.INTACT if state.intact else FrameStatus.CONCEALED
        receiver.on_decoded(frame.frame_id, status, picture.missing)
        return Decoded(frame.frame_id, picture.planes[0])
