"""The loudspeaker: an SDL audio device that asks for the next piece when it needs one.

SDL asks on a thread of its own. pygame's `close` waits for that thread with the interpreter's lock held, and the thread
waits for the lock: closing in the middle of a piece would hang for ever. So a device is closed right after a piece.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentcast.errors import LatentcastError

log = logging.getLogger(__name__)

PIECE = 768
"""Samples asked for at once, 16 ms. Twice that is delay; once is what a piece may take, while two busy threads may keep
the interpreter's lock for 10 ms (`sys.getswitchinterval` is 5 ms)."""
_CLOSE_TIMEOUT_S = 1.0
"""A device that asks for nothing for so long is gone, and may be closed at any time."""
_AFTER_PIECE_S = 0.002
"""SDL's thread needs a moment to leave the piece behind; the next comes 14 ms later."""


class NoDevice(LatentcastError):
    """Sound cannot be played here; the message says why."""


class SoundDevice:
    """Plays from its construction until `close`. fill(count) returns float32 (count, 2) in the range of int16; it is
    called on SDL's thread, once for every `PIECE` samples."""

    def __init__(self, *, rate: int, channels: int, fill: Callable[[int], NDArray[np.float32]]) -> None:
        """Blocks for a moment, a second with some sound servers. Raises NoDevice."""
        # Here, since a viewer without sound needs no SDL.
        from pygame._sdl2 import audio, sdl2

        self._fill, self._channels = fill, channels
        self._closing = threading.Event()
        self._quiet = threading.Event()
        self._failed = False
        try:
            sdl2.init_subsystem(sdl2.INIT_AUDIO)
            # Asked first, since ALSA fills the terminal when it is made to open what is not there.
            if not audio.get_audio_device_names(False):
                raise NoDevice("there is no sound device")
            self._device = audio.AudioDevice(
                devicename=None,
                iscapture=False,
                frequency=rate,
                audioformat=audio.AUDIO_S16,
                numchannels=channels,
                chunksize=PIECE,
                allowed_changes=0,
                callback=self._on_piece,
            )
        except sdl2.error as error:
            raise NoDevice(f"the sound device cannot be opened ({error})") from None
        self.delay_s = 2 * PIECE / rate
        """From being asked for a piece to its being heard: SDL keeps one piece waiting and one playing. What the system
        and the loudspeaker add is not known here."""
        self._device.pause(0)

    def close(self) -> None:
        """Fall silent and release the device. Blocks for a moment."""
        self._closing.set()
        self._quiet.wait(_CLOSE_TIMEOUT_S)
        time.sleep(_AFTER_PIECE_S)
        self._device.close()

    def _on_piece(self, device: object, piece: Any) -> None:
        if self._closing.is_set():
            piece[:] = bytes(len(piece))
            self._quiet.set()
            return
        try:
            samples = self._fill(len(piece) // (2 * self._channels))
            piece[:] = np.clip(samples, -32768, 32767).astype(np.int16).tobytes()
        except Exception:
            # An exception would end up in SDL's C code; silence is better.
            piece[:] = bytes(len(piece))
            if not self._failed:
                self._failed = True
                log.exception("sound could not be played")
