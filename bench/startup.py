"""`latentcast bench startup`: from `latentcast view` to the first picture, cold and after a reconnect; install size.

Cold: a new viewer process each time, against a server that runs already. Reconnect: the server is killed and started
again on the same port under a viewer that goes on; counted from the moment the new server is ready to the next picture.
"""

import csv
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from rich.console import Console

from latentcast.errors import LatentcastError
from latentcast.report import read_report
from latentcast.statistics import percentiles

READY_TIMEOUT_S = 60.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _latentcast(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "latentcast", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _wait_ready(port: int) -> float:
    """Wait for /readyz; returns the monotonic time at which it was seen."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                return time.monotonic()
        except (urllib.error.URLError, OSError):
            time.sleep(0.01)
    raise LatentcastError("the server did not get ready.")


def _serve(port: int) -> subprocess.Popen[bytes]:
    return _latentcast("serve", "--port", str(port), "--source", "pattern", "--size", "640x360")


def cold(runs: int) -> list[float]:
    """Seconds from the start of a viewer process to its first presented picture."""
    port = _free_port()
    server = _serve(port)
    found = []
    try:
        _wait_ready(port)
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as folder:
                url = f"http://127.0.0.1:{port}"
                started = time.monotonic()
                viewer = _latentcast("view", url, "--headless", "--seconds", "1", "--report", folder)
                viewer.wait(READY_TIMEOUT_S)
                report = read_report(Path(folder) / "report.json")
                with (Path(folder) / "frames.csv").open(newline="") as file:
                    first = next(csv.DictReader(file))
                assert report.frames.presented > 0
                found.append(int(first["presented_us"]) / 1e6 - started)
    finally:
        server.kill()
        server.wait()
    return found


def reconnect(runs: int) -> list[float]:
    """Seconds from a restarted server being ready to the next presented picture."""
    port = _free_port()
    found = []
    server = _serve(port)
    try:
        _wait_ready(port)
        with tempfile.TemporaryDirectory() as folder:
            seconds = 4 + 14 * runs
            viewer = _latentcast(
                "view", f"http://127.0.0.1:{port}", "--headless", "--seconds", str(seconds), "--report", folder
            )
            ready = []
            time.sleep(6)
            for _ in range(runs):
                server.kill()
                server.wait()
                server = _serve(port)
                ready.append(_wait_ready(port))
                time.sleep(8)
            viewer.wait(READY_TIMEOUT_S + seconds)
            with (Path(folder) / "frames.csv").open(newline="") as file:
                shown = [int(line["presented_us"]) / 1e6 for line in csv.DictReader(file)]
            found += [min(at for at in shown if at > moment) - moment for moment in ready]
    finally:
        server.kill()
        server.wait()
    return found


def install_mb() -> float:
    """Size of this environment, 10^6 bytes: what `du` would say of the files in it."""
    root = Path(sys.prefix)
    return sum(path.lstat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def run(*, runs: int) -> None:
    """Measure and print."""
    console = Console()
    first = percentiles(cold(runs))
    again = percentiles(reconnect(min(runs, 3)))
    console.print(f"first picture, cold: p50 {first.p50:.2f} s, max {first.max:.2f} s ({runs} runs)", highlight=False)
    console.print(f"first picture after a reconnect: p50 {again.p50:.2f} s, max {again.max:.2f} s", highlight=False)
    console.print(f"this environment ({sys.prefix}): {install_mb():.0f} MB", highlight=False)
