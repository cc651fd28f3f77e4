"""`latentcast view`: streams in windows or headless, into sinks, and their reports at the end.

SDL wants the main thread, so with a window the event loop runs in another one; headless, it has the main thread.
"""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.listing import stream_names
from client.picture import PictureMailbox
from client.sinks import Sink, open_sinks
from client.watching import Watching
from latentcast.config import ViewSettings
from latentcast.errors import LatentcastError, UserError
from latentcast.report import Report

if TYPE_CHECKING:
    from client.window import Window

ALL = ("all",)
# Window before the stream's size is known.
_FIRST_SIZE = (960, 540)


def view(settings: ViewSettings, *, notice: Callable[[str], None]) -> list[tuple[Report, Path]]:
    """Watch until the user quits, `settings.seconds` have passed, or SIGINT/SIGTERM.

    Returns the report of each stream with its folder, if asked for: `settings.report`, or of several streams a folder
    in it for each. Raises UserError when watching can never work, and when a report was asked but nothing was shown.
    """
    if settings.psnr and settings.compare is None:
        raise UserError("--psnr compares with captured pictures; give the server's capture ring with --compare.")
    names = _names(settings)
    if settings.compare is not None and len(names) > 1:
        raise UserError("--compare holds the pictures of one stream; watch that one alone.")
    sinks = open_sinks(settings.sinks, streams=names)
    folders = {name: _report_folder(settings.report, name, several=len(names) > 1) for name in names}
    started = time.monotonic()
    headless = settings.headless
    if not headless:
        # Imported here: a headless viewer needs no SDL.
        from client.display import display_available

        problem = display_available()
        if problem is not None:
            notice(f"Watching headless: {problem}")
            headless = True
    each = [settings.model_copy(update={"stream": name}) for name in names]
    if headless:
        watched = _view_headless(each, sinks, started, notice)
    else:
        watched = _view_in_windows(each, sinks, started, notice)
    # A second Control-C must not cost the report.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return [(w.report(folder), folder) for w in watched if (folder := folders[w.name]) is not None]


def _names(settings: ViewSettings) -> tuple[str, ...]:
    """The streams to watch, each once."""
    if not settings.streams:
        return (settings.stream,)
    if settings.url.rstrip("/").endswith("/whep"):
        raise UserError(f"{settings.url} is one stream already; give the server's address to watch several.")
    if settings.streams != ALL:
        return tuple(dict.fromkeys(settings.streams))
    token = settings.token
    secret = None if token is None else token.get_secret_value()
    return tuple(asyncio.run(stream_names(settings.url, token=secret)))


def _report_folder(folder: Path | None, name: str, *, several: bool) -> Path | None:
    """Made now: that it cannot be is found out before, not after an hour of watching."""
    if folder is None:
        return None
    chosen = folder / name if several else folder
    try:
        chosen.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the report folder {chosen} cannot be made ({error.strerror}); choose another with --report."
        ) from error
    return chosen


def _run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """asyncio.run, on uvloop where it exists."""
    factory = None
    if sys.platform != "win32":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


async def _watch_all(watched: Sequence[Watching]) -> None:
    """Until the last has ended. Raises what the first of them failed with; the others are not disturbed by it."""
    results = await asyncio.gather(*(each.run() for each in watched), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _stop(watched: Sequence[Watching]) -> None:
    for each in watched:
        each.viewer.stop()


def _close(watched: Sequence[Watching]) -> None:
    for each in watched:
        each.close()


def _view_headless(
    each: Sequence[ViewSettings], sinks: dict[str, list[Sink]], started: float, notice: Callable[[str], None]
) -> list[Watching]:
    watched: list[Watching] = []

    async def main() -> None:
        for settings in each:
            say = _named(notice, settings.stream if len(each) > 1 else None)
            watched.append(Watching(settings, sinks=sinks[settings.stream], started=started, say=say))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop, watched)
        await _watch_all(watched)

    try:
        _run(main)
    finally:
        _close(watched)
    return watched


def _view_in_windows(
    each: Sequence[ViewSettings], sinks: dict[str, list[Sink]], started: float, notice: Callable[[str], None]
) -> list[Watching]:
    from client.window_loop import run_windows

    bell, stop, ready = threading.Event(), threading.Event(), threading.Event()
    mailboxes = [PictureMailbox(bell) for _ in each]
    watched: list[Watching] = []
    failures: list[BaseException] = []

    async def main() -> None:
        for settings, mailbox in zip(each, mailboxes, strict=True):
            watching = Watching(
                settings,
                sinks=sinks[settings.stream],
                started=started,
                say=_named(notice, settings.stream if len(each) > 1 else None),
                mailbox=mailbox,
                folder=Path.cwd(),
            )
            watched.append(watching)
        ready.set()
        await _watch_all(watched)

    def network() -> None:
        try:
            _run(main)
        except BaseException as error:
            failures.append(error)
        finally:
            ready.set()
            stop.set()
            bell.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    thread = threading.Thread(target=network, name="network")
    thread.start()
    ready.wait()
    try:
        if len(watched) == len(each) and not stop.is_set():
            run_windows(_windows(watched, mailboxes, each[0]), stop, bell)
    finally:
        _stop(watched)
        thread.join()
        _close(watched)
    if failures:
        if isinstance(failures[0], LatentcastError):
            raise failures[0]
        raise RuntimeError("the viewer's network thread failed") from failures[0]
    refused = [one.viewer.failure for one in watched if one.viewer.failure is not None]
    if refused and len(refused) == len(watched):
        # Nothing was ever shown: the terminal gets the reason as well.
        raise refused[0]
    return watched


def _windows(
    watched: Sequence[Watching], mailboxes: Sequence[PictureMailbox], settings: ViewSettings
) -> "list[Window]":
    """One window with a tab for each stream, or one for each."""
    from client.channel import Channel
    from client.remote import RemoteControl
    from client.remote_desk import SdlDesk
    from client.window import Window

    controls = [
        RemoteControl(
            one.viewer, SdlDesk(), say=one.tell, typed=settings.keyboard == "text", clipboard=settings.clipboard
        )
        for one in watched
    ]
    for one, control in zip(watched, controls, strict=True):
        one.viewer.on_remote = control.on_message
    channels = [
        Channel(
            name=one.name,
            mailbox=mailbox,
            status=one.viewer.status,
            on_presented=one.viewer.presented,
            on_passed=one.viewer.passed,
            on_closed=one.viewer.stop,
            notice=one.notice,
            recorder=one.recorder,
            sound=one.viewer.sound,
            hook=control,
            tick=control.tick,
            drivable=control.may_drive,
            driving=control.is_driving,
            on_hidden=control.stop,
        )
        for one, mailbox, control in zip(watched, mailboxes, controls, strict=True)
    ]
    groups = [[channel] for channel in channels] if settings.windows else [channels]
    return [
        Window(
            group,
            size=_FIRST_SIZE,
            folder=Path.cwd(),
            follow_shape=True,
            scale=settings.scale,
            volume=settings.volume / 100,
            nth=nth,
        )
        for nth, group in enumerate(groups)
    ]


def _named(notice: Callable[[str], None], name: str | None) -> Callable[[str], None]:
    """Lines of several streams say whose they are."""
    return notice if name is None else lambda text: notice(f"{name}: {text}")
