"""Timestamps into stages, and stages into the report."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.measurement import Measurement, Session
from client.picture import Picture
from client.receiver import Counts
from client.timeline import Timeline
from latentcast.capture_ring import CaptureRing
from latentcast.control import Config, Stats
from latentcast.report import STAGES, Percentiles, Report, read_report

WIDTH, HEIGHT = 64, 64
CONFIG = Config(epoch=0, stream="live", profile="nano", weights="a" * 64, width=WIDTH, height=HEIGHT, fps=30)
NO_LAG = Percentiles(p50=0, p95=0, p99=0, max=0)
CLIENT_LAG = Percentiles(p50=0.5, p95=1, p99=2, max=9)
START_US = 5_000_000_000
OFFSET_US = -123_456
"""Server clock minus ours."""


def stats(**changes: object) -> Stats:
    fields: dict[str, object] = {
        "captured": 30,
        "encoded": 29,
        "sent": 28,
        "packets": 100,
        "bytes": 50_000,
        "seconds": 1.0,
        "target_bps": 5e5,
        "target_mean_bps": 4e5,
        "loss": 0.0,
        "queue_delay_ms": 0.0,
        "loop_lag_ms": Percentiles(p50=0.1, p95=1, p99=3, max=4),
        "memory_mb": 100.0,
    }
    return Stats.model_validate(fields | changes)


def picture(frame_id: int, *, level: int = 100) -> Picture:
    """Captured every 33 ms; 1 ms waiting, 10 encoding, 4 sending, 2 on the way, 0.5 queued, 8 decoding."""
    captured = START_US + OFFSET_US + frame_id * 33_000
    ours = captured - OFFSET_US
    timeline = Timeline(
        captured_us=captured,
        encode_started_us=captured + 1_000,
        encoded_us=captured + 11_000,
        sent_us=captured + 15_000,
        received_us=ours + 17_000,
        decode_started_us=ours + 17_500,
        decoded_us=ours + 25_500,
    )
    planes = np.full((3, HEIGHT, WIDTH), level, np.uint8)
    return Picture(frame_id, planes, timeline, qp=20 + frame_id % 8, intra=frame_id == 0)


def present(measurement: Measurement, frame_id: int, *, level: int = 100) -> None:
    shown = picture(frame_id, level=level)
    # Shown 1 ms after it was decoded; every tenth one 20 ms later than that.
    shown_us = shown.timeline.decoded_us + 1_000 + 20_000 * (frame_id % 10 == 9)
    measurement.on_presented(shown, presented_us=shown_us, offset_us=OFFSET_US, clock_error_us=250, rtt_us=900)


def finish(measurement: Measurement, folder: Path) -> Report:
    return measurement.finish(folder, config=CONFIG, client_lag=CLIENT_LAG, presenter="headless")


@given(st.lists(st.integers(0, 2**40), min_size=8, max_size=8), st.integers(-(2**40), 2**40))
def test_the_stages_of_a_frame_add_up_to_its_total_exactly(times: list[int], offset_us: int) -> None:
    timeline = Timeline(*times[:7])
    stages = timeline.stages_ms(presented_us=times[7], offset_us=offset_us)
    assert tuple(stages) == STAGES
    microseconds = [round(stage * 1000) for stage in stages.values()]
    assert sum(microseconds) == times[7] + offset_us - times[0]


def test_the_report_says_what_was_presented(tmp_path: Path) -> None:
    measurement = Measurement(started=START_US / 1e6 - 1.5, ring_path=None, psnr=False)
    for frame_id in range(40):
        present(measurement, frame_id)
    counts = Counts(packets=95, bytes=45_000, received=28, decoded=27, intra=1, damaged=1, lost=1)
    measurement.add_session(Session(stats(), counts, 0.05, 100))
    report = finish(measurement, tmp_path / "new" / "folder")
    assert read_report(tmp_path / "new" / "folder" / "report.json") == report
    assert list(report.latency_ms.stages) == list(STAGES)
    medians = {name: stage.p50 for name, stage in report.latency_ms.stages.items()}
    assert medians == {
        "wait": 1,
        "encode": 10,
        "send": 4,
        "network": 2,
        "queue": 0.5,
        "decode": 8,
        "present": 1,
    }
    assert report.latency_ms.total.p50 == pytest.approx(26.5)
    assert report.latency_ms.total.max == pytest.approx(46.5)
    assert report.fps_presented == pytest.approx(39 / (39 * 0.033 + 0.02), rel=1e-3)
    assert (report.frames.captured, report.frames.encoded, report.frames.sent) == (30, 29, 28)
    assert (report.frames.decoded, report.frames.presented, report.frames.lost) == (27, 40, 1)
    assert report.bitrate_bps.sent == 400_000
    assert report.bitrate_bps.target == 400_000
    assert report.loss == 0.05
    assert (report.qp.min, report.qp.max) == (20, 27)
    assert report.clock_error_ms == 0.25
    assert report.rtt_ms == 0.9
    assert report.loop_lag_ms.p99 == 3, "the worse of the two ends"
    assert report.loop_lag_ms.max == 9
    assert report.loop_lag_ms.client == CLIENT_LAG
    assert report.first_picture_s == pytest.approx(1.5265, abs=1e-3)
    assert report.psnr_y_db is None
    assert (tmp_path / "new" / "folder" / "latency.png").read_bytes().startswith(b"\x89PNG")


def test_every_line_of_frames_csv_adds_up(tmp_path: Path) -> None:
    measurement = Measurement(started=START_US / 1e6, ring_path=None, psnr=False)
    for frame_id in range(12):
        present(measurement, frame_id)
    measurement.add_session(Session(stats(), Counts(), 0.0, 0))
    finish(measurement, tmp_path)
    with (tmp_path / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(12))
    for row in rows:
        captured_us = START_US + int(row["frame"]) * 33_000
        total = sum(float(row[f"{name}_ms"]) for name in STAGES)
        assert total == pytest.approx((int(row["presented_us"]) - captured_us) / 1e3)
        assert int(row["captured_us"]) - int(row["offset_us"]) == captured_us


def test_connections_after_each_other_are_counted_together(tmp_path: Path) -> None:
    measurement = Measurement(started=START_US / 1e6, ring_path=None, psnr=False)
    present(measurement, 0)
    present(measurement, 1)
    measurement.add_session(Session(stats(seconds=1.0, bytes=10_000), Counts(packets=90, decoded=9), 0.1, 100))
    measurement.add_session(Session(stats(seconds=3.0, bytes=30_000), Counts(packets=300, decoded=20), 0.0, 300))
    report = finish(measurement, tmp_path)
    assert report.frames.captured == 60
    assert report.frames.decoded == 29
    assert report.bitrate_bps.sent == 80_000
    assert report.loss == pytest.approx(10 / 400)


def test_pictures_are_compared_with_what_was_captured(tmp_path: Path) -> None:
    ring = CaptureRing.create(tmp_path / "ring", width=WIDTH, height=HEIGHT)
    measurement = Measurement(started=START_US / 1e6, ring_path=tmp_path / "ring", psnr=True)
    for frame_id in range(5):
        ring.write(frame_id, np.full((3, HEIGHT, WIDTH), 100, np.uint8))
    # Luma off by 5 everywhere: 10 log10(255^2 / 25). Fewer frames than the comparison's queue holds.
    for frame_id in range(5):
        present(measurement, frame_id, level=105)
    # The ring has never seen this one.
    present(measurement, 77)
    measurement.add_session(Session(stats(), Counts(), 0.0, 0))
    report = finish(measurement, tmp_path)
    assert report.psnr_y_db is not None
    assert report.psnr_y_db.frames == 5
    assert report.psnr_y_db.mean == pytest.approx(34.151, abs=0.01)
    assert (tmp_path / "still.png").read_bytes().startswith(b"\x89PNG")
    ring.close()


def test_a_single_picture_makes_a_report_too(tmp_path: Path) -> None:
    measurement = Measurement(started=START_US / 1e6, ring_path=None, psnr=False)
    present(measurement, 0)
    report = finish(measurement, tmp_path)
    assert report.frames.presented == 1
    assert report.fps_presented == 0
    assert report.loop_lag_ms.server == NO_LAG
