"""The paper's profile live, between real processes: small pictures and synthetic weights, since this is a CPU."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: the profile dcvc-rt needs it")

from codec.dcvc_rt.checkpoint import synthetic_model  # noqa: E402
from codec.dcvc_rt.synthetic import ModelName  # noqa: E402
from codec.profiles import Profile  # noqa: E402
from latentcast.control import Error, parse_server_message  # noqa: E402
from tests.end_to_end.program import TIMEOUT_S, BareClient, Server, serving, until, watching  # noqa: E402

pytestmark = [pytest.mark.net, pytest.mark.slow]

SIZE, FPS = (96, 64), 5


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    folder = tmp_path_factory.mktemp("checkpoints")
    paths: dict[ModelName, Path] = {"image": folder / "image.pth.tar", "video": folder / "video.pth.tar"}
    for name, path in paths.items():
        torch.save({"state_dict": synthetic_model(name, skip_threshold=None).state_dict()}, path)
    yield Profile("dcvc-rt", device="cpu", weights_image=paths["image"], weights_video=paths["video"])
    # 266 MB: pytest would keep them for its next three runs.
    for path in paths.values():
        path.unlink()


def flags_of(profile: Profile) -> list[str]:
    weights = ["--weights-image", str(profile.weights_image), "--weights-video", str(profile.weights_video)]
    return ["--profile", profile.name, "--device", "cpu", *weights]


@pytest.fixture(scope="module")
def server(profile: Profile) -> Iterator[Server]:
    size = ("--size", f"{SIZE[0]}x{SIZE[1]}", "--fps", str(FPS))
    with serving(*flags_of(profile), *size) as running:
        yield running


@pytest.mark.asyncio
async def test_a_viewer_decodes_what_the_server_coded(server: Server, profile: Profile) -> None:
    settings = {"weights_image": profile.weights_image, "weights_video": profile.weights_video}
    async with watching(server.url, profile="dcvc-rt", device="cpu", **settings) as watch:
        pictures = await watch.more(8)
        config = watch.viewer.config
    assert config is not None
    assert config.profile == "dcvc-rt"
    assert config.skip_threshold == pytest.approx(0.12)
    assert all(picture.planes.shape == (3, SIZE[1], SIZE[0]) for picture in pictures)
    # A slow machine may ask for a second intra frame; a frame that did not decode would ask for one each time.
    assert sum(picture.intra for picture in pictures) <= 2
    assert not [notice for notice in watch.notices if "computes otherwise" in notice]


@pytest.mark.asyncio
async def test_a_viewer_that_computes_otherwise_is_told_so(server: Server, profile: Profile) -> None:
    client = BareClient(server.url)
    try:
        await client.connect()
        client.hello(fingerprint="0" * 32, profile=profile)
        await until(lambda: bool(client.control))
        message = parse_server_message(client.control[0])
    finally:
        await client.close()
    assert isinstance(message, Error)
    assert message.code == "arithmetic"
    assert "could not decode dcvc-rt" in message.message
    assert "--profile nano" in message.message


def test_a_viewer_of_the_other_profile_is_told_which_one_to_use(server: Server) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "latentcast", "view", server.url, "--headless", "--seconds", "1"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 2
    assert "start the viewer with --profile dcvc-rt" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["serve", "view"])
def test_without_its_checkpoints_the_profile_is_refused_in_a_sentence(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "latentcast", command, "--profile", "dcvc-rt"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 2
    assert "needs the two published checkpoints" in done.stderr
    assert "Traceback" not in done.stderr
