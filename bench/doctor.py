"""`latentcast doctor`: can this installation code, decode and show, and how fast? One line each."""

import importlib.util
import os
import platform
import time

from rich.console import Console

from bench.speed import measure
from codec.nano.weights import load_weights
from latentcast import __version__
from latentcast.errors import LatentcastError

# A real-time stream at 30 fps leaves this much for each side of the codec.
FRAME_MS = 1000 / 30


def run() -> None:
    """Print the checks. Raises LatentcastError when one fails that everything needs."""
    console = Console(highlight=False)
    console.print(
        f"latentcast {__version__}, Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores"
    )
    started = time.perf_counter()
    weights = load_weights()
    console.print(f"profile nano, weights {weights.sha256[:12]}, loaded in {time.perf_counter() - started:.2f} s")
    speed = measure(size=(640, 360), frames=30, qp=32)
    encode, decode = speed.encode.total, speed.decode.total
    verdict = (
        "keeps up with 30 fps" if max(encode, decode) < FRAME_MS else "is too slow for 30 fps: choose a smaller --size"
    )
    engine = "our own kernels" if speed.precision == "bfloat16" else "ONNX Runtime"
    console.print(f"nano computes in {speed.precision}, with {engine}")
    console.print(f"640x360: encodes in {encode:.1f} ms, decodes in {decode:.1f} ms a frame: {verdict}")
    try:
        from client.display import display_available

        problem = display_available()
    except (ImportError, LatentcastError) as error:
        problem = str(error)
    console.print("a window can be opened" if problem is None else f"no window: {problem}")
    torch = importlib.util.find_spec("torch") is not None
    console.print(
        "torch is installed" if torch else "torch is not installed; nothing needs it to serve or view with nano"
    )
