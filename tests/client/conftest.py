"""A window on SDL's dummy display."""

from collections.abc import Iterator
from pathlib import Path

import pygame
import pytest

from tests.client.watched_window import Viewer, opened


@pytest.fixture
def dummy_display(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    yield
    while opened:
        opened.pop().close()
    pygame.display.quit()


@pytest.fixture
def viewer(tmp_path: Path, dummy_display: None) -> Iterator[Viewer]:
    viewer = Viewer(tmp_path / "snapshots")
    yield viewer
    viewer.window.close()
