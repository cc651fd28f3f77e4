"""Documentation and deployment files against the code they speak of."""

import re
import types
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from latentcast.config import DEFAULT_PORT, ServeSettings, ViewSettings
from latentcast.control import ClientMessage, ServerMessage
from latentcast.report import STAGES, Report

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def _models(kind: Any) -> list[type[BaseModel]]:
    """The models in a type such as `Psnr | None`."""
    if isinstance(kind, type) and not isinstance(kind, types.GenericAlias) and issubclass(kind, BaseModel):
        return [kind]
    return [model for part in get_args(kind) if get_origin(kind) is not None for model in _models(part)]


def _field_names(model: type[BaseModel]) -> set[str]:
    names = set(model.model_fields)
    return names.union(
        *(_field_names(inner) for field in model.model_fields.values() for inner in _models(field.annotation))
    )


def _settings_table(section: str, model: type[BaseModel]) -> str:
    """What docs/cli.md says about one section: made from the docstrings of the settings."""
    lines = ["| setting | default | |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        default = field.default
        shown = ", ".join(map(str, default)) if isinstance(default, tuple) else "" if default is None else str(default)
        text = " ".join((field.description or "").split())
        lines.append(f"| `{section}.{name}` | {f'`{shown}`' if shown else ''} | {text} |")
    return "\n".join(lines)


@pytest.mark.parametrize(("section", "model"), [("serve", ServeSettings), ("view", ViewSettings)])
def test_the_settings_tables_are_those_of_the_docstrings(section: str, model: type[BaseModel]) -> None:
    assert _settings_table(section, model) in (ROOT / "docs/cli.md").read_text(), "put this table into docs/cli.md"


def test_every_field_of_the_report_is_defined() -> None:
    page = (ROOT / "docs/report.md").read_text()
    missing = {name for name in _field_names(Report) if not re.search(rf"`(\w+\.)*\.?{name}[`.]", page)}
    assert not missing
    assert all(f"`{stage}`" in page and f"`{stage}`" in (ROOT / "docs/latency.md").read_text() for stage in STAGES)


def test_every_field_of_the_control_messages_is_defined() -> None:
    page = (ROOT / "docs/control.md").read_text()
    for message in {*get_args(ClientMessage), *get_args(ServerMessage)}:
        name = message.model_fields["type"].default
        section = re.search(rf"^## {name}\b.*?(?=^## |\Z)", page, re.M | re.S)
        assert section is not None, name
        assert not {field for field in message.model_fields if field != "type" and f"`{field}`" not in section.group()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s#]+)", page.read_text())
    assert not [target for target in targets if "://" not in target and not (page.parent / target).exists()]


def test_no_figure_of_the_readme_is_left_open() -> None:
    assert not re.findall(r"@@\w+@@", (ROOT / "README.md").read_text())


def test_every_clip_is_attributed() -> None:
    notice = (ROOT / "NOTICE").read_text()
    clips = [path.name for path in (ROOT / "assets").iterdir() if path.suffix in (".mkv", ".mp4")]
    assert clips
    assert not [name for name in clips if name not in notice]


def test_the_compose_file_starts_the_server_safely() -> None:
    server = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["server"]
    assert (ROOT / server["build"]["context"] / server["build"]["dockerfile"]).is_file()
    # ICE offers the host's own addresses and picks its UDP ports: a bridged container would offer unreachable ones.
    assert server["network_mode"] == "host"
    assert "ports" not in server
    assert server["read_only"] is True
    assert any(str(mount).startswith("/tmp") for mount in server["tmpfs"])
    known = {f"LATENTCAST_SERVE__{name.upper()}" for name in ServeSettings.model_fields}
    assert set(server["environment"]) <= known


def test_the_image_runs_as_another_user_and_says_how_it_is() -> None:
    steps = re.sub(r"\\\n\s*", "", (ROOT / "deploy/Dockerfile").read_text()).splitlines()
    order = [line.split(maxsplit=1)[0] for line in steps if line and not line.startswith(("#", " "))]
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert f"EXPOSE {DEFAULT_PORT}" in steps
    health = next(line for line in steps if line.startswith("HEALTHCHECK"))
    assert f":{DEFAULT_PORT}/healthz" in health
    for line in steps:
        if line.startswith("COPY ") and "--from" not in line:
            sources = [word for word in line.split()[1:-1] if not word.startswith("--")]
            assert not [source for source in sources if not (ROOT / source).exists()], line
