"""`latentcast bench speed` as a whole, on one engine at a small size: tables, JSON, Markdown, plot."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.speed import candidates, command, run
from bench.speed.candidates import choose_candidates
from bench.speed.growth import GrowthPoint
from bench.speed.plot import SIZE, Curve, plot_growth
from bench.speed.roofline import Ceilings
from bench.speed.stages import measure
from latentcast.errors import UserError

CEILINGS = Ceilings(20.0, {"float32": 50.0, "bfloat16": 100.0}, {"copy": "x", "float32": "y", "bfloat16": "z"})


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "NANO_SIZES", ((64, 64), (96, 80)))
    monkeypatch.setattr(command, "measure_ceilings", lambda: CEILINGS)


@pytest.fixture
def document(small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    run(
        size=(96, 64),
        frames=20,
        qp=32,
        engines=["onnx"],
        quick=True,
        intra=True,
        json=tmp_path / "speed.json",
        markdown=tmp_path / "speed.md",
        plot=tmp_path / "speed.png",
    )
    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")
    markdown = (tmp_path / "speed.md").read_text()
    assert "![time against picture size](speed.png)" in markdown
    shown = capsys.readouterr().out
    # The first table is the short answer.
    assert shown.lstrip().startswith("nano ")
    for title in ("ceilings of this machine", "stages, ms a frame", "encode P frames 96x64", "decode I frames 96x64"):
        assert title in shown
        assert title in markdown
    assert max(map(len, shown.splitlines())) <= 100
    assert "…" not in shown
    found: dict[str, Any] = json.loads((tmp_path / "speed.json").read_text())
    return found


def test_the_file_says_everything_that_was_shown(document: dict[str, Any]) -> None:
    assert set(document) == {
        *("format", "latentcast", "machine", "qp", "speed", "entropy", "ceilings", "engines", "missing"),
    }
    assert document["speed"]["encode"]["total"] > 0
    assert document["speed"]["width"] == 96
    assert {part["name"] for part in document["entropy"]} >= {"scale path, both sides", "rANS decode, y"}
    assert document["ceilings"]["copy_gb_s"] == 20.0
    (engine,) = document["engines"]
    assert (engine["profile"], engine["engine"], engine["precision"]) == ("nano", "onnx", "float32")
    assert (engine["device"], engine["weights"]) == ("cpu", "shipped")
    assert engine["stages"]["decode"]["total"] > 0
    assert [(each["side"], each["frame"]) for each in engine["networks"]] == [
        *(("encode", "P"), ("decode", "P"), ("encode", "I"), ("decode", "I")),
    ]
    assert [(point["width"], point["height"]) for point in engine["growth"]] == [(64, 64), (96, 80)]


def test_modules_add_up_to_their_network(document: dict[str, Any]) -> None:
    fields = {
        *("name", "ms", "macs", "least_bytes", "moved_bytes", "gmac_s", "moved_gb_s", "limit_ms", "of_limit"),
    }
    for network in document["engines"][0]["networks"]:
        modules, total = network["modules"], network["total"]
        assert all(set(module) == fields for module in modules)
        assert sum(module["ms"] for module in modules) == pytest.approx(total["ms"], rel=1e-3)
        assert sum(module["macs"] for module in modules) == total["macs"] > 0
        for module in modules:
            if module["macs"]:
                limit = max(module["macs"] / 50e6, module["least_bytes"] / 20e6)
                assert module["limit_ms"] == pytest.approx(limit, abs=1e-5)


def test_an_engine_that_cannot_run_is_named_with_the_reason(
    small: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(candidates, "_simd_missing", lambda: "the processor is too old")
    with pytest.raises(UserError, match="none of the engines"):
        run(size=(64, 64), frames=20, qp=32, engines=["simd"], quick=True)
    assert "not measured: nano, simd bfloat16: the processor is too old" in capsys.readouterr().out


def test_what_is_asked_for_is_what_is_measured(tmp_path: Path) -> None:
    assert {(each.profile, each.engine) for each in choose_candidates()} == {
        *(("nano", "simd"), ("nano", "onnx"), ("nano", "torch"), ("dcvc-rt", "torch")),
    }
    assert [each.profile for each in choose_candidates(engines=["torch"])] == ["nano", "dcvc-rt"]
    assert [each.engine for each in choose_candidates(profiles=["dcvc-rt"])] == ["torch"]
    both = (tmp_path / "image", tmp_path / "video")
    assert choose_candidates(profiles=["dcvc-rt"], checkpoints=both)[0].weights == "published"
    assert choose_candidates(profiles=["dcvc-rt"])[0].weights == "synthetic"


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"profiles": ["h264"]}, "no profile 'h264'"),
        ({"engines": ["cuda"]}, "no engine 'cuda'"),
        ({"profiles": ["dcvc-rt"], "engines": ["onnx"]}, "torch only"),
        ({"checkpoints": (Path("image"), None)}, "needs both checkpoints"),
    ],
)
def test_a_choice_that_does_not_fit_is_one_sentence(choice: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        choose_candidates(**choice)


def test_the_short_measurement_stands_alone() -> None:
    speed = measure(size=(64, 64), frames=3, qp=20)
    assert speed.frames == 3
    assert speed.encode.total >= speed.encode.network > 0
    assert speed.scale_path_ms > 0
    assert speed.symbols == 64 * 16


def test_a_plot_of_several_engines_has_its_size(tmp_path: Path) -> None:
    import pygame

    points = [GrowthPoint(160, 96, 1.5, 1.2), GrowthPoint(1280, 720, 80.0, 70.0)]
    plot_growth(tmp_path / "a.png", [Curve("one", points), Curve("two", points[:1])], title="t", subtitle="s")
    assert pygame.image.load(str(tmp_path / "a.png")).get_size() == SIZE
    plot_growth(tmp_path / "b.png", [Curve("none", [])], title="t", subtitle="s")
    with pytest.raises(UserError, match="cannot write"):
        plot_growth(tmp_path / "absent" / "c.png", [Curve("one", points)], title="t", subtitle="s")
