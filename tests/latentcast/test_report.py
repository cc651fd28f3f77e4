"""The report's schema: what is written is what is read, and nothing unknown is."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from latentcast.report import (
    SCHEMA_VERSION,
    STAGES,
    Bitrate,
    Frames,
    Latency,
    LoopLag,
    Machine,
    Memory,
    MemoryUse,
    Percentiles,
    Psnr,
    Qp,
    Report,
    read_report,
    write_report,
)
from latentcast.summary import summary_table

SOME = Percentiles(p50=1.5, p95=2.5, p99=3.5, max=4.5)
MEMORY = Memory(at_5s=100.0, end=101.0, max=102.0)
REPORT = Report(
    latentcast="0.1.0",
    started="2026-01-02T03:04:05+00:00",
    seconds=30.0,
    stream="live",
    profile="nano",
    weights_sha256="a" * 64,
    width=640,
    height=360,
    fps=30.0,
    presenter="headless",
    reconnects=0,
    first_picture_s=1.25,
    frames=Frames(
        captured=900, encoded=899, sent=898, received=897, decoded=896, presented=895, intra=2, damaged=1, lost=1
    ),
    fps_presented=29.8,
    latency_ms=Latency(total=SOME, stages=dict.fromkeys(STAGES, SOME)),
    clock_error_ms=0.2,
    rtt_ms=0.4,
    loop_lag_ms=LoopLag(**SOME.model_dump(), server=SOME, client=SOME),
    bitrate_bps=Bitrate(target=6e5, sent=5.8e5),
    qp=Qp(mean=31.5, min=20, max=44),
    loss=0.001,
    memory_mb=MemoryUse(server=MEMORY, client=MEMORY),
    psnr_y_db=Psnr(mean=33.3, min=30.1, frames=895),
    machine=Machine(cpu="x", cores=2, system="Linux", python="3.11", onnxruntime="1", aiortc="1"),
)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    write_report(tmp_path / "report.json", REPORT)
    assert read_report(tmp_path / "report.json") == REPORT
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["schema_version"] == SCHEMA_VERSION
    assert list(content["latency_ms"]["stages"]) == list(STAGES)
    assert content["loop_lag_ms"]["p99"] == 3.5


def test_a_field_that_the_schema_does_not_know_is_refused(tmp_path: Path) -> None:
    content = json.loads(REPORT.model_dump_json())
    for place in (content, content["frames"], content["latency_ms"]["total"]):
        place["surprise"] = 1
        (tmp_path / "report.json").write_text(json.dumps(content))
        with pytest.raises(ValidationError, match="surprise"):
            read_report(tmp_path / "report.json")
        del place["surprise"]


def test_a_field_that_is_missing_or_negative_is_refused() -> None:
    content = json.loads(REPORT.model_dump_json())
    content["frames"]["lost"] = -1
    del content["qp"]
    with pytest.raises(ValidationError) as caught:
        Report.model_validate(content)
    assert {error["loc"] for error in caught.value.errors()} == {("frames", "lost"), ("qp",)}


def test_the_summary_shows_a_report_with_and_without_its_optional_parts() -> None:
    full = summary_table(REPORT).row_count
    bare = REPORT.model_copy(update={"psnr_y_db": None, "first_picture_s": None})
    assert summary_table(bare).row_count == full - 1
