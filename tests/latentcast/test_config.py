"""Where settings come from, which source wins, and what is said about a bad one."""

from pathlib import Path

import pytest

from latentcast.config import DEFAULT_PORT, load_settings
from latentcast.errors import UserError


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "latentcast.toml", '[serve]\nport = 1\nmax_viewers = 2\nstream = "file"\n')
    monkeypatch.setenv("LATENTCAST_SERVE__PORT", "3")
    monkeypatch.setenv("LATENTCAST_SERVE__MAX_VIEWERS", "4")
    serve = load_settings(section="serve", flags={"port": 5, "max_viewers": None, "host": None}).serve
    assert (serve.port, serve.max_viewers, serve.stream, serve.host) == (5, 4, "file", "127.0.0.1")


def test_a_named_file_stands_in_for_the_one_in_the_working_directory(tmp_path: Path) -> None:
    write(tmp_path / "latentcast.toml", "[serve]\nport = 1\n")
    other = write(tmp_path / "other.toml", "[serve]\nmax_viewers = 3\n")
    serve = load_settings(section="serve", flags={}, file=other).serve
    assert (serve.port, serve.max_viewers) == (DEFAULT_PORT, 3)
    assert load_settings(section="serve", flags={}).serve.port == 1, "and is not remembered"


def test_the_other_section_keeps_its_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTCAST_VIEW__STREAM", "other")
    settings = load_settings(section="serve", flags={"stream": "mine"})
    assert (settings.serve.stream, settings.view.stream) == ("mine", "other")


def test_a_token_is_not_printed_with_the_settings() -> None:
    settings = load_settings(section="serve", flags={"token": "secret word"})
    assert "secret word" not in repr(settings)


@pytest.mark.parametrize(
    ("section", "flags", "names"),
    [
        ("serve", {"port": 70_000}, ("serve.port", "70000", "65535")),
        ("serve", {"fps": 0}, ("serve.fps", "0", "greater than 0")),
        ("serve", {"max_bitrate": 10}, ("serve.max_bitrate", "10", "20000")),
        ("serve", {"stream": "a/b"}, ("serve.stream", "a/b")),
        ("view", {"seconds": -1}, ("view.seconds", "-1")),
        ("view", {"decoder_threads": 65}, ("view.decoder_threads", "65", "64")),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(
    section: str, flags: dict[str, object], names: tuple[str, ...]
) -> None:
    with pytest.raises(UserError) as caught:
        load_settings(section=section, flags=flags)
    message = str(caught.value)
    assert all(name in message for name in names), message
    assert "\n" not in message


def test_a_misspelt_setting_in_the_file_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "my.toml", "[serve]\nprot = 1\n")
    with pytest.raises(UserError, match=r"serve\.prot"):
        load_settings(section="serve", flags={}, file=file)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "my.toml", "[serve\n")
    with pytest.raises(UserError, match=r"my\.toml is not valid TOML"):
        load_settings(section="serve", flags={}, file=file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.toml does not exist"):
        load_settings(section="serve", flags={}, file=tmp_path / "none.toml")


def test_an_environment_variable_that_cannot_be_read_is_not_blamed_on_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTCAST_SERVE__SOURCE", "clip.mkv")
    with pytest.raises(UserError, match=r"environment variable LATENTCAST_SERVE.*JSON"):
        load_settings(section="serve", flags={})
    monkeypatch.setenv("LATENTCAST_SERVE__SOURCE", '["clip.mkv"]')
    assert load_settings(section="serve", flags={}).serve.source == ("clip.mkv",)
