"""The published checkpoints, `cvpr2025_image.pth.tar` and `cvpr2025_video.pth.tar`, loaded unchanged (section 10.7).

A checkpoint is read with `weights_only=True`: a pickle that wants to run code is refused, never executed.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from codec.dcvc_rt.image import ImageModel
from codec.dcvc_rt.synthetic import ModelName, fingerprint, synthetic_weights
from codec.dcvc_rt.video import VideoModel
from latentcast.errors import UserError

Model = ImageModel | VideoModel

# In a message: enough to see what kind of keys they are.
_NAMED = 3


def new_model(name: ModelName, *, skip_threshold: float | None) -> Model:
    """A model without weights: its parameters are on the `meta` device until a state dict is assigned."""
    with torch.device("meta"):
        return (ImageModel if name == "image" else VideoModel)(skip_threshold=skip_threshold)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Key -> tensor of a checkpoint file. Raises UserError when it is none, or would run code when opened."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"the checkpoint {path} cannot be read ({error.strerror}); give an existing file.") from error
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} is not a checkpoint that can be loaded safely: it holds something else than tensors; expected "
            f"cvpr2025_image.pth.tar or cvpr2025_video.pth.tar as published."
        ) from error
    except Exception as error:
        raise UserError(
            f"{path} is not a checkpoint ({type(error).__name__}); expected cvpr2025_image.pth.tar or "
            f"cvpr2025_video.pth.tar as published."
        ) from error
    for wrapper in ("state_dict", "net"):
        if isinstance(content, Mapping) and wrapper in content:
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()
    ):
        raise UserError(f"{path} holds no table of named tensors; expected a checkpoint of the paper as published.")
    return {key.removeprefix("module."): value for key, value in content.items()}


def load_model(name: ModelName, path: Path, *, skip_threshold: float | None) -> Model:
    """The image or video model with the weights of a checkpoint, float32 on the CPU.

    Raises UserError that names missing and surplus keys and tensors of another shape.
    """
    return _fill(name, read_checkpoint(path), what=str(path), skip_threshold=skip_threshold)


def synthetic_model(name: ModelName, *, skip_threshold: float | None) -> Model:
    """The image or video model with the synthetic weights of section 11, float32 on the CPU."""
    weights = synthetic_weights(name, shapes_of(name))
    tensors = {key: torch.from_numpy(value) for key, value in weights.items()}
    return _fill(name, tensors, what="synthetic weights", skip_threshold=skip_threshold)


def shapes_of(name: ModelName) -> dict[str, tuple[int, ...]]:
    """Key -> shape of every tensor of a model, in the order of its state dict."""
    return {key: tuple(value.shape) for key, value in new_model(name, skip_threshold=None).state_dict().items()}


def synthetic_fingerprint(name: ModelName) -> str:
    """SHA-256 that golden vectors name their weights by."""
    return fingerprint(synthetic_weights(name, shapes_of(name)))


def _fill(name: ModelName, tensors: Mapping[str, Tensor], *, what: str, skip_threshold: float | None) -> Model:
    wanted = shapes_of(name)
    missing = [key for key in wanted if key not in tensors]
    surplus = [key for key in tensors if key not in wanted]
    if missing or surplus:
        raise UserError(
            f"{what} is not a checkpoint of the {name} model: {_listed(missing, 'missing')}, "
            f"{_listed(surplus, 'surplus')}{_hint(name, tensors)}."
        )
    for key, shape in wanted.items():
        _check_numbers(name, key, tensors[key], what)
        if tuple(tensors[key].shape) != shape:
            raise UserError(
                f"{what} is not a checkpoint of the {name} model: {key} has shape {tuple(tensors[key].shape)}, "
                f"expected {shape}."
            )
    model = new_model(name, skip_threshold=skip_threshold)
    floats = {key: value.to(torch.float32) for key, value in tensors.items()}
    model.load_state_dict(floats, strict=True, assign=True)
    return _frozen(model)


def _check_numbers(name: ModelName, key: str, tensor: Tensor, what: str) -> None:
    plain = tensor.device.type == "cpu" and tensor.layout == torch.strided and tensor.is_floating_point()
    if not plain or not bool(torch.isfinite(tensor).all()):
        raise UserError(f"{what} is not a checkpoint of the {name} model: {key} does not hold finite real numbers.")


def _frozen(model: Model) -> Model:
    nn.Module.requires_grad_(model, False)
    model.eval()
    return model


def _listed(keys: list[str], kind: str) -> str:
    if not keys:
        return f"no keys {kind}"
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return f"{kind} {', '.join(keys[:_NAMED])}{more}"


def _hint(name: ModelName, tensors: Mapping[str, Tensor]) -> str:
    other: ModelName = "video" if name == "image" else "image"
    if set(shapes_of(other)) == set(tensors):
        return f"; it is the {other} checkpoint: swap the two files"
    return ""
