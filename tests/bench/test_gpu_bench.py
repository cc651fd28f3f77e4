"""`latentcast bench gpu` without a GPU: its measuring code on the CPU at a small size, and what it says otherwise."""

import json
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

import torch

from bench import gpu
from bench.gpu import check_equal, run
from bench.gpu_coders import ProfileName, Request, clip
from codec.cuda.eager import LayerByLayer
from codec.torch_runtime import Runtime
from latentcast.errors import LatentcastError, UserError

FRAMES = 3


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("profile", ["dcvc-rt", "nano"])
def test_the_whole_of_it_on_the_cpu(
    profile: ProfileName, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "WARM_UP", 1)
    monkeypatch.setattr(gpu, "EQUAL_FRAMES", 2)
    target = tmp_path / "gpu.json"
    run(
        size=(64, 64),
        frames=FRAMES,
        profile=profile,
        device="cpu",
        drift_frames=3,
        loopback_seconds=0,
        json=target,
        qp=21,
    )
    result = json.loads(target.read_text())["result"]
    assert result["device"] == "CPU, layer by layer"
    assert result["precision"] == "float32"
    assert (result["equal_frames"], result["drift_frames"]) == (2, 3)
    assert (result["qp"], result["reset_interval"]) == (21, 64 if profile == "dcvc-rt" else None)
    for side, picture in (("encode", "picture upload"), ("decode", "picture download")):
        found = result[side]
        assert set(found["stages"]) == {"network", "entropy coding", "symbol transfers", picture}
        assert 0 < found["fps"] <= found["fps_10_5_estimate"]
    assert "CPU, layer by layer" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize("failure", [LatentcastError("the server did not start (exit code 1)."), SystemExit(2)])
def test_a_loopback_that_fails_takes_nothing_with_it(
    failure: BaseException, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**settings: object) -> None:
        raise failure

    monkeypatch.setattr(gpu, "WARM_UP", 1)
    monkeypatch.setattr(gpu, "EQUAL_FRAMES", 1)
    monkeypatch.setattr(gpu, "run_demo", fail)
    target = tmp_path / "gpu.json"
    with pytest.raises(LatentcastError, match="everything but the loopback"):
        run(size=(64, 64), frames=FRAMES, profile="nano", device="cpu", drift_frames=0, json=target)
    result = json.loads(target.read_text())["result"]
    assert result["loopback_ms"] is None
    assert "exit code" in result["loopback_error"]
    assert result["encode"]["fps"] > 0
    assert "fps" in capsys.readouterr().out


def test_live_streams_are_of_the_first_gpu_alone() -> None:
    request = Request(torch.device("cuda", 1), "nano", None, (64, 64), FRAMES, 0, 10.0)
    delay, error, note = gpu._loopback(request)
    assert (delay, error) == (None, None)
    assert note is not None
    assert "cuda:1" in note


class OneBitOff(LayerByLayer):
    """Pretends to be graphs, and is wrong in one value of one upload."""

    def upload(self, key: str, array: NDArray[Any]) -> torch.Tensor:
        tensor = super().upload(key, array)
        if key == "picture":
            tensor[0, 0, 0] ^= 128
        return tensor


def test_a_difference_from_layer_by_layer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request(torch.device("cpu"), "nano", None, (64, 64), FRAMES, 0, 0)
    assert check_equal(request, clip((64, 64))) == gpu.EQUAL_FRAMES

    def wrong(self: Request) -> Runtime:
        return OneBitOff(self.device, self.dtype)

    monkeypatch.setattr(Request, "runtime", wrong)
    with pytest.raises(UserError, match="coded otherwise"):
        check_equal(request, clip((64, 64)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so() -> None:
    with pytest.raises(UserError, match="--device cpu"):
        run(size=(64, 64))


def test_a_qp_that_is_none() -> None:
    with pytest.raises(UserError, match="0 to 63"):
        run(size=(64, 64), device="cpu", qp=64)


def test_one_checkpoint_of_two() -> None:
    with pytest.raises(UserError, match="give both"):
        run(size=(64, 64), device="cpu", weights_image=Path("image.pth.tar"))
