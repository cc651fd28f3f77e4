"""The whole laboratory on real processes and a real window, small and short."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.latency.display import x_display
from bench.latency.remote.command import measure_input
from bench.latency.remote.probe import PARTS
from bench.latency.schema import Agreement, Camera, InputDelay, Pixels, WindowInput, read_document
from latentcast.errors import UserError

needs_xvfb = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")


@pytest.mark.net
@pytest.mark.slow
@needs_xvfb
def test_a_short_run_measures_by_all_three_methods(tmp_path: Path) -> None:
    flags = ["--size", "256x144", "--fps", "15", "--seconds", "2", "--camera", "screen", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "latentcast", "latency", *flags],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = read_document(tmp_path / "latency.json")
    assert document.timestamps.frames > 5
    assert document.timestamps.residual_ms < 0.01
    assert isinstance(document.pixels, Pixels)
    assert document.pixels.frames > 0.5 * document.timestamps.frames
    assert document.pixels.contradicting == 0
    assert isinstance(document.agreement, Agreement)
    # How near they come depends on who else computes here; that one follows the other does not.
    assert abs(document.agreement.p50_difference) < 100
    assert isinstance(document.camera, Camera), "both windows, side by side, each with its bar code"
    assert document.camera.pairs > 5
    assert "latency.html" in done.stdout


@pytest.mark.net
@pytest.mark.slow
@needs_xvfb
def test_keys_reach_the_desktop_and_their_pixels_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.latency.remote.probe.SETTLE_S", 0.2)
    monkeypatch.setattr("bench.latency.remote.window.SETTLE_S", 0.2)
    said: list[str] = []
    found = measure_input(size=(320, 180), fps=15, codec=(), say=said.append, presses=3)
    assert isinstance(found, InputDelay), said
    assert found.presses + found.lost == 3
    assert found.presses > 0
    assert list(found.parts) == list(PARTS)
    assert found.decoded.p50 > found.parts["encode"].p50 > 0
    assert isinstance(found.window, WindowInput), "a key in the viewer's own window came back as pixels"
    assert found.window.total.p50 > found.window.to_desktop.p50 > 0


def test_without_a_screen_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(UserError, match="DISPLAY is not set and there is no Xvfb"), x_display():
        pass


def test_the_users_own_display_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":42")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    with x_display() as display:
        assert not display.virtual
        environment = display.environment()
    assert environment["DISPLAY"] == ":42"
    assert environment["SDL_VIDEODRIVER"] == "x11"
    assert "WAYLAND_DISPLAY" not in environment, "else the window would open where it cannot be grabbed"
