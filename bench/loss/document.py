"""A run as files: JSON for programs, Markdown for readers. Nothing in the Markdown changes from run to run."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.loss.results import Curve
from bench.loss.series import Plan, Run
from bench.loss.simulation import Conditions
from bench.loss.tables import all_tables
from bench.loss.x264 import SETTINGS as X264_SETTINGS
from bench.rd.conventional import library_versions
from client.measurement import describe_machine
from codec.arithmetic import Precision
from latentcast import __version__
from latentcast.errors import UserError

FORMAT = 1
"""Version of the JSON: raised when a field changes its meaning."""


@dataclass(frozen=True, slots=True)
class Report:
    """One measurement, finished. precision: what `nano` computed in."""

    command: str
    plan: Plan
    precision: Precision
    runs: Sequence[Run]
    curves: Sequence[Curve]

    def conditions(self) -> list[str]:
        """How it was measured, in lines."""
        plan = self.plan
        link = Conditions(0.0, plan.rate_bps, "none", seed=0, deadline_s=plan.deadline_s)
        clips = ", ".join(clip.name for clip in plan.clips)
        return [
            f"{clips}, within {plan.size[0]}x{plan.size[1]}, {plan.seconds:g} s each after {plan.warm_up_s:g} s "
            f"that do not count, seeds {', '.join(map(str, plan.seeds))}",
            f"{plan.rate_bps / 1000:g} kbit/s for frames, headers, parity and repeats; link {link.link_bps / 1e6:g} "
            f"Mbit/s, round trip {2000 * link.delay_s:g} ms, packets lost at random each way",
            f"a picture is in time within {1000 * plan.deadline_s:g} ms of its capture; coding takes no time",
            f"nano: {self.precision}, our rate control, next frame from a state that the viewer has, missing slices at "
            "their mean",
            f"x264: {X264_SETTINGS}; an IDR picture when the viewer reports damage, at most every 300 ms",
        ]


def write_markdown(report: Report, path: Path, *, plot: Path | None) -> None:
    """The tables with the command that made them. Raises UserError."""
    lines = ["# Quality under loss", "", "```", report.command, "```", ""]
    lines += [f"* {line}" for line in report.conditions()]
    lines += ["", *(table.markdown() for table in all_tables(report.curves))]
    if plot is not None:
        beside = plot.parent.resolve() == path.parent.resolve()
        lines.append(f"![quality against loss]({plot.name if beside else plot.as_posix()})\n")
    _write(path, "\n".join(lines))


def write_json(report: Report, path: Path) -> None:
    """Points and runs; qualities of single pictures rounded to 0.01 dB. Raises UserError."""
    plan = report.plan
    document = {
        "format": FORMAT,
        "latentcast": __version__,
        "command": report.command,
        "machine": describe_machine().model_dump(),
        "libraries": library_versions(),
        "conditions": report.conditions(),
        "rate_bps": plan.rate_bps,
        "seconds": plan.seconds,
        "warm_up_s": plan.warm_up_s,
        "deadline_s": plan.deadline_s,
        "seeds": list(plan.seeds),
        "precision": report.precision,
        "curves": [
            {**asdict(curve.series), "name": curve.series.name, "points": [asdict(point) for point in curve.points]}
            for curve in report.curves
        ],
        "runs": [_run(run) for run in report.runs],
    }
    _write(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def _run(run: Run) -> dict[str, Any]:
    """One run without its series of pictures, which would be most of the file, but for what they add up to."""
    watched = run.watched
    pictures = len(watched.psnr_y)
    return {
        "series": run.series.name,
        "loss": run.loss,
        "clip": run.clip,
        "seed": run.seed,
        "fps": round(run.fps, 3),
        "pictures": pictures,
        "shown_in_time": sum(watched.in_time),
        "psnr_y": round(sum(watched.psnr_y) / pictures, 3),
        "packets": run.packets,
        "bytes": run.bytes,
        "parity_bytes": run.parity_bytes,
        "resent_bytes": run.resent_bytes,
        "intra_frames": run.intra_frames,
    }


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); choose another place.") from error
