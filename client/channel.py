"""One stream as a window sees it: pictures in a mailbox, what is known about it, who hears of what was shown."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from client.keys import EventHook
from client.picture import Picture, PictureMailbox
from client.recorder import Recorder
from client.status import ViewStatus


class Sound(Protocol):
    """The sound of a stream."""

    def set_volume(self, volume: float) -> None:
        """0 (silent) to 1 (as it was sent)."""
        ...


def _unheard(picture: Picture, now_us: int) -> None:
    """For channels in which nobody takes an interest."""


@dataclass(slots=True)
class Channel:
    """What a window needs of a stream; all callbacks are called in the window's thread."""

    name: str
    mailbox: PictureMailbox
    status: Callable[[], ViewStatus]
    """Asked before every drawing, at least twice a second."""
    on_presented: Callable[[Picture, int], None] = _unheard
    """(picture, now_us): right after the flip that showed the picture for the first time."""
    on_passed: Callable[[Picture, int], None] = _unheard
    """(picture, now_us): a picture that came and is not shown, since its tab is hidden or paused."""
    on_closed: Callable[[], None] = lambda: None
    """The user has closed the stream's own window."""
    notice: Callable[[], str | None] = lambda: None
    """What has happened since the last question, for the user to read once."""
    recorder: Recorder | None = None
    sound: Callable[[], Sound | None] = lambda: None
    """The sound, once the stream is known to have one."""
    hook: EventHook | None = None
    """Sees events before the window's own keys while the channel is the active one."""
    tick: Callable[[], None] = lambda: None
    """Called once a turn of the loop, after its events."""
    drivable: Callable[[], bool] = lambda: False
    """Whether this viewer may drive what the stream shows."""
    driving: Callable[[], bool] = lambda: False
    """Whether what the user does goes to a remote desktop."""
    on_hidden: Callable[[], None] = lambda: None
    """Another channel of the window becomes the active one."""
