"""The capture thread: drives a source, numbers its pictures, and hands the newest one on.

A source that has no picture for a while (`SourceLost`) is asked again for as long as the stream lives.
"""

import logging
import threading
from collections.abc import Callable

from latentcast.capture_ring import CaptureRing
from server.frame_slots import CapturedFrame, FrameSlots
from server.sources.base import Source, SourceClosed, SourceLost
from transport.wire import NO_FRAME

log = logging.getLogger(__name__)

# A source that has to be waited for longer than this at shutdown is left to end with the process.
STOP_TIMEOUT_S = 2.0
LOST_PAUSE_S = 0.05


class Capture:
    """Owns the thread. Callbacks run on it: on_frame(frame_id) after each picture, on_failure(reason) once, and
    on_status(reason) each time that changes: why the source is lost, in words, or None when it is there."""

    def __init__(
        self,
        source: Source,
        slots: FrameSlots,
        *,
        ring: CaptureRing | None,
        on_frame: Callable[[int], None],
        on_failure: Callable[[str], None],
        on_status: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self._source = source
        self._slots = slots
        self._ring = ring
        self._on_frame = on_frame
        self._on_failure = on_failure
        self._on_status = on_status
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
        status: str | None = ""
        try:
            while not self._stopping.is_set():
                slot = self._slots.slot_to_write()
                planes = self._slots.pictures[slot]
                try:
                    captured_us = self._source.read(planes, frame_id=frame_id)
                except SourceLost as lost:
                    if str(lost) != status:
                        status = str(lost)
                        self._on_status(status)
                    # A source that does not wait by itself must not spin.
                    self._stopping.wait(LOST_PAUSE_S)
                    continue
                if status is not None:
                    status = None
                    self._on_status(None)
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
