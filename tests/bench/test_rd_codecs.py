"""The codecs of `bench rd`: conventional ones, programs, and how they are chosen."""

import os
import time
from pathlib import Path

import psutil
import pytest

from bench.rd.clips import Clip, open_clip
from bench.rd.coding import RateDistortionCodec
from bench.rd.conventional import ENCODERS, ConventionalCodec, without_sei
from bench.rd.evaluate import evaluate_clip, evaluate_point
from bench.rd.external import ExternalCodec
from bench.rd.selection import choose_anchor, choose_codecs, parse_codec, parse_points
from latentcast.errors import UserError
from tests.bench.rd_samples import write_clip, write_coder

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    return open_clip(write_clip(tmp_path), tmp_path, name="moving")


@pytest.mark.parametrize("kind", list(ENCODERS))
def test_conventional_codecs_make_one_intra_frame_and_repeat_themselves(kind: str, clip: Clip, tmp_path: Path) -> None:
    codec = ConventionalCodec(kind)
    if reason := codec.unavailable():
        pytest.skip(reason)
    good, bad = (evaluate_point(clip, codec, codec.points[index], folder=tmp_path) for index in (0, -1))
    again = evaluate_point(clip, codec, codec.points[0], folder=tmp_path)
    assert good.intra_frames == bad.intra_frames == 1
    assert good.kbps > 2 * bad.kbps
    assert good.psnr_611 > bad.psnr_611 + 3
    assert good.psnr_y > 32
    assert (again.size_bytes, again.psnr_611, again.ms_ssim) == (good.size_bytes, good.psnr_611, good.ms_ssim)
    assert good.kbps == pytest.approx(8 * (good.size_bytes or 0) * 30 / clip.frames / 1000)


def test_sei_is_left_out_and_nothing_else() -> None:
    sps, sei, picture = b"\x00\x00\x00\x01\x67abc", b"\x00\x00\x01\x06\x05xyz", b"\x00\x00\x01\x65\x00\x00\x03\x06data"
    long_sei = b"\x00\x00\x00\x01\x06\x05xyz"
    assert without_sei(sps + sei + picture) == sps + picture
    assert without_sei(long_sei + picture + sei + sps) == picture + sps
    assert without_sei(sps + picture) == sps + picture


def test_a_program_is_measured_like_any_codec(clip: Clip, tmp_path: Path) -> None:
    codec = ExternalCodec(write_coder(tmp_path))
    result = evaluate_clip(clip, [codec], folder=tmp_path, done=lambda: None)
    points = result.curves[0].points
    assert result.failures == []
    assert [point.point for point in points] == [2, 3, 4, 5]
    assert sorted(points, key=lambda point: -point.psnr_y) == list(points) == sorted(points, key=lambda p: -p.kbps)
    # Dropping two bits leaves errors 0..3, about equally often: a mean square of 3.5.
    assert points[0].psnr_y == pytest.approx(42.7, abs=0.3)


def test_a_program_may_get_y4m(clip: Clip, tmp_path: Path) -> None:
    codec = ExternalCodec(write_coder(tmp_path, extra='input = "y4m"\n'))
    # The pretended codec takes the file for raw frames, so its headers come out as too many bytes.
    with pytest.raises(UserError, match=r"left \d+ bytes at \{output\}; expected 184320, 20 frames of 96x64"):
        evaluate_point(clip, codec, 2, folder=tmp_path)


@pytest.mark.parametrize(
    ("encode", "decode", "message"),
    [
        ("fail", "decode", r"QP 2, moving\) ended with code 3, saying: cannot open the licence file\.$"),
        ("encode", "fail", "ended with code 3"),
        ("nothing", "decode", "left no coded file"),
        ("encode", "nothing", "left 0 bytes"),
        ("encode", "short", "left 184319 bytes"),
    ],
)
def test_a_program_that_fails_is_named(encode: str, decode: str, message: str, clip: Clip, tmp_path: Path) -> None:
    codec = ExternalCodec(write_coder(tmp_path, encode=encode, decode=decode))
    with pytest.raises(UserError, match=message):
        evaluate_point(clip, codec, 2, folder=tmp_path)


def test_a_program_that_hangs_is_ended(clip: Clip, tmp_path: Path) -> None:
    codec = ExternalCodec(write_coder(tmp_path, encode="hang", extra="timeout_s = 0.5\n"))
    # Earlier tests may have left multiprocessing's resource tracker behind.
    before = psutil.Process(os.getpid()).children()
    with pytest.raises(UserError, match=r"took longer than 0\.5 s"):
        evaluate_point(clip, codec, 2, folder=tmp_path)
    assert [child for child in psutil.Process(os.getpid()).children() if child not in before] == []


def test_a_program_ends_with_what_it_started(clip: Clip, tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    (tmp_path / "child.py").write_text(
        f"import time\nwhile True:\n    open({str(mark)!r}, 'a').write('x')\n    time.sleep(0.02)\n"
    )
    path = write_coder(tmp_path, extra="timeout_s = 1.5\n")
    program = tmp_path / "coder.py"
    program.write_text(
        "import subprocess, sys, time, os\n"
        "subprocess.Popen([sys.executable, os.path.join(os.path.dirname(__file__), 'child.py')])\ntime.sleep(600)\n"
    )
    with pytest.raises(UserError, match="took longer"):
        evaluate_point(clip, ExternalCodec(path), 2, folder=tmp_path)
    size = mark.stat().st_size
    assert size > 0
    time.sleep(0.2)
    assert mark.stat().st_size == size


def test_a_codec_that_fails_does_not_take_the_others_along(clip: Clip, tmp_path: Path) -> None:
    failing = ExternalCodec(write_coder(tmp_path, decode="fail"))
    working = ConventionalCodec("x264", points=(30, 40))
    steps = []
    result = evaluate_clip(clip, [failing, working], folder=tmp_path, done=lambda: steps.append(1))
    assert [curve.codec for curve in result.curves] == ["x264 veryfast"]
    assert len(result.failures) == 1
    assert result.failures[0].startswith("bit dropper on moving: the command of bit dropper")
    assert len(steps) == 6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not toml", "is not TOML"),
        ("[other]\n", r"expected one, \[codec\]"),
        ('[codec]\nname = "a"\n', "points: Field required"),
        (
            '[codec]\nname="a"\npoints=[1]\nencode=["true","{input}","{output}","{bitrate}"]\ndecode=["true"]\n',
            r"encode: .*\{bitrate\} is unknown",
        ),
        ('[codec]\nname="a"\npoints=[1]\nencode=["true","{input}"]\ndecode=["true"]\n', r"does not use \{output\}"),
        (
            '[codec]\nname="a"\npoints=[1]\nencode=["no-such-program","{input}{output}"]\n'
            'decode=["true","{input}{output}"]\n',
            "no program no-such-program",
        ),
        ('[codec]\nname="a"\npoints=[1]\nencode=["a{","{input}{output}"]\ndecode=["true"]\n', r"encode: "),
        ('[codec]\nname="a"\nspeed=1\n', "speed: Extra inputs"),
    ],
)
def test_a_file_that_describes_no_codec(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "codec.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        ExternalCodec(path)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_the_examples_are_whole(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EncoderAppStatic", "DecoderAppStatic", "ffmpeg"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    codec = ExternalCodec(path)
    assert codec.points == (22, 27, 32, 37)


def test_codecs_by_name() -> None:
    assert parse_codec("x264").name == "x264 veryfast"
    chosen = parse_codec("x265:medium@22,27,32,37")
    assert (chosen.name, chosen.points) == ("x265 medium", (22, 27, 32, 37))
    assert parse_codec("svt-av1:10").name == "SVT-AV1 10"


@pytest.mark.parametrize(
    "text", ["x266", "x264:", "x264:fastest", "x264@22,x", "x264@22,22", "x264@22,99", "vp9:12", ""]
)
def test_codecs_that_are_none(text: str) -> None:
    with pytest.raises(UserError):
        parse_codec(text)


def test_points_in_words() -> None:
    assert parse_points(" 22, 27") == (22, 27)
    for text in ("", "1,,2", "-1", "²"):
        with pytest.raises(UserError):
            parse_points(text)


def test_choice_of_codecs_and_anchor() -> None:
    codecs: list[RateDistortionCodec]
    codecs, missing = choose_codecs(
        profiles=("none",), codecs=("vp9", "x264:fast", "x264:medium"), externals=(), points=None
    )
    assert missing == []
    assert choose_anchor(codecs, None) == "x264 fast"
    assert choose_anchor(codecs, "x264:medium") == "x264 medium"
    assert choose_anchor(codecs, "VP9") == "VP9 5"
    assert choose_anchor(codecs, "vtm") == "VTM-17.0 (published)"
    for text in ("x264", "x265", ""):
        with pytest.raises(UserError, match="of the codecs"):
            choose_anchor(codecs, text)
    with pytest.raises(UserError, match="nothing to measure"):
        choose_codecs(profiles=("none",), codecs=("none",), externals=(), points=None)
    with pytest.raises(UserError, match="twice"):
        choose_codecs(profiles=("none",), codecs=("x264", "x264:veryfast"), externals=(), points=None)
    with pytest.raises(UserError, match="no profile"):
        choose_codecs(profiles=("micro",), codecs=("none",), externals=(), points=None)


def test_an_encoder_that_this_build_lacks_is_left_out_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ConventionalCodec, "unavailable", lambda self: "no such encoder" if "VP9" in self.name else None
    )
    codecs, missing = choose_codecs(profiles=("none",), codecs=("x264", "vp9"), externals=(), points=None)
    assert [codec.name for codec in codecs] == ["x264 veryfast"]
    assert missing == ["VP9 5 was left out: no such encoder"]
