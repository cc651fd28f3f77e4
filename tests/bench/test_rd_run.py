"""`bench rd` as a whole on a tiny clip: the same tables twice, the files, and what the plots show."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pygame
import pytest
from numpy.typing import NDArray

from bench.rd.command import run
from bench.rd.plots import SIZE, plot_curves, quality_ticks, rate_ticks
from bench.rd.results import ClipResult, CodecCurve, Point, compare, mean_comparisons, mean_curves
from bench.rd.tables import clip_table, comparison_table
from latentcast.errors import UserError
from tests.bench.rd_samples import write_clip, write_coder


def curve(codec: str, rates: tuple[float, ...], psnrs: tuple[float, ...], *, published: bool = False) -> CodecCurve:
    points = tuple(
        Point(
            number,
            rate,
            rate / 1e4,
            psnr,
            psnr + 2,
            psnr + 2,
            psnr + 0.5,
            None if published else 1 - 10 ** (-psnr / 20),
        )
        for number, (rate, psnr) in enumerate(zip(rates, psnrs, strict=True))
    )
    return CodecCurve(codec, "QP", points, published)


def clip_result(name: str, *curves: CodecCurve) -> ClipResult:
    return ClipResult(name, f"{name}.y4m", 640, 360, Fraction(30), 96, 5, curves=list(curves))


RATES, PSNRS = (100.0, 200.0, 400.0, 800.0), (30.0, 33.0, 36.0, 39.0)
ANCHOR = curve("anchor", RATES, PSNRS)
HALF = curve("half", tuple(rate / 2 for rate in RATES), PSNRS)


def test_means_over_clips_and_their_comparison() -> None:
    double = curve("half", tuple(rate * 2 for rate in RATES), PSNRS)
    clips = [clip_result("a", ANCHOR, HALF), clip_result("b", ANCHOR, double)]
    mean = mean_curves(clips)
    assert [point.kbps for point in mean[1].points] == pytest.approx([1.25 * rate for rate in RATES])
    compared = mean_comparisons([compare(clip, "anchor") for clip in clips])
    assert compared[0].rate_psnr_y == pytest.approx((100 - 50) / 2)
    assert compared[0].clips == (2, 2, 2, 2)


def test_a_codec_that_is_missing_on_a_clip_has_no_mean_curve_and_its_figures_say_so() -> None:
    clips = [clip_result("a", ANCHOR, HALF), clip_result("b", ANCHOR)]
    assert [one.codec for one in mean_curves(clips)] == ["anchor"]
    assert mean_comparisons([compare(clip, "anchor") for clip in clips])[0].clips == (1, 1, 1, 1)


def test_a_published_curve_is_compared_but_for_what_it_lacks() -> None:
    clip = clip_result("a", ANCHOR, curve("published", RATES, PSNRS, published=True))
    row = compare(clip, "anchor")[0]
    assert row.rate_psnr_611.value == pytest.approx(0, abs=1e-9)
    assert row.rate_ms_ssim.value is None
    table = comparison_table("anchor", [("a", [row])], [])
    assert "published on a: published has no such figure" in table.notes
    assert table.rows == [("a", "published", "+0.0", "+0.0", "-", "+0.00", "30.5 to 39.5")]


def test_tables_in_markdown() -> None:
    text = clip_table(clip_result("a", ANCHOR)).markdown().splitlines()
    assert text[0] == "## a: 640x360, 30 fps, 96 frames"
    assert text[2].startswith("| codec | point | kbit/s |")
    assert text[4].startswith("| anchor | QP 0 | 100.0 | 0.0100 | 30.00 |")
    assert {line.count("|") for line in text[2:8]} == {11}


def test_ticks_are_round_and_inside() -> None:
    assert rate_ticks(40, 900) == [50, 70, 100, 150, 200, 300, 500, 700]
    assert rate_ticks(4, 90_000) == [10, 100, 1000, 10_000]
    assert quality_ticks(27.2, 41.9) == [28, 30, 32, 34, 36, 38, 40]


def pixels(path: Path) -> NDArray[np.int16]:
    return pygame.surfarray.array3d(pygame.image.load(path)).swapaxes(0, 1).astype(np.int16)


def amount(page: NDArray[np.int16], colour: tuple[int, int, int], columns: slice) -> int:
    """Pixels of this colour in the plots, below the legend."""
    return int((np.abs(page[150:, columns] - np.array(colour)).max(axis=-1) <= 6).sum())


RED, BLUE = (204, 51, 17), (0, 119, 187)


def test_a_plot_holds_every_curve(tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    left, right = slice(70, 690), slice(760, 1380)
    plot_curves(path, [ANCHOR, curve("published", RATES, PSNRS, published=True)], title="clip", subtitle="96 frames")
    page = pixels(path)
    assert page.shape == (SIZE[1], SIZE[0], 3)
    # Both have the same points: the first hides the second, but where that is not measured.
    assert amount(page, RED, left) > 800
    assert amount(page, RED, right) > 800
    assert amount(page, BLUE, right) == 0
    plot_curves(path, [ANCHOR, HALF], title="clip", subtitle="96 frames")
    page = pixels(path)
    assert amount(page, BLUE, left) > 800
    # The axes reach to the lowest rate of all curves: nothing runs out of a plot.
    assert amount(page, BLUE, slice(0, 70)) == 0


def test_a_plot_without_points_is_drawn_too(tmp_path: Path) -> None:
    plot_curves(tmp_path / "plot.png", [], title="clip", subtitle="")
    assert pixels(tmp_path / "plot.png").shape == (SIZE[1], SIZE[0], 3)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_a_run_repeats_itself_and_writes_its_files(
    tmp_path: Path, output: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["latentcast", "bench", "rd", "a clip.yuv"])
    clips = [write_clip(tmp_path), write_clip(tmp_path, name="other_96x64_25", frames=18)]
    texts, shown = [], []
    for number in range(2):
        run(
            clips=clips,
            codecs=("x264:ultrafast@20,28,36,44",),
            externals=(write_coder(tmp_path),),
            frames=17,
            points=(0, 63),
            anchor="x264",
            json=output / f"{number}.json",
            markdown=output / "rd.md",
            plots=output / "plots",
        )
        texts.append((output / "rd.md").read_text())
        shown.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert shown[0] == shown[1]
    assert "latentcast bench rd 'a clip.yuv'" in texts[0]
    assert "![mean](plots/mean.png)" in texts[0]
    assert "nano on moving_96x64_30: the codec has 2 points, 4 are needed" in texts[0]
    assert sorted(path.name for path in (output / "plots").iterdir()) == [
        "mean.png",
        "moving_96x64_30.png",
        "other_96x64_25.png",
    ]
    result = json.loads((output / "0.json").read_text())
    assert [codec["name"] for codec in result["codecs"]] == ["nano", "x264 ultrafast", "bit dropper"]
    assert [clip["frames"] for clip in result["clips"]] == [17, 17]
    nano = result["clips"][1]["curves"][0]["points"]
    assert nano[0]["size_bytes"] < nano[1]["size_bytes"]
    assert nano[0]["psnr_611"] < nano[1]["psnr_611"]
    assert nano[0]["kbps"] == pytest.approx(8 * nano[0]["size_bytes"] * 25 / 17 / 1000)
    assert {"cpu", "cores"} <= set(result["machine"])
    assert result["libraries"]["pyav"]


def test_a_run_with_a_failing_codec_writes_the_rest_and_then_says_so(tmp_path: Path, output: Path) -> None:
    with pytest.raises(UserError, match="bit dropper on moving_96x64_30: the command"):
        run(
            clips=[write_clip(tmp_path)],
            profiles=("none",),
            codecs=("x264@30,40",),
            externals=(write_coder(tmp_path, decode="fail"),),
            markdown=output / "rd.md",
        )
    text = (output / "rd.md").read_text()
    assert "| x264 veryfast | QP 30 |" in text
    assert "* left out: bit dropper on moving_96x64_30" in text


def test_a_sequence_with_a_published_curve_is_compared_with_it(tmp_path: Path, output: Path) -> None:
    path = tmp_path / "BlowingBubbles_416x240_50.yuv"
    path.write_bytes(np.random.default_rng(1).integers(60, 190, 2 * 416 * 240 * 3 // 2, dtype=np.uint8).tobytes())
    run(clips=[path], profiles=("none",), codecs=("x264@20,30,40,51",), anchor="vtm", markdown=output / "rd.md")
    text = (output / "rd.md").read_text()
    assert "| VTM-17.0 (published) | QP 22 |" in text
    assert "the published curve is over 500 frames, 2 were measured here" in text
    assert "against VTM-17.0 (published)" in text


def test_clips_that_are_not_there_are_known_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file"):
        run(clips=[tmp_path / "none.mp4"])
