"""From a stream's source and the settings to what its viewers may drive: which devices, or why none."""

from latentcast.config import ServeSettings
from server.remote.desktop import NoDesktop, RemoteDesktop
from server.remote.desktop_watch import DesktopWatch
from server.remote.injector import Injector
from server.remote.sink import InputSink
from server.remote.uinput import UinputSink
from server.remote.xtest import NoXTest, XTestSink
from server.sources.base import Source
from server.sources.screen import ScreenSource
from server.sources.screen_target import screen_size
from server.x11 import open_display


def open_remote(source: Source, settings: ServeSettings) -> RemoteDesktop | NoDesktop:
    """What viewers of `source` may drive. Opens nothing yet: that happens when somebody does. On the event loop."""
    if settings.input_token is None:
        return NoDesktop("nobody may drive this screen: its server was started without a token for input.")
    if isinstance(source, ScreenSource):
        screen = source
        desktop = RemoteDesktop(
            injector := Injector(lambda: _open_sink(screen, settings.input_device)),
            make_watch=lambda **callbacks: DesktopWatch(screen.display_name, **callbacks),
            draw_cursor=screen.set_cursor,
        )
        injector.on_problem = desktop.on_problem
        return desktop
    if settings.input_device == "uinput":
        # A camera or grabber that sees the desktop of this machine, all of it.
        desktop = RemoteDesktop(injector := Injector(UinputSink))
        injector.on_problem = desktop.on_problem
        return desktop
    return NoDesktop("this stream shows no screen that could be driven.")


def _open_sink(screen: ScreenSource, device: str) -> InputSink:
    """Raises SinkLost."""
    if device == "uinput":
        return _uinput(screen)
    try:
        return XTestSink(screen.display_name, lambda x, y: screen.geometry.to_screen(x, y))
    except NoXTest:
        if device == "xtest":
            raise
        return _uinput(screen)


def _uinput(screen: ScreenSource) -> InputSink:
    """The kernel's pointer covers the desktop, of which the picture may be a part."""
    display = open_display(screen.display_name)
    try:
        width, height = screen_size(display)
    finally:
        display.close()

    def share(x: float, y: float) -> tuple[float, float]:
        column, row = screen.geometry.to_screen(x, y)
        return (column + 0.5) / width, (row + 0.5) / height

    return UinputSink(share)
