"""The files around the code, against each other: versions, pins, packages, the commands a newcomer types."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from latentcast import __version__

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TEXT = {".md", ".py", ".toml", ".yml", ".yaml", ".txt", ".json", ""}


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9_.-]+", requirement)
    assert found is not None
    return found.group().lower().replace("_", "-")


def _tracked_texts() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [path for name in names if (path := ROOT / name).suffix in TEXT and path.is_file()]


def test_no_two_test_files_have_the_same_name() -> None:
    """pytest imports them by their names alone."""
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_there_is_one_version() -> None:
    assert PROJECT["version"] == __version__


def test_every_dependency_is_pinned() -> None:
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, equals, version = line.partition("==")
            assert equals, f"{line!r} pins nothing"
            pins[_name(name)] = version
    wanted = [
        *PROJECT["dependencies"],
        *(line for extra in PROJECT["optional-dependencies"].values() for line in extra),
    ]
    assert {_name(line) for line in wanted} <= set(pins)


def test_a_base_install_comes_without_torch() -> None:
    base = {_name(line) for line in PROJECT["dependencies"]}
    assert base.isdisjoint({"torch", "onnx", "onnxscript", "pytest"})


def test_the_image_has_every_package_and_the_tested_versions() -> None:
    lines = (ROOT / "deploy/Dockerfile").read_text().splitlines()
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["packages"]) <= copied
    assert any("-c constraints.txt" in line for line in lines)


def test_the_readme_shows_both_commands_on_lines_of_their_own() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert {"make demo", "make test"} <= {line.strip() for line in lines}


def test_make_alone_prints_its_targets() -> None:
    done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"help", "demo", "test", "lint", "types", "check", "bench", "install", "clean"} == {
        line.split()[1] for line in done.stdout.splitlines()
    }


def test_no_file_speaks_of_a_place_outside_the_project() -> None:
    # Assembled, so that this file does not find itself.
    outside = re.compile("|".join(["/" + "work/", r"\.\./" + "shared", "/" + "root/", "/" + "home/"]))
    found = {path.relative_to(ROOT).as_posix() for path in _tracked_texts() if outside.search(path.read_text("utf-8"))}
    assert found == set()
