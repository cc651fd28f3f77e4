"""Conformance: the golden vectors hold, vectors of other settings too, and a fault is named with its place."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

from bench.conformance import run
from codec.dcvc_rt.conformance import VectorReport, run_all
from codec.dcvc_rt.golden import unfold
from codec.dcvc_rt.planes import repeat_chroma
from codec.dcvc_rt.sequence import Schedule
from latentcast.errors import UserError
from tests.codec.dcvc_rt_samples import GOLDEN_NAMES, VECTORS, clip, decode, encode, golden_meta

Arrays = dict[str, NDArray[Any]]


@cache
def own_vector(width: int, height: int, skip: float | None) -> Arrays:
    """A vector of settings that no golden one has: QPs that differ, resets and intra pictures, odd sizes."""
    meta = {
        "width": width,
        "height": height,
        "qp": 12,
        "qp_p": 50,
        "force_zero_thres": skip,
        "intra_period": 3,
        "reset_interval": 2,
        "weights_sha256": golden_meta(GOLDEN_NAMES[0])["weights_sha256"],
    }
    pictures = clip(width, height, 4)
    y = np.stack([picture[0] for picture in pictures])
    uv = np.stack([picture[1:, ::2, ::2] for picture in pictures])
    schedule = Schedule(12, 50, intra_period=3, reset_interval=2)
    sources = [repeat_chroma(*planes) for planes in zip(y, uv, strict=True)]
    files = [encode(sources, schedule, two_streams=two, skip_threshold=skip) for two in (False, True)]
    arrays: Arrays = {"meta": np.array(json.dumps(meta)), "in_y": y, "in_uv": uv}
    pictures_out: list[NDArray[np.float32]] = []
    for streams, file in enumerate(files):
        arrays[f"file_ec{streams}"] = np.frombuffer(file, np.uint8)
        pictures_out = []
        for t, decoded in enumerate(decode(file, skip_threshold=skip)):
            pictures_out.append(decoded.picture.copy())
            arrays[f"payload_ec{streams}_{t}"] = np.frombuffer(decoded.unit.payload, np.uint8)
            arrays[f"zq_{t}"] = decoded.trace.z
            arrays[f"yq_{t}"] = unfold(decoded.trace.symbols)
            arrays[f"idx_{t}"] = decoded.trace.indexes
    arrays["rec"] = np.stack(pictures_out)
    arrays["frame_qp"] = np.array([12, 58, 50, 12])
    arrays["use_ada_i"] = np.array([0, 1, 0, 0])
    return arrays


def report(folder: Path, arrays: Arrays, name: str = "a.npz") -> VectorReport:
    np.savez(folder / name, allow_pickle=False, **arrays)
    (only,) = run_all(folder)
    return only


def test_every_golden_vector_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder=VECTORS) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["cdf_tables.npz", *GOLDEN_NAMES, "rans_vectors.npz"]
    for line in lines[1:-1]:
        assert "  symbols ok  indexes ok  bytes ok  pictures " in line
        assert line.endswith(" ok")


@pytest.mark.parametrize(("width", "height", "skip"), [(48, 32, 0.12), (37, 21, None)])
def test_nothing_of_the_settings_is_taken_for_granted(
    width: int, height: int, skip: float | None, tmp_path: Path
) -> None:
    found = report(tmp_path, own_vector(width, height, skip))
    assert found.ok, str(found)


def changed(name: str, at: tuple[int, ...], by: float) -> Arrays:
    arrays = dict(own_vector(48, 32, 0.12))
    arrays[name] = arrays[name].copy()
    arrays[name][at] += np.array(by).astype(arrays[name].dtype)
    return arrays


@pytest.mark.parametrize(
    ("name", "at", "by", "part", "place"),
    [
        ("zq_2", (5, 0, 0), 1, "symbols", "encoder, picture 2, z: channel, row, column (5, 0, 0) is"),
        ("yq_0", (200, 1, 2), 1, "symbols", "encoder, picture 0, y: channel, row, column (200, 1, 2) is"),
        ("idx_3", (3, 1, 0, 2), 1, "indexes", "encoder, picture 3: step, channel, row, column (3, 1, 0, 2) is"),
        ("payload_ec1_1", (7,), 1, "bytes", "encoder, picture 1, payload_ec1_1: byte 7 of"),
        ("frame_qp", (1,), 1, "bytes", "encoder, picture 1: frame_qp 58, expected 59"),
        ("use_ada_i", (3,), 1, "bytes", "encoder, picture 3: use_ada_i 0, expected 1"),
        ("rec", (1, 2, 3, 4), 2e-4, "pictures", "decoder of one stream, picture 1: at (2, 3, 4)"),
        ("rec", (0, 0, 0, 0), np.nan, "pictures", "decoder of one stream, picture 0: at (0, 0, 0)"),
    ],
)
def test_a_fault_is_named_with_its_place(
    name: str, at: tuple[int, ...], by: float, part: str, place: str, tmp_path: Path
) -> None:
    found = report(tmp_path, changed(name, at, by))
    problems = {key: problem for key, (_, problem) in found.parts.items() if problem is not None}
    assert list(problems) == [part]
    assert problems[part].startswith(place)
    assert f"{part} " in str(found)
    assert "FAIL" in str(found)


def test_a_file_that_is_refused_is_a_fault_of_bytes_and_pictures(tmp_path: Path) -> None:
    found = report(tmp_path, changed("file_ec1", (60,), 1))
    assert {key for key, (_, problem) in found.parts.items() if problem is not None} == {"bytes", "pictures"}
    assert "decoder of two streams: the file is refused at byte" in str(found)


def test_the_exit_code_counts_every_vector(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "bad.npz", allow_pickle=False, **changed("rec", (0, 0, 0, 0), 1))
    np.savez(tmp_path / "good.npz", allow_pickle=False, **own_vector(48, 32, 0.12))
    assert run(folder=tmp_path) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 2 vectors fail"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"meta": np.array("{")}, "meta FAIL"),
        ({"meta": np.array("[]")}, "meta FAIL"),
        ({"meta": np.array('{"width": 48}')}, "meta FAIL"),
        ({"in_y": np.zeros((4, 8, 8), np.uint8)}, "in_y has shape (4, 8, 8), expected (4, 32, 48)"),
        ({"in_y": np.zeros((4, 32, 48))}, "no 8-bit code values"),
        ({"idx_2": None}, "idx_2 missing"),
        ({"use_ada_i": np.zeros(2)}, "do not fit each other"),
    ],
)
def test_a_vector_that_is_not_whole_fails_in_a_sentence(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    arrays = {**own_vector(48, 32, 0.12), **change}
    found = report(tmp_path, {name: array for name, array in arrays.items() if array is not None})
    assert not found.ok
    assert message in str(found)


def test_unknown_weights_are_asked_for(tmp_path: Path) -> None:
    arrays = dict(own_vector(48, 32, 0.12))
    meta = json.loads(str(arrays["meta"]))
    meta["weights_sha256"]["video"] = "ab" * 32
    found = report(tmp_path, arrays | {"meta": np.array(json.dumps(meta))})
    assert "video weights abababababab" in str(found)
    assert "--weights-video" in str(found)
    assert not found.ok


def test_files_that_are_no_vectors_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", allow_pickle=False, numbers=np.arange(3))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04nothing")
    (tmp_path / "notes.txt").write_text("nothing")
    broken, other = run_all(tmp_path)
    assert not broken.ok
    assert "broken.npz  file FAIL (cannot be read" in str(broken)
    assert other.ok
    assert str(other) == "other.npz  skipped: no vector, it has no array `meta`"


@pytest.mark.parametrize("files", [(), ("a.txt",)])
def test_a_folder_without_vectors_is_an_error(files: tuple[str, ...], tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(UserError, match="holds no golden vector"):
        run(folder=tmp_path)
    with pytest.raises(UserError, match="there is no folder"):
        run(folder=tmp_path / "absent")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (
            {"x__bytes1": np.zeros(9, np.uint8), "x__sym0": np.zeros(2, int), "x__idx0": np.array([0, 3000])},
            "do not fit",
        ),
        ({"x__bytes1": np.zeros(9, np.uint8), "x__sym0": np.array([300]), "x__idx0": np.array([0])}, "do not fit"),
        ({"x__bytes1": np.zeros(9, np.uint8)}, "it has no symbols"),
        ({"gaussian_cdf": np.zeros((128, 19), int)}, "makes no sense"),
    ],
)
def test_a_vector_that_makes_no_sense_does_not_keep_others_from_their_turn(
    arrays: dict[str, Any], said: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    (tmp_path / "b.npz").symlink_to(VECTORS / "rans_vectors.npz")
    broken, whole = run_all(tmp_path)
    assert said in str(broken)
    assert not broken.ok
    assert whole.ok
