"""A run as files: JSON for programs, Markdown for readers."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.rd.tables import Table
from bench.speed.results import EngineResult, Results
from bench.speed.roofline import Ceilings, ModuleCost, NetworkCost
from client.measurement import describe_machine
from latentcast import __version__
from latentcast.errors import UserError

FORMAT = 2
"""Version of the JSON: raised when a field changes its meaning."""


def as_document(results: Results) -> dict[str, Any]:
    """Everything, for JSON. Times are ms, bytes and multiply-adds are of one frame, rates are 1e9 a second."""
    return {
        "format": FORMAT,
        "latentcast": __version__,
        "machine": describe_machine().model_dump(),
        "qp": results.qp,
        "speed": None if results.speed is None else asdict(results.speed),
        "entropy": [asdict(part) for part in results.entropy],
        "ceilings": asdict(results.ceilings),
        "engines": [_engine(engine, results.ceilings) for engine in results.engines],
        "missing": [
            {"profile": candidate.profile, "engine": candidate.engine, "reason": candidate.reason}
            for candidate in results.missing
        ],
    }


def _engine(engine: EngineResult, ceilings: Ceilings) -> dict[str, Any]:
    candidate = engine.candidate
    return {
        "profile": candidate.profile,
        "engine": candidate.engine,
        "precision": candidate.precision,
        "device": candidate.device,
        "weights": candidate.weights,
        "stages": asdict(engine.stages),
        "networks": [_network(network, candidate.precision, ceilings) for network in engine.networks],
        "growth": [asdict(point) for point in engine.growth],
    }


def _network(network: NetworkCost, precision: str, ceilings: Ceilings) -> dict[str, Any]:
    return {
        "side": network.side,
        "frame": network.kind,
        "total": _module(network.total, precision, ceilings),
        "modules": [_module(module, precision, ceilings) for module in network.modules],
    }


def _module(module: ModuleCost, precision: str, ceilings: Ceilings) -> dict[str, Any]:
    work = module.work
    return {
        "name": module.name,
        "ms": round(module.ms, 4),
        **asdict(work),
        "gmac_s": round(work.macs / module.ms / 1e6, 3) if module.ms else None,
        "moved_gb_s": round(work.moved_bytes / module.ms / 1e6, 3) if module.ms else None,
        "limit_ms": _rounded(ceilings.limit_ms(work, precision)),
        "of_limit": _rounded(ceilings.share(module, precision)),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def write_json(results: Results, path: Path) -> None:
    """Raises UserError."""
    _write(path, json.dumps(as_document(results), indent=2, allow_nan=False) + "\n")


def write_markdown(tables: Sequence[Table], notes: Sequence[str], path: Path, *, plot: Path | None) -> None:
    """The tables as they are shown, with the machine they are of. Raises UserError."""
    lines = ["# Speed", "", *(f"* {note}" for note in notes), "", *(table.markdown() for table in tables)]
    if plot is not None:
        beside = plot.parent.resolve() == path.parent.resolve()
        lines.append(f"![time against picture size]({plot.name if beside else plot.as_posix()})\n")
    _write(path, "\n".join(lines))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); choose another place.") from error
