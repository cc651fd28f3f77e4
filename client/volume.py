"""How loud a window is: only the stream that is looked at is heard, and not while it is paused."""

from collections.abc import Sequence

from client.pane import Pane

STEP = 0.1
_SILENT = "This stream has no sound"


class Volume:
    """Belongs to the window's thread. Each wish returns what to tell the user."""

    def __init__(self, panes: Sequence[Pane], volume: float = 1.0) -> None:
        self._panes = panes
        self._volume = volume
        """0 to 1."""
        self._muted = False

    def muted(self, active: int) -> bool:
        """Whether a stream that has sound is silenced."""
        return self._muted and self._panes[active].channel.sound() is not None

    def mute(self, active: int) -> str:
        """Silence, or the volume of before."""
        self._muted = not self._muted
        return self._told(active)

    def change(self, active: int, *, louder: bool) -> str:
        """A tenth more or less; it also ends the silence."""
        self._muted = False
        self._volume = min(1.0, max(0.0, round(self._volume + (STEP if louder else -STEP), 2)))
        return self._told(active)

    def apply(self, active: int) -> None:
        """Set every stream's sound, after another one is looked at, or one was paused, or has just got its sound."""
        for index, pane in enumerate(self._panes):
            sound = pane.channel.sound()
            if sound is not None:
                heard = index == active and not pane.paused and not self._muted
                sound.set_volume(self._volume if heard else 0.0)

    def _told(self, active: int) -> str:
        self.apply(active)
        if self._panes[active].channel.sound() is None:
            return _SILENT
        return "Muted" if self._muted else f"Volume {round(100 * self._volume)} %"
