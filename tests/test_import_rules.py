"""Who may import whom: the folders' rules, held against the syntax tree of every file, nested imports included."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"bench", "client", "codec", "latentcast", "server", "transport"}
STANDARD = set(sys.stdlib_module_names)
NETWORK = {"asyncio", "socket", "socketserver", "ssl", "select", "selectors", "http", "aiohttp", "aiortc", "aioice"}
TORCH = {"torch", "onnx", "onnxscript"}
BOTH_ENDS = NETWORK | {"numpy", "av", "uvloop", "codec", "transport", "latentcast"}

# What the folder may import besides itself and the standard library without NETWORK.
ALLOWED: dict[str, set[str]] = {
    "codec": {"numpy", "numba", "llvmlite", "onnxruntime", "av", "safetensors", "latentcast"},
    "transport": {"numpy", "zfec"},
    "server": BOTH_ENDS | {"prometheus_client", "pydantic", "Xlib", "evdev"},
    "client": BOTH_ENDS | {"pygame"},
    # Its workers and vitals are what both ends run: they have an event loop, never a network.
    "latentcast": {"pydantic", "pydantic_settings", "typer", "rich", "psutil", "asyncio", "socket"},
}
# One file or folder and what it may import beyond the rule of the folder above.
EXCEPTIONS: dict[str, set[str]] = {
    "transport/webrtc.py": {"aiortc", "aioice", "asyncio"},
    "transport/webrtc_audio.py": {"aiortc", "asyncio", "av"},
    "codec/blocks.py": TORCH,
    "codec/complexity.py": TORCH,
    "codec/cuda": TORCH,
    "codec/dcvc_rt": TORCH,
    "codec/nano/export.py": TORCH,
    "codec/nano/networks.py": TORCH,
    "codec/nano/torch_engine.py": TORCH,
    "codec/torch_runtime.py": TORCH,
}


def imports(tree: ast.AST) -> Iterator[str]:
    """First names of all modules a file imports, but for what only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            assert node.module is not None
            yield node.module.partition(".")[0]
        yield from imports(node)


def violations(path: str, source: str) -> set[str]:
    """Modules that the file at `path` may not import."""
    folder = path.split("/", 1)[0]
    exceptions = (EXCEPTIONS.get(place, set()) for place in (path, path.rpartition("/")[0]))
    allowed = ALLOWED[folder].union({folder}, *exceptions)
    found = set(imports(ast.parse(source)))
    return {name for name in found if name not in allowed and (name not in STANDARD or name in NETWORK)}


def test_every_file_keeps_the_rules_of_its_folder() -> None:
    files = [file for folder in ALLOWED for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 50
    broken = {}
    for file in files:
        path = file.relative_to(ROOT).as_posix()
        if found := violations(path, file.read_text()):
            broken[path] = found
    assert broken == {}


@pytest.mark.parametrize(
    ("path", "source", "module"),
    [
        ("codec/rans.py", "def run() -> None:\n    import asyncio", "asyncio"),
        ("codec/encoder.py", "try:\n    from torch import nn\nexcept ImportError:\n    pass", "torch"),
        ("transport/pacer.py", "import asyncio", "asyncio"),
        ("transport/wire.py", "from aiortc.rtp import x", "aiortc"),
        ("transport/webrtc.py", "from server import session", "server"),
        ("server/app.py", "import client.viewer", "client"),
        ("client/view.py", "import server.app", "server"),
        ("latentcast/cli.py", "def serve() -> None:\n    from server.app import serve", "server"),
        ("latentcast/report.py", "import numpy", "numpy"),
    ],
)
def test_a_forbidden_import_is_seen_wherever_it_stands(path: str, source: str, module: str) -> None:
    assert violations(path, source) == {module}


def loaded_after(code: str) -> set[str]:
    """First names of the modules in a fresh interpreter after `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(done.stdout.split())


def test_the_command_line_loads_nothing_of_what_its_commands_run() -> None:
    loaded = loaded_after("import latentcast.cli")
    assert loaded.isdisjoint({"aiortc", "aiohttp", "av", "numpy", "numba", "onnxruntime", "pygame", "torch"})
    assert loaded.isdisjoint(OURS - {"latentcast"})


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("server.app, server.encoder_worker", {"torch", "pygame", "client", "Xlib"}),
        ("client.view, client.decoder_worker", {"torch", "pygame", "server"}),
    ],
)
def test_a_base_install_is_enough_to_serve_and_to_watch_headless(modules: str, absent: set[str]) -> None:
    loaded = loaded_after(f"import {modules}")
    assert "aiortc" in loaded
    assert loaded.isdisjoint(absent)
