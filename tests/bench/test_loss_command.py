"""`bench loss` as a whole on a tiny film: tables, files, the plot, and the same again."""

import json
from pathlib import Path

import pygame
import pytest

from bench.loss.command import parse_losses, run
from bench.loss.plot import SIZE, plot_curves
from bench.loss.quality import Watched
from bench.loss.results import curves
from bench.loss.series import ALL_SERIES, Run, Series
from bench.loss.tables import all_tables
from latentcast.errors import UserError
from tests.bench.rd_samples import write_clip


def one_run(series: Series, loss: float, psnrs: tuple[float, ...], *, shown: tuple[bool, ...], clip: str = "a") -> Run:
    return Run(series, loss, clip, 1, 10.0, Watched(psnrs, shown, (0.05,) * sum(shown)), 10, 5000, 1000, 500, 3)


def test_points_are_over_all_films() -> None:
    runs = [
        one_run(Series("nano", "none"), 0.1, (30.0, 32.0), shown=(True, True)),
        one_run(Series("nano", "none"), 0.1, (20.0, 22.0), shown=(False, False), clip="b"),
    ]
    (curve,) = curves(runs)
    (point,) = curve.points
    assert point.psnr_y == pytest.approx(26)
    assert point.in_time == 0.5
    assert point.longest_freeze_ms == pytest.approx(200)
    assert point.kbps == pytest.approx(10_000 * 8 / 0.4 / 1000)
    assert (point.parity, point.resent) == pytest.approx((0.2, 0.1))
    assert point.intra_frames == pytest.approx(60 * 4 / 0.4)


def test_the_tables_have_a_row_for_each_series() -> None:
    runs = [
        one_run(series, loss, (30.0 - 50 * loss,), shown=(loss < 0.2,)) for series in ALL_SERIES for loss in (0.0, 0.2)
    ]
    tables = all_tables(curves(runs))
    assert tables[0].columns == ("loss", "0 %", "20 %")
    assert tables[0].rows[0] == ("nano, parity and NACK", "30.00", "20.00")
    assert tables[1].rows[-1] == ("x264 held, no repair", "100.0", "0.0")
    assert [len(row) for row in tables[-1].rows] == [len(tables[-1].columns)] * 18
    assert tables[-1].rows[1][4] == "-", "no picture in time has no delay"


def test_the_plot_holds_every_codec_and_nothing_is_drawn_without_points(tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    runs = [
        one_run(series, loss, (30.0 + number - 50 * loss,) * 9, shown=tuple(n >= number * (loss > 0) for n in range(9)))
        for number, series in enumerate(ALL_SERIES)
        for loss in (0.0, 0.2)
    ]
    plot_curves(path, curves(runs), title="loss", subtitle="")
    page = pygame.surfarray.array3d(pygame.image.load(path)).swapaxes(0, 1).astype(int)
    assert page.shape == (SIZE[1], SIZE[0], 3)
    for colour in ((204, 51, 17), (0, 119, 187), (0, 153, 136)):
        for panel in (slice(70, 490), slice(550, 980), slice(1030, 1460)):
            assert (abs(page[200:, panel] - colour).max(axis=-1) <= 6).sum() > 200
    plot_curves(path, [], title="loss", subtitle="")
    assert pygame.image.load(path).get_size() == SIZE


def test_a_run_repeats_itself_and_writes_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["latentcast", "bench", "loss"])
    clip = write_clip(tmp_path, frames=8)
    texts, shown = [], []
    for _ in range(2):
        run(
            clips=[clip],
            size=(96, 64),
            seconds=0.4,
            warm_up_s=0.2,
            rate_bps=120_000,
            losses=(0.2, 0.0),
            json=tmp_path / "loss.json",
            markdown=tmp_path / "loss.md",
            plot=tmp_path / "loss.png",
            jobs=1,
        )
        texts.append((tmp_path / "loss.md").read_text())
        shown.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert shown[0] == shown[1]
    assert "## Pictures shown in time, %" in texts[0]
    assert "![quality against loss](loss.png)" in texts[0]
    assert pygame.image.load(tmp_path / "loss.png").get_size() == SIZE
    document = json.loads((tmp_path / "loss.json").read_text())
    assert [curve["name"] for curve in document["curves"]] == [series.name for series in ALL_SERIES]
    assert [point["loss"] for point in document["curves"][0]["points"]] == [0.0, 0.2]
    assert document["curves"][0]["points"][0]["in_time"] == 1.0
    assert len(document["runs"]) == 2 * len(ALL_SERIES)
    assert {run["pictures"] for run in document["runs"]} == {12}


def test_what_cannot_be_measured_is_said_at_once(tmp_path: Path) -> None:
    assert parse_losses("0,2.5, 30") == (0.0, 0.025, 0.3)
    assert parse_losses(None) == ()
    with pytest.raises(UserError, match="the losses '1;2' were not understood"):
        parse_losses("1;2")
    with pytest.raises(UserError, match="a loss of 100 %"):
        run(losses=(1.0,))
    with pytest.raises(UserError, match="a loss of nan %"):
        run(losses=parse_losses("nan"))
    with pytest.raises(UserError, match="there is no file"):
        run(clips=[tmp_path / "none.mp4"])
