"""`encode` and `decode` as the command line calls them: which profile's file, and in which precision."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from codec import commands
from codec.container import FileHeader, FileReader, FileWriter
from codec.layout import Layout
from codec.nano.simd.selftest import unavailable
from codec.nano.weights import WEIGHTS_PATH, file_sha256
from codec.profiles import PrecisionChoice, Profile, open_codec
from codec.video_io import create_video
from latentcast.errors import UserError
from tests.codec.samples import moving_picture

WIDTH, HEIGHT, FRAMES = 80, 64, 3
no_kernels = pytest.mark.skipif(unavailable() is not None, reason=f"no bfloat16 kernels: {unavailable()}")


def quiet(items: Iterable[Any], *, total: int | None = None) -> Iterator[Any]:
    return iter(items)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.y4m"
    video = create_video(path, width=WIDTH, height=HEIGHT, fps=Fraction(25))
    for number in range(FRAMES):
        video.write(moving_picture(WIDTH, HEIGHT, number))
    video.close()
    return path


def encode(clip: Path, target: Path, **options: Any) -> Any:
    return commands.encode(clip, target, qp=40, size=None, frames=None, threads=1, progress=quiet, **options)


def decode(coded: Path, target: Path, **options: Any) -> Any:
    return commands.decode(coded, target, threads=1, progress=quiet, **{"reference": None, **options})


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=no_kernels)])
def test_a_file_names_its_precision_and_is_decoded_in_it(
    clip: Path, tmp_path: Path, precision: PrecisionChoice
) -> None:
    coded = tmp_path / "a.lcv"
    summary = encode(clip, coded, precision=precision)
    with FileReader(coded) as reader:
        assert reader.header.precision == precision
    decoded = decode(coded, tmp_path / "a.y4m", reference=clip)
    # The encoder's own decoder measured the same pictures.
    assert decoded.psnr_y_db == pytest.approx(summary.psnr_y_db, abs=1e-9)


@no_kernels
def test_where_the_kernels_run_they_are_taken() -> None:
    assert open_codec(Profile()).precision == "bfloat16"
    assert open_codec(Profile(precision="float32")).precision == "float32"


def test_a_processor_without_the_kernels_falls_back_or_says_why(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codec.nano.simd.selftest.unavailable", lambda: "the processor has no AVX2")
    assert open_codec(Profile()).precision == "float32"
    with pytest.raises(UserError, match="cannot compute in bfloat16 here: the processor has no AVX2"):
        encode(clip, tmp_path / "a.lcv", precision="bfloat16")
    header = FileHeader(Layout(WIDTH, HEIGHT), Fraction(25), file_sha256(WEIGHTS_PATH), "bfloat16")
    with FileWriter(tmp_path / "b.lcv", header) as writer:
        writer.write(b"frame")
    with pytest.raises(UserError, match=r"b.lcv was coded in bfloat16. nano cannot compute in bfloat16 here"):
        decode(tmp_path / "b.lcv", tmp_path / "b.y4m")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"profile": "av3"}, "there is no profile 'av3'"),
        ({"profile": "dcvc-rt", "streams": "3"}, "--streams is '3'; expected one of auto, 1, 2"),
        ({"profile": "dcvc-rt"}, "needs the two published checkpoints"),
        ({"profile": "dcvc-rt", "device": "tpu"}, "there is no device 'tpu'"),
        ({"profile": "dcvc-rt", "skip_threshold": "much"}, "skip threshold 'much' was not understood"),
        ({"weights_image": Path("x.tar")}, "brings its own weights"),
        ({"device": "cuda"}, "coded on the CPU; leave --device out"),
        ({"profile": "dcvc-rt", "precision": "bfloat16"}, "--precision is of nano"),
        ({"profile": "dcvc-rt", "reset_interval": 1}, "no reset at all"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(
    clip: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    pytest.importorskip("torch", reason="torch is not installed: the profile dcvc-rt needs it")
    with pytest.raises(UserError, match=said):
        encode(clip, tmp_path / "a.bin", **options)
    assert not list(tmp_path.iterdir())


def test_conformance_ends_with_exit_code_0_only_when_all_hold(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: conformance needs it")

    def run(folder: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "latentcast", "conformance", str(folder)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    vectors = Path(__file__).parents[1] / "vectors" / "dcvc-rt"
    good = tmp_path / "good"
    good.mkdir()
    (good / "golden.npz").symlink_to(vectors / "golden_150x90_qp42.npz")
    done = run(good)
    assert done.returncode == 0, done.stderr
    assert "symbols ok  indexes ok  bytes ok  pictures" in done.stdout
    done = run(tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert json.dumps(str(tmp_path))[1:-1] in done.stderr
