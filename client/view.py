"""`latentcast view`: the viewer with a window, or headless, and its report at the end.

SDL wants the main thread, so with a window the event loop runs in another one; headless, it has the main thread.
"""

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from client.measurement import Measurement
from client.picture import Picture, PictureMailbox
from client.viewer import Viewer
from latentcast.config import ViewSettings
from latentcast.errors import LatentcastError, UserError
from latentcast.report import Report

# Window before the stream's size is known.
_FIRST_SIZE = (960, 540)
_POLL_S = 0.05


def view(settings: ViewSettings, *, notice: Callable[[str], None]) -> Report | None:
    """Watch until the user quits, `settings.seconds` have passed, or SIGINT/SIGTERM. Returns the report, if asked for.

    Raises UserError when watching can never work, and when a report was asked but nothing was shown.
    """
    if settings.psnr and settings.compare is None:
        raise UserError("--psnr compares with captured pictures; give the server's capture ring with --compare.")
    if settings.report is not None:
        # Found out now, not after an hour of watching.
        try:
            settings.report.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"the report folder {settings.report} cannot be made ({error.strerror}); choose another with --report."
            ) from error
    started = time.monotonic()
    measurement = Measurement(started=started, ring_path=settings.compare, psnr=settings.psnr)
    headless = settings.headless
    if not headless:
        # Imported here: a headless viewer needs no SDL.
        from client.window import display_available

        problem = display_available()
        if problem is not None:
            notice(f"Watching headless: {problem}")
            headless = True
    if headless:
        viewer = _view_headless(settings, measurement, notice)
    else:
        viewer = _view_in_window(settings, measurement, notice)
    if settings.report is None:
        return None
    if viewer.config is None or not measurement.presented:
        raise UserError(
            f"nothing was shown from {viewer.endpoint}, so there is nothing to report; is the server running?"
        )
    # A second Control-C must not cost the report.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return measurement.finish(
        settings.report,
        config=viewer.config,
        client_lag=viewer.lag.percentiles(),
        presenter="headless" if headless else "window",
    )


def _run(coroutine: Callable[[], "asyncio.Future[None] | object"]) -> None:
    """asyncio.run, on uvloop where it exists."""
    factory = None
    if sys.platform != "win32":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(coroutine())  # type: ignore[arg-type]


def _view_headless(settings: ViewSettings, measurement: Measurement, notice: Callable[[str], None]) -> Viewer:
    holder: list[Viewer] = []

    async def main() -> None:
        def on_picture(picture: Picture) -> None:
            holder[0].presented(picture, time.monotonic_ns() // 1000)

        viewer = Viewer(settings, measurement=measurement, on_picture=on_picture, on_notice=notice)
        holder.append(viewer)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, viewer.stop)
        clock = asyncio.create_task(_stop_after(viewer, measurement, settings.seconds), name="seconds")
        try:
            await viewer.run()
        finally:
            clock.cancel()
            await asyncio.wait([clock])

    _run(main)
    return holder[0]


def _view_in_window(settings: ViewSettings, measurement: Measurement, notice: Callable[[str], None]) -> Viewer:
    from client.window import Window

    mailbox = PictureMailbox()
    stop = threading.Event()
    ready = threading.Event()
    holder: list[Viewer] = []
    failures: list[BaseException] = []

    async def main() -> None:
        viewer = Viewer(settings, measurement=measurement, on_picture=mailbox.put, on_notice=notice)
        holder.append(viewer)
        ready.set()
        clock = asyncio.create_task(_stop_after(viewer, measurement, settings.seconds), name="seconds")
        try:
            await viewer.run()
        finally:
            clock.cancel()
            await asyncio.wait([clock])

    def network() -> None:
        try:
            _run(main)
        except BaseException as error:
            failures.append(error)
        finally:
            ready.set()
            stop.set()
            mailbox.close()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    thread = threading.Thread(target=network, name="network")
    thread.start()
    ready.wait()
    try:
        if holder:
            viewer = holder[0]
            window = Window(title=f"Latentcast: {settings.stream}", size=_FIRST_SIZE)
            window.run(mailbox, viewer.status, viewer.presented, stop, snapshot_dir=Path.cwd())
    finally:
        if holder:
            holder[0].stop()
        thread.join()
    if failures:
        if isinstance(failures[0], LatentcastError):
            raise failures[0]
        raise RuntimeError("the viewer's network thread failed") from failures[0]
    return holder[0]


async def _stop_after(viewer: Viewer, measurement: Measurement, seconds: float | None) -> None:
    """Stop the viewer so many seconds after its first picture."""
    while seconds is not None:
        first = measurement.first_presented
        if first is not None and time.monotonic() - first >= seconds:
            viewer.stop()
            return
        await asyncio.sleep(_POLL_S)
