"""What --source may say, and what may be shown of it."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcast.errors import UserError
from server.sources.mask import mask_url, server_of
from server.sources.spec import (
    FileSpec,
    PatternSpec,
    ScreenSpec,
    SourceSpec,
    UrlSpec,
    WebcamSpec,
    WhipSpec,
    mask_spec,
    parse_sources,
)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("pattern", PatternSpec()),
        ("whip", WhipSpec()),
        ("screen", ScreenSpec()),
        ("screen:window=What is http://?", ScreenSpec("window=What is http://?")),
        ("webcam", WebcamSpec()),
        ("webcam:/dev/video2", WebcamSpec("/dev/video2")),
        ("webcam:2", WebcamSpec("2")),
        ("webcam:HD Cam: USB", WebcamSpec("HD Cam: USB")),
        ("webcam?fps=29.97", WebcamSpec(fps=29.97)),
        ("webcam:2?format=mjpeg&size=1280x720&fps=30", WebcamSpec("2", "mjpeg", (1280, 720), 30.0)),
        ("rtsp://camera/1", UrlSpec("rtsp://camera/1")),
        ("RTSP://Camera/Path", UrlSpec("rtsp://Camera/Path")),
        ("udp://0.0.0.0:5000", UrlSpec("udp://0.0.0.0:5000")),
        ("clip.mp4", FileSpec((Path("clip.mp4"),))),
        ("./pattern", FileSpec((Path("./pattern"),))),
        ("C:/clip.mp4", FileSpec((Path("C:/clip.mp4"),))),
        ("./webcam:1.mp4", FileSpec((Path("./webcam:1.mp4"),))),
    ],
)
def test_one_spec(text: str, spec: SourceSpec) -> None:
    assert parse_sources([text]) == spec


def test_files_are_played_in_turn() -> None:
    assert parse_sources(["a.mp4", "b.mkv"]) == FileSpec((Path("a.mp4"), Path("b.mkv")))


def test_a_file_without_an_extension_is_taken_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip").touch()
    assert parse_sources(["clip"]) == FileSpec((Path("clip"),))


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([], "no source was given"),
        (["webcm"], "there is no source 'webcm', and no file of that name: did you mean 'webcam'?"),
        (["Screen"], "did you mean 'screen'?"),
        (["zzz"], "expected pattern, webcam, screen, whip, a URL or a file name"),
        (["rstp://camera/1"], "there is no source of the kind rstp:// ('rstp://camera/1'): did you mean rtsp://?"),
        (["file:///clip.mp4"], "leave file:// out"),
        (["rtsp:///path"], "names no server"),
        (["http:/server/x"], "write http://server/path"),
        (["pattern:1"], "'pattern' takes nothing after its name"),
        (["pattern", "clip.mp4"], "'pattern' was given among other sources"),
        (["clip.mp4", "rtsp://u:secret@c/1"], "'rtsp://***@c/1' was given among other sources"),
        (["webcam?fps=0"], "the frame rate is 0"),
        (["webcam?fps=abc"], "the camera's fps is 'abc'"),
        (["webcam?size=0x0"], "the camera's size is '0x0'"),
        (["webcam?format=gif"], "the camera's format is 'gif', expected one of mjpeg, raw, nv12, yuyv"),
        (["webcam?zoom=2"], "the camera's 'zoom=2' is not understood"),
        (["webcam?fps=1&fps=2"], "each once"),
        ([""], "is empty"),
        (["a\nb.mp4"], "control characters"),
        (["x" * 3000 + ".mp4"], "too long"),
    ],
)
def test_what_is_not_understood_is_said_in_words(texts: list[str], words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        parse_sources(texts)


@given(
    st.text(max_size=60) | st.from_regex(r"(webcam|screen|pattern|whip|rtsp)[:?/]{1,3}[^\x00]{0,30}", fullmatch=True)
)
def test_any_text_is_a_spec_or_one_sentence(text: str) -> None:
    try:
        parse_sources([text])
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017 - most texts are no error


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://camera/1", "rtsp://camera/1"),
        ("rtsp://camera:554/1?channel=2", "rtsp://camera:554/1?channel=2"),
        ("rtsp://user:secret@camera/1", "rtsp://***@camera/1"),
        ("rtsp://user@camera/1", "rtsp://***@camera/1"),
        ("rtsp://u:p@ss@camera/1", "rtsp://***@camera/1"),
        ("rtsp://u:p/ss?w#d@camera/1", "rtsp://***@camera/1"),
        ("http://host/@user/live", "http://host/@user/live"),
        ("http://host/live?token=abc&x=1&api_key=9", "http://host/live?token=***&x=1&api_key=***"),
        ("srt://host:9000?passphrase=abc&mode=caller", "srt://host:9000?passphrase=***&mode=caller"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("pattern", "pattern"),
    ],
)
def test_secrets_of_urls_are_hidden(url: str, shown: str) -> None:
    assert mask_spec(url) == shown


@given(
    user=st.text(min_size=1, max_size=8),
    password=st.text(min_size=1, max_size=12).map(lambda text: f"<{text}>"),
)
def test_no_password_is_ever_shown(user: str, password: str) -> None:
    url = f"rtsp://{user}:{password}@camera.example/stream"
    assert password not in mask_url(url)
    assert "camera.example/stream" in mask_url(url)
    assert server_of(url) == "rtsp://camera.example"


def test_viewers_are_told_the_server_alone() -> None:
    assert server_of("https://cdn.example:8443/secret/live.m3u8?token=abc") == "https://cdn.example:8443"
    assert server_of("rtsp://[::1]:554/1") == "rtsp://[::1]:554"
