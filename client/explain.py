"""Words for the user: what the viewer is doing about its stream, as a title, a second sentence and a line of log."""

import math
from dataclasses import dataclass

from client.status import Situation
from client.whep import Refusal
from latentcast.control import SourceState

_WAITS = "The picture comes back by itself as soon as there is one"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why there is no current picture."""

    situation: Situation
    reason: str
    """A few words, with a capital and without a full stop."""
    detail: str | None = None
    """What is done about it, or what to do."""
    line: str = ""
    """The same for the terminal; empty: `reason`."""
    retry_at: float | None = None
    """Monotonic time in seconds of the next try, which the detail counts down to."""

    def detail_at(self, now: float) -> str | None:
        """`detail`, and how long until the next try."""
        if self.retry_at is None:
            return self.detail
        left = math.ceil(self.retry_at - now)
        again = f"Trying again in {left} s" if left > 0 else "Trying again"
        return f"{self.detail}. {again}" if self.detail else again


STARTING = Explanation("starting", "Starting the decoder", "The first time on a machine it compiles its kernels")


def connecting(endpoint: str, attempt: int) -> Explanation:
    """`attempt`: from 1."""
    tries = f" (try {attempt})" if attempt > 1 else ""
    return Explanation("connecting", "Connecting", f"{endpoint}{tries}", f"Connecting to {endpoint}{tries}")


def connected(stream: str, size: tuple[int, int]) -> Explanation:
    """The session is up; its first frame is on its way."""
    what = f"Connected to {stream}, {size[0]}x{size[1]}"
    return Explanation("connecting", "Waiting for the first frame", what, f"{what}. Waiting for the first frame")


def again(error: str, *, pause_s: float, now: float) -> Explanation:
    """The session ended, or could not begin; the next try is in `pause_s`."""
    message = capitalised(error.rstrip("."))
    title, detail = _split(message)
    return Explanation("gone", title, detail, f"{message}. Trying again in {pause_s:.1f} s", now + pause_s)


def refused(error: Refusal, *, token_given: bool, pause_s: float, now: float) -> Explanation:
    """The server says no, and is asked again in `pause_s`: it may be started anew, or the stream with it."""
    # Without the seconds: the terminal hears of it once.
    line = f"{capitalised(str(error).rstrip('.'))}. Trying again until it says yes"
    if error.status in (401, 403):
        title = "The server does not take this token" if token_given else "The server asks for a token"
        return Explanation("refused", title, "Give its token with --token", line, now + pause_s)
    if error.status == 404:
        return Explanation("missing", "The server has no stream of this name", None, line, now + pause_s)
    return Explanation("refused", capitalised(str(error).rstrip(".")), None, line, now + pause_s)


def failed(error: str) -> Explanation:
    """It can never work, or not as things are. error: a sentence."""
    message = capitalised(error.rstrip("."))
    title, detail = _split(message)
    return Explanation("failed", title, detail, message)


def restarting(death: str) -> Explanation:
    """The decoder process is gone, and is started again. death: a sentence on how it went."""
    line = f"{capitalised(death)} It is started again"
    return Explanation("starting", capitalised(death.rstrip(".")), "It is started again", line)


def source(state: SourceState) -> Explanation:
    """The server has no picture to send."""
    if state.state == "ended":
        reason = capitalised((state.reason or "the stream has ended").rstrip("."))
        return Explanation("ended", reason)
    reason = capitalised((state.reason or "the source has no picture").rstrip("."))
    return Explanation("source", reason, _WAITS)


def why_still(state: SourceState | None, *, still_s: float, waiting_for_intra: bool) -> Explanation:
    """The session is up, and no new picture has come for `still_s` seconds. state: what the server said last."""
    if state is not None and state.state != "live":
        return source(state)
    if waiting_for_intra:
        return Explanation("lost", "Frames were lost", "Waiting for an intra frame")
    return Explanation("still", f"No new picture for {still_s:.0f} s", "The server is there")


def _split(message: str) -> tuple[str, str | None]:
    """What the matter is, and the particulars: addresses and causes are no titles."""
    title, colon, rest = message.partition(": ")
    if colon and "://" not in title:
        return title, capitalised(rest)
    title, at, address = message.partition(" at http")
    return (title, f"http{address}") if at else (message, None)


def capitalised(sentence: str) -> str:
    """With a capital first letter, unless an address comes first."""
    return sentence if "://" in sentence.split(" ", 1)[0] else sentence[:1].upper() + sentence[1:]
