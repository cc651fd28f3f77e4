"""The runtime on a real GPU: what overlaps, what is given back, and what is said when memory runs out."""

import gc

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

import torch
from torch import Tensor

from codec.layout import Layout
from codec.nano.torch_engine import TorchEncoder
from latentcast.errors import UserError
from tests.codec.samples import moving_picture
from tests.gpu import gpu_devices

pytestmark = gpu_devices.on_a_gpu

# Large enough that a copy takes longer than the host takes to start the next replay.
ELEMENTS = 1 << 24


def test_downloads_hold_while_later_replays_overwrite() -> None:
    """Every download is of the replay it was started behind, though the host runs ahead of the device."""
    runtime = gpu_devices.graphs()
    fill = runtime.stretch(lambda x: ((x.float() + 1).expand(ELEMENTS).contiguous(),))
    downloads = []
    for number in range(12):
        (values,) = fill(runtime.upload("x", np.array([number], np.int64)))
        downloads.append(runtime.download(f"values {number}", values))
    for number, download in enumerate(downloads):
        found = download.result()
        assert found.min() == found.max() == number + 1


def test_uploads_are_read_before_the_next_ones_arrive() -> None:
    runtime = gpu_devices.graphs()
    total = runtime.stretch(lambda x: (x.to(torch.int64).sum()[None],))
    sums = []
    array = np.zeros(ELEMENTS, np.uint8)
    for number in range(8):
        array[:] = number
        (found,) = total(runtime.upload("array", array))
        sums.append(runtime.download(f"sum {number}", found))
    assert [int(download.result()[0]) for download in sums] == [number * ELEMENTS for number in range(8)]


def test_a_kept_tensor_outlives_its_graph() -> None:
    runtime = gpu_devices.graphs()
    double = runtime.stretch(lambda x: (x * 2,))
    kept = [runtime.keep(*double(runtime.upload("x", np.full(1000, n, np.int64)))) for n in range(20)]
    runtime.reset()
    assert [int(tensor[0]) for tensor in kept] == [2 * n for n in range(20)]


def test_size_changes_leak_nothing() -> None:
    runtime = gpu_devices.graphs()
    encoder = TorchEncoder(runtime)
    held = []
    for size in ((320, 192), (640, 368)) * 4:
        layout = Layout(*size)
        encoder.prepare(layout)
        encoder.intra(moving_picture(layout.padded_width, layout.padded_height, 0), 30)
        runtime.reset()
        gc.collect()
        torch.cuda.empty_cache()
        held.append((torch.cuda.memory_allocated(), torch.cuda.memory_reserved()))
    # The first round sets libraries up. After that each size holds the same every time; they differ in their masks.
    assert len(set(held[2::2])) == 1
    assert len(set(held[3::2])) == 1


def test_steady_frames_allocate_nothing() -> None:
    encoder = TorchEncoder(gpu_devices.graphs())
    layout = Layout(320, 192)
    encoder.prepare(layout)
    state: Tensor | None = None
    held = []
    for number in range(30):
        picture = moving_picture(layout.padded_width, layout.padded_height, number)
        if state is None:
            _, _, state = encoder.intra(picture, 30)
        else:
            _, _, state = encoder.inter(picture, state, 30)
        held.append(torch.cuda.memory_reserved())
    assert len(set(held[5:])) == 1


def test_out_of_memory_is_one_sentence() -> None:
    runtime = gpu_devices.graphs()
    x = runtime.upload("x", np.zeros(1, np.int64))
    stretch = runtime.stretch(lambda x: (x.expand(1 << 46).contiguous(),))
    with pytest.raises(UserError, match="choose a smaller --size or --device cpu") as caught:
        stretch(x)
    assert "\n" not in str(caught.value)
    # And the runtime lives on.
    double = runtime.stretch(lambda x: (x * 2,))
    assert runtime.download("x", *double(x)).result().tolist() == [0]
