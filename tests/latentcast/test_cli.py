"""The command line: bad input of every kind is one sentence and exit code 2."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from latentcast import __version__, cli
from latentcast.errors import UserError

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The program's exit code."""
    monkeypatch.setattr(sys, "argv", ["latentcast", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    code = caught.value.code
    return code if isinstance(code, int) else 0


def test_the_version_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"latentcast {__version__}\n"


def test_a_taken_port_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(monkeypatch, "serve", "--port", str(port), "--size", "64x64") == 2
    sentence = capsys.readouterr().err
    assert f"port {port}" in sentence
    assert "--port" in sentence
    assert sentence.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve", "--source", "missing.mkv"], ("missing.mkv",)),
        (["serve", "--source", "text.mkv"], ("text.mkv",)),
        (["serve", "--source", "."], (".",)),
        (["serve", "--size", "640"], ("'640'", "640x360")),
        (["serve", "--size", "63x64"], ("63x64", "64x64", "1920x1088")),
        (["serve", "--size", "1921x1080"], ("1921x1080",)),
        (["serve", "--size", "640x\u0663\u0666\u0660"], ("640x360",)),
        (["serve", "--size", "640x²"], ("640x360",)),
        (["serve", "--fps", "0"], ("fps", "0")),
        (["serve", "--fps", "nan"], ("fps", "nan")),
        (["serve", "--port", "70000"], ("port", "70000")),
        (["serve", "--host", "no.such.host.invalid", "--port", "0"], ("no.such.host.invalid",)),
        (["serve", "--config", "missing.toml"], ("missing.toml",)),
        (["serve", "--capture-ring", "missing/ring", "--port", "0"], ("missing/ring",)),
        (["view", "http://[::1", "--headless"], ("http://[::1", "http://127.0.0.1")),
        (["view", "ftp://host", "--headless"], ("ftp://host",)),
        (["view", "http://host:99999", "--headless"], ("99999",)),
        (["view", "--stream", "a/b", "--headless"], ("stream", "a/b")),
        (["view", "--psnr", "--headless"], ("--psnr", "--compare")),
        (["view", "--headless", "--report", "text.mkv/report"], ("text.mkv/report", "--report")),
        (["demo", "--headless", "--report", "text.mkv/report"], ("text.mkv/report", "--report")),
        (["encode", "missing.mkv", "out.lcv"], ("missing.mkv",)),
        (["encode", "text.mkv", "out.lcv"], ("text.mkv",)),
        (["decode", "missing.lcv", "out.y4m"], ("missing.lcv",)),
        (["decode", "text.mkv", "out.y4m"], ("text.mkv",)),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], words: tuple[str, ...]
) -> None:
    Path("text.mkv").write_text("this is no video\n" * 100)
    assert run(monkeypatch, *arguments) == 2
    sentence = capsys.readouterr().err.strip().splitlines()[-1]
    assert sentence.startswith("latentcast: ")
    assert all(word in sentence for word in words), sentence


@pytest.mark.parametrize(
    "text", ["", "x", "640x", "x360", "640*360", "-1x5", "640x360x3", "²x²", "\u0663x\u0663", "9" * 5000 + "x1"]
)
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="640x360"):
        cli.parse_size(text)


def test_a_size_is_width_and_height() -> None:
    assert cli.parse_size("640X360") == (640, 360)
    assert cli.parse_size(None) is None


@pytest.mark.slow
def test_weights_of_the_wrong_hash_are_named_and_nothing_is_coded_with_them(tmp_path: Path) -> None:
    copy = tmp_path / "other" / "codec"
    shutil.copytree(ROOT / "codec", copy, ignore=shutil.ignore_patterns("__pycache__"))
    weights = copy / "nano" / "nano.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.chmod(0o644)
    weights.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "latentcast", "serve", "--port", "0", "--size", "64x64", "--precision", "float32"],
        env=os.environ | {"PYTHONPATH": str(copy.parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2, done.stderr
    assert "was exported from weights" in done.stderr.splitlines()[-1]
    assert "the encoder keeps failing" not in done.stderr, "another try would change nothing"
    assert "Traceback" not in done.stderr
