"""The capture thread: drives a source, numbers its pictures, and hands the newest one on."""

import logging
import threading
from collections.abc import Callable

from latentcast.capture_ring import CaptureRing
from server.frame_slots import CapturedFrame, FrameSlots
from server.sources.base import Source, SourceClosed
from transport.wire import NO_FRAME

log = logging.getLogger(__name__)

# A source that has to be waited for longer than this at shutdown is left to end with the process.
STOP_TIMEOUT_S = 2.0


class Capture:
    """Owns the thread. Callbacks run on it: on_frame() after each picture, on_failure(reason) once."""

    def __init__(
        self,
        source: Source,
        slots: FrameSlots,
        *,
        ring: CaptureRing | None,
        on_frame: Callable[[int], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self._source = source
        self._slots = slots
        self._ring = ring
        self._on_frame = on_frame
        self._on_failure = on_failure
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close the source. Blocks for at most `STOP_TIMEOUT_S`."""
        self._stopping.set()
        self._source.interrupt()
        self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        frame_id = 0
        try:
            while not self._stopping.is_set():
                slot = self._slots.slot_to_write()
                planes = self._slots.pictures[slot]
                captured_us = self._source.read(planes, frame_id=frame_id)
                if self._ring is not None:
                    self._ring.write(frame_id, planes)
                self._slots.publish(CapturedFrame(slot, frame_id, captured_us))
                self._on_frame(frame_id)
                # u32 on the wire, where the largest value means "none".
                frame_id = (frame_id + 1) % NO_FRAME
        except SourceClosed:
            pass
        except Exception as error:
            log.exception("the source failed")
            self._on_failure(str(error))
        finally:
            self._source.close()
