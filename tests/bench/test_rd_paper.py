"""The paper's profile in `bench rd`: real files, one intra picture, pictures that come out of reading them again."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: the profile dcvc-rt needs it")

from bench.rd.clips import open_clip
from bench.rd.paper import PaperCodec
from bench.rd.selection import choose_codecs
from codec.dcvc_rt.models import Models
from latentcast.errors import UserError
from tests.bench.rd_samples import write_clip


def test_a_clip_is_coded_as_the_published_condition_says(tmp_path: Path) -> None:
    codec = PaperCodec(Models.synthetic(), points=(42,))
    clip = open_clip(write_clip(tmp_path, frames=3), tmp_path, name="clip")
    coded = codec.code(clip, 42, folder=tmp_path)
    pictures = list(coded.pictures)
    assert (coded.intra_frames, len(pictures)) == (1, 3)
    data = (tmp_path / "clip.bin").read_bytes()
    assert coded.size_bytes == len(data)
    assert data[:4] == bytes((0, 64, 96, 0)), "a parameter set, height and width, before anything else"
    luma, u, v = pictures[0]
    assert luma.shape == (64, 96)
    assert u.shape == v.shape == (32, 48)
    assert luma.dtype == np.float32
    assert (luma != np.round(luma)).any(), "measured without rounding"
    assert 0 <= luma.min() < luma.max() <= 255
    assert luma.max() > 1


def test_without_checkpoints_it_is_refused_in_a_sentence() -> None:
    with pytest.raises(UserError, match="needs the two published checkpoints"):
        choose_codecs(profiles=["dcvc-rt"], codecs=["none"], externals=[], points=None)
