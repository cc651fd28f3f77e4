"""Whole files of the paper's format from and to video, with checkpoints from disk."""

import io
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

pytest.importorskip("torch", reason="torch is not installed: pip install torch")

import torch

from codec.colour import ycbcr_to_rgb
from codec.dcvc_rt.files import decode_file, encode_file
from codec.dcvc_rt.models import Models, parse_skip_threshold
from codec.dcvc_rt.pictures import Source, open_output
from codec.dcvc_rt.planes import mean_chroma, picture_to_rgb, psnr, repeat_chroma, rgb_to_planes, to_420
from codec.dcvc_rt.sequence import Schedule
from codec.dcvc_rt.units import UnitReader
from codec.files import profile_of
from codec.raw_video import PlanarWriter
from codec.video_io import create_video
from latentcast.errors import UserError
from tests.codec.dcvc_rt_samples import GOLDEN_NAMES, clip, encode, golden, golden_meta, models
from tests.codec.samples import Planes, moving_picture

FPS = Fraction(25)


def quiet(items: Iterable[Any], *, total: int | None = None) -> Iterator[Any]:
    return iter(items)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Both models as files, 266 MB."""
    folder = tmp_path_factory.mktemp("checkpoints")
    paths = folder / "image.pth.tar", folder / "video.pth.tar"
    for path, model in zip(paths, (models().image, models().video), strict=True):
        torch.save({"state_dict": model.state_dict()}, path)
    return paths


def write_420(path: Path, pictures: list[tuple[Any, Any]]) -> None:
    height, width = pictures[0][0].shape
    with PlanarWriter(path, width=width, height=height, fps=FPS) as writer:
        for luma, chroma in pictures:
            writer.write(luma, chroma)


def unit(planes: Planes) -> NDArray[np.float32]:
    """Code values as the network puts them out."""
    return (planes / 255).astype(np.float32)


def golden_pictures(name: str) -> list[tuple[Any, Any]]:
    arrays = golden(name)
    return list(zip(arrays["in_y"], arrays["in_uv"], strict=True))


@pytest.mark.parametrize("suffix", [".y4m", ".yuv"])
def test_a_video_becomes_the_golden_file_and_comes_back(
    suffix: str, checkpoints: tuple[Path, Path], tmp_path: Path
) -> None:
    name = "golden_160x96_qp33_reset3.npz"
    both = Models.open(*checkpoints, skip_threshold=0.12)
    source, coded, back = tmp_path / f"in{suffix}", tmp_path / "a.bin", tmp_path / f"out{suffix}"
    write_420(source, golden_pictures(name))
    summary = encode_file(
        source,
        coded,
        models=both,
        schedule=Schedule(33, reset_interval=3),
        size=(160, 96) if suffix == ".yuv" else None,
        progress=quiet,
    )
    assert coded.read_bytes() == golden(name)["file_ec0"].tobytes()
    assert (summary.frames, summary.bytes) == (5, coded.stat().st_size)
    assert profile_of(coded) == "dcvc-rt"
    decoded = decode_file(coded, back, models=both, fps=FPS, reference=source, progress=quiet)
    assert decoded.psnr_yuv_db == pytest.approx(summary.psnr_yuv_db)
    assert decoded.psnr_y_db == pytest.approx(summary.psnr_y_db)
    assert "(6Y+U+V)/8" in str(decoded)
    with Source(back, size=(160, 96)) as video:
        found = [picture.planes for picture in video.pictures()]
    expected = [repeat_chroma(*to_420(picture)) for picture in golden(name)["rec"]]
    # The golden pictures are right to 1e-4 of a code value or so, and chroma is truncated.
    assert np.abs(np.stack(found).astype(int) - np.stack(expected)).max() <= 1
    assert np.mean(np.stack(found) != np.stack(expected)) < 1e-3
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.bin", f"in{suffix}", f"out{suffix}"])


@pytest.mark.parametrize("name", GOLDEN_NAMES[:1])
def test_two_streams_can_be_forced(name: str, tmp_path: Path) -> None:
    meta = golden_meta(name)
    write_420(tmp_path / "in.y4m", golden_pictures(name)[:2])
    encode_file(
        tmp_path / "in.y4m",
        tmp_path / "a.bin",
        models=models(meta["force_zero_thres"]),
        schedule=Schedule(meta["qp"], reset_interval=meta["reset_interval"]),
        two_streams=True,
        verify=False,
        progress=quiet,
    )
    data = (tmp_path / "a.bin").read_bytes()
    assert golden(name)["file_ec1"].tobytes().startswith(data)


@pytest.mark.parametrize("target", ["a.mp4", "pictures", "p_%03d.png", "a.y4m", "a.yuv"])
def test_every_output_holds_the_pictures(target: str, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(encode(clip(37, 21, 2), Schedule(60)))
    path = tmp_path / target
    decode_file(tmp_path / "a.bin", path, models=models(), progress=quiet)
    if target.endswith("png"):
        path = tmp_path / "p_%03d.png"
    elif not path.suffix:
        path = path / "%05d.png"
    with Source(path, size=(37, 21) if target == "a.yuv" else None) as video:
        assert len(list(video.pictures())) == 2
        # H.264 has even sizes.
        assert (video.width, video.height) == ((38, 22) if target == "a.mp4" else (37, 21))


def test_444_on_demand(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(encode(clip(18, 16, 1), Schedule(60)))
    decode_file(tmp_path / "a.bin", tmp_path / "a.y4m", models=models(), chroma="444", progress=quiet)
    data = (tmp_path / "a.y4m").read_bytes()
    header, _, rest = data.partition(b"\n")
    assert b" C444" in header
    assert len(rest) == len("FRAME\n") + 3 * 18 * 16


def test_the_range_decides_what_pictures_look_like(tmp_path: Path) -> None:
    """Limited-range white is white in PNG only where that is said; .y4m keeps code values and says what it was told."""
    picture = np.stack([np.full((16, 16), 235 / 255), *[np.full((16, 16), 128 / 255)] * 2]).astype(np.float32)
    for full_range, expected in ((True, 235), (False, 255)):
        output = open_output(tmp_path / "p_%d.png", width=16, height=16, fps=FPS, full_range=full_range)
        output.write(picture)
        with av.open(str(tmp_path / "p_0.png")) as container:
            rgb = next(container.decode(video=0)).to_ndarray(format="rgb24")
        assert np.abs(rgb.astype(int) - expected).max() <= 1
        y4m = open_output(tmp_path / "a.y4m", width=16, height=16, fps=FPS, full_range=full_range)
        y4m.write(picture)
        y4m.close()
        data = (tmp_path / "a.y4m").read_bytes()
        assert (b"FULL" if full_range else b"LIMITED") in data.split(b"\n")[0]
        assert data.split(b"FRAME\n")[1][0] == 235


def written(path: Path, planes: np.ndarray[Any, Any], pixel_format: str) -> Path:
    """One picture, lossless, in some pixel format; planes: 4:4:4 code values, or RGB (h, w, 3)."""
    source = "rgb24" if planes.ndim == 3 and planes.shape[2] == 3 else "yuv444p"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format=source)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = frame.height, frame.width, pixel_format
        # One thread: with several, swscale now and then spoils a few pixels where slices of a small picture meet.
        container.mux(stream.encode(VideoReformatter().reformat(frame, format=pixel_format, threads=1)))
        container.mux(stream.encode(None))
    return path


def test_444_keeps_its_chroma_and_its_range(tmp_path: Path) -> None:
    planes = moving_picture(40, 24, 1)
    with Source(written(tmp_path / "a.mkv", planes, "yuv444p")) as video:
        (picture,) = video.pictures()
    assert not picture.subsampled
    assert (picture.planes == planes).all()


def test_ten_bits_become_eight(tmp_path: Path) -> None:
    planes = moving_picture(40, 24, 1)
    with Source(written(tmp_path / "a.mkv", planes, "yuv420p10le")) as video:
        (picture,) = video.pictures()
    assert picture.subsampled
    assert np.abs(picture.planes[0].astype(int) - planes[0]).max() <= 1


def test_rgb_becomes_full_range_bt709(tmp_path: Path) -> None:
    rgb = ycbcr_to_rgb(moving_picture(40, 24, 1))
    with Source(written(tmp_path / "a.mkv", rgb, "bgr0")) as video:
        (picture,) = video.pictures()
    assert (picture.planes == rgb_to_planes(rgb)).all()
    assert np.abs(picture_to_rgb(unit(picture.planes)).astype(int) - rgb).max() <= 2


def test_another_size_is_fitted_on_black(tmp_path: Path) -> None:
    write_420(tmp_path / "a.y4m", golden_pictures(GOLDEN_NAMES[1])[:1])
    with Source(tmp_path / "a.y4m", size=(80, 80)) as video:
        (picture,) = video.pictures()
    assert picture.planes.shape == (3, 80, 80)
    assert (picture.planes[0, :15] == 16).all()
    assert (picture.planes[1:, :15] == 128).all()
    assert picture.planes[0, 20:60].std() > 5


@pytest.mark.parametrize(
    ("rgb", "planes"), [((0, 0, 0), (0, 128, 128)), ((255, 255, 255), (255, 128, 128)), ((255, 0, 0), (54, 98, 255))]
)
def test_the_formulas_of_rgb(rgb: tuple[int, int, int], planes: tuple[int, int, int]) -> None:
    assert tuple(rgb_to_planes(np.array([[rgb]], np.uint8))[:, 0, 0]) == planes


def test_luma_is_rounded_and_chroma_truncated() -> None:
    picture = np.stack([np.full((2, 2), 100.6), np.full((2, 2), 100.6), np.full((2, 2), 100.4)]) / 255
    luma, chroma = to_420(picture.astype(np.float32))
    assert luma.tolist() == [[101, 101], [101, 101]]
    assert chroma.ravel().tolist() == [100, 100]


def test_chroma_of_odd_sizes() -> None:
    chroma = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
    assert mean_chroma(chroma)[0].tolist() == [[2.0, 3.5], [6.5, 8.0]]
    luma = np.zeros((3, 3), np.uint8)
    half = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    assert repeat_chroma(luma, half)[1].tolist() == [[0, 0, 1], [0, 0, 1], [2, 2, 3]]


def test_psnr_is_of_unrounded_values() -> None:
    planes = repeat_chroma(np.full((4, 4), 100, np.uint8), np.full((2, 2, 2), 50, np.uint8))
    picture = unit(planes)
    assert min(psnr(planes, picture, subsampled=True)) > 99
    picture[0] += 0.25 / 255
    y, yuv = psnr(planes, picture, subsampled=True)
    assert y == pytest.approx(20 * np.log10(255 / 0.25), abs=1e-2)
    assert yuv == pytest.approx((6 * y + 200) / 8, abs=1e-2)


def refused(message: str, *, file: bytes, tmp_path: Path, target: str = "a.y4m", **options: Any) -> None:
    (tmp_path / "bad.bin").write_bytes(file)
    with pytest.raises(UserError, match=message) as caught:
        decode_file(tmp_path / "bad.bin", tmp_path / target, models=models(), progress=quiet, **options)
    assert "\n" not in str(caught.value)


def test_a_damaged_file_says_where_and_leaves_what_was_whole(tmp_path: Path) -> None:
    data = encode(clip(16, 16, 3), Schedule(30))
    last = list(UnitReader(io.BytesIO(data)))[-1]
    at = last.payload_offset - 1
    refused(
        rf"at byte {at}: .* left\. It is damaged or cut short\. .*a\.y4m holds the 2 pictures before it\.$",
        file=data[:-5],
        tmp_path=tmp_path,
    )
    with Source(tmp_path / "a.y4m") as video:
        assert len(list(video.pictures())) == 2


def one_then_ctrl_c(items: Iterable[Any], *, total: int | None = None) -> Iterator[Any]:
    yield next(iter(items))
    raise KeyboardInterrupt


@pytest.mark.parametrize("target", ["a.y4m", "a.yuv", "a.mp4"])
def test_an_interrupted_decode_leaves_nothing(target: str, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(encode(clip(16, 16, 2), Schedule(30)))
    with pytest.raises(KeyboardInterrupt):
        decode_file(tmp_path / "a.bin", tmp_path / target, models=models(), progress=one_then_ctrl_c)
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_files_that_are_none_are_one_sentence(tmp_path: Path) -> None:
    data = encode(clip(16, 16, 1), Schedule(30))
    refused(r"at byte 0: the file holds no picture; .* It is damaged or cut short\.$", file=b"", tmp_path=tmp_path)
    refused("at byte 0: a unit of the reserved type 4", file=b"LCVF", tmp_path=tmp_path)
    refused("expected .y4m, .yuv, .mp4", file=data, tmp_path=tmp_path, target="a.avi")
    refused("made with other checkpoints, another --skip-threshold", file=data[:-1] + b"\xff", tmp_path=tmp_path)
    larger = encode(clip(32, 16, 1), Schedule(30))
    refused(
        r"its size changes .* cannot hold\. .*y4m holds the 1 picture before it", file=data + larger, tmp_path=tmp_path
    )
    with pytest.raises(UserError, match="cannot be read"):
        decode_file(tmp_path / "absent", tmp_path / "a.y4m", models=models(), progress=quiet)
    assert profile_of(tmp_path / "bad.bin") == "dcvc-rt"
    (tmp_path / "text").write_text("hello")
    for path in ("text", "absent"):
        with pytest.raises(UserError):
            profile_of(tmp_path / path)


def test_a_reference_of_another_size_is_one_sentence(tmp_path: Path) -> None:
    writer = create_video(tmp_path / "ref.y4m", width=20, height=16, fps=FPS)
    writer.write(moving_picture(20, 16, 0))
    writer.close()
    data = encode(clip(16, 16, 1), Schedule(30))
    refused("has pictures of 20x16", file=data, tmp_path=tmp_path, reference=tmp_path / "ref.y4m")


def test_what_cannot_be_coded_is_one_sentence(tmp_path: Path) -> None:
    def code(source: Path, target: Path, **options: Any) -> None:
        encode_file(source, target, models=models(), schedule=Schedule(30), progress=quiet, **options)

    write_420(tmp_path / "a.y4m", [(np.zeros((2, 4098), np.uint8), np.zeros((2, 1, 2049), np.uint8))])
    with pytest.raises(UserError, match="a picture of 4098x2 cannot be coded"):
        code(tmp_path / "a.y4m", tmp_path / "a.bin")
    with pytest.raises(UserError, match="does not say how large"):
        code(tmp_path / "a.yuv", tmp_path / "a.bin")
    (tmp_path / "a.yuv").write_bytes(bytes(100))
    with pytest.raises(UserError, match="ends inside picture 0"):
        code(tmp_path / "a.yuv", tmp_path / "a.bin", size=(16, 16))
    with pytest.raises(UserError, match=r"cannot be written .*; check the folder and the space left"):
        code(tmp_path / "a.yuv", tmp_path / "absent" / "a.bin", size=(4, 4))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.y4m", "a.yuv"]


def test_checkpoints_have_to_be_given() -> None:
    with pytest.raises(UserError, match="--weights-image"):
        Models.open(None, None, skip_threshold=None)


def test_skip_thresholds() -> None:
    assert parse_skip_threshold("0.12") == 0.12
    assert parse_skip_threshold(" None ") is None
    for text in ("", "nan", "-1", "17", "twelve"):
        with pytest.raises(UserError, match="was not understood"):
            parse_skip_threshold(text)
