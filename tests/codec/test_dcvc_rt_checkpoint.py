"""Checkpoints of the paper: taken as published, and everything else refused in one sentence."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

import torch
from torch import Tensor

from codec.dcvc_rt.checkpoint import load_model, read_checkpoint, shapes_of
from latentcast.errors import UserError
from tests.codec.dcvc_rt_samples import models


def video_weights() -> dict[str, Tensor]:
    return dict(models().video.state_dict())


def scalars() -> dict[str, Tensor]:
    """The keys of the video model with tensors of the wrong shape, which are small."""
    return {key: torch.zeros(1) for key in shapes_of("video")}


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def refused(path: Path, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        load_model("video", path, skip_threshold=None)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    assert not [word for word in (str(path), *words) if word not in message], message


def test_a_published_checkpoint_is_taken_in_any_wrapping(tmp_path: Path) -> None:
    weights = video_weights()
    for number, content in enumerate(
        (
            {"state_dict": {f"module.{key}": value for key, value in weights.items()}},
            {"state_dict": {"net": weights}, "epoch": 3},
        )
    ):
        model = load_model("video", saved(tmp_path / f"{number}.pth.tar", content), skip_threshold=0.12)
        assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
        assert not any(parameter.requires_grad for parameter in model.parameters())
        (tmp_path / f"{number}.pth.tar").unlink()
    assert list(read_checkpoint(saved(tmp_path / "plain", scalars()))) == list(weights)


def test_keys_missing_and_surplus_are_named(tmp_path: Path) -> None:
    content = scalars()
    del content["q_encoder"], content["decoder.conv2.bias"]
    content["extra.weight"] = torch.zeros(1)
    refused(saved(tmp_path / "a", content), "the video model", "missing q_encoder, decoder.conv2.bias", "extra.weight")


def test_a_tensor_of_another_shape_is_named(tmp_path: Path) -> None:
    refused(saved(tmp_path / "a", scalars()), "q_encoder has shape (1,), expected (72, 256, 1, 1)")


@pytest.mark.parametrize(
    "wrong",
    [
        torch.full((72, 256, 1, 1), float("nan")),
        torch.zeros(72, 256, 1, 1, dtype=torch.int32),
        torch.zeros(72, 256, 1, 1, dtype=torch.complex64),
        torch.zeros(72, 256, 1, 1, device="meta"),
    ],
)
def test_what_is_no_finite_real_number_is_refused(wrong: torch.Tensor, tmp_path: Path) -> None:
    content = {**scalars(), "q_encoder": wrong}
    refused(saved(tmp_path / "a", content), "q_encoder does not hold finite real numbers")


def test_swapped_checkpoints_are_recognised(tmp_path: Path) -> None:
    content = {key: torch.zeros(1) for key in shapes_of("image")}
    refused(saved(tmp_path / "a", content), "it is the image checkpoint: swap the two files")


@pytest.mark.parametrize("content", [{}, {"state_dict": {}}, {"weight": torch.zeros(3)}])
def test_another_model_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    refused(saved(tmp_path / "a", content), "not a checkpoint of the video model")


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {"q_encoder": 3}}, {"state_dict": 4}, torch.zeros(2)])
def test_what_is_no_table_of_tensors_is_refused(content: Any, tmp_path: Path) -> None:
    refused(saved(tmp_path / "a", content), "no table of named tensors")


class Trap:
    """Unpickled, it would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_wants_to_run_code_does_not(legacy: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pth.tar"
    torch.save({"state_dict": Trap(tmp_path / "ran")}, path, _use_new_zipfile_serialization=not legacy)
    refused(path, "holds something else than tensors")
    plain = tmp_path / "plain.pth.tar"
    plain.write_bytes(pickle.dumps(Trap(tmp_path / "ran")))
    refused(plain)
    assert not (tmp_path / "ran").exists()
    # The trap works: what was refused would have run.
    pickle.loads(plain.read_bytes())
    assert (tmp_path / "ran").exists()


def test_files_that_are_none(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("these are the weights\n" * 20)
    refused(text)
    (tmp_path / "empty").touch()
    refused(tmp_path / "empty")
    refused(tmp_path / "absent", "cannot be read")
    refused(tmp_path)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme", "nothing")
    refused(tmp_path / "other.zip")


def test_a_truncated_checkpoint(tmp_path: Path) -> None:
    path = saved(tmp_path / "a", scalars())
    data = path.read_bytes()
    for size in (100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        refused(path)
