"""Configuration: one typed tree. Flags win over environment, environment over the TOML file, the file over defaults.

Environment: `LATENTCAST_SERVE__PORT=9000`. File: `latentcast.toml` in the working directory, or `--config FILE`:

    [serve]
    port = 9000
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from latentcast.errors import UserError

DEFAULT_FILE = Path("latentcast.toml")
DEFAULT_PORT = 8470
DEFAULT_STREAM = "live"
NO_SOURCE = "none"
"""As the only source: the server starts without a stream."""

Port = Annotated[int, Field(ge=0, le=65535)]
Bps = Annotated[int, Field(ge=20_000, le=100_000_000)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CodecSettings(_Section):
    """Which codec, at either end; what both ends set must agree."""

    profile: Literal["nano", "dcvc-rt"] = "nano"
    """`nano`, for any CPU, or `dcvc-rt`, the network of the paper, for GPUs."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network runs. `auto`: the GPU for `dcvc-rt` where there is one, else the CPU."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What `nano` computes in on a CPU. `auto`: bfloat16 where our kernels run (x86 with AVX2), else float32."""
    weights_image: Path | None = None
    """Checkpoint of the image model for `dcvc-rt`, cvpr2025_image.pth.tar."""
    weights_video: Path | None = None
    """Checkpoint of the video model for `dcvc-rt`, cvpr2025_video.pth.tar."""


class ServeSettings(CodecSettings):
    """`latentcast serve`."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for every interface."""
    port: Port = DEFAULT_PORT
    """TCP port of the HTTP interface; 0 picks a free one."""
    stream: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = DEFAULT_STREAM
    """Name of the stream."""
    source: tuple[str, ...] = ("pattern",)
    """`pattern`, `webcam`, `screen`, `whip`, a URL, or video files played in turn and looped (docs/sources.md)."""
    size: tuple[int, int] | None = None
    """Width and height of the coded picture; the source is fitted into it. Default: the source's own."""
    fps: Annotated[float, Field(gt=0, le=240)] | None = None
    """Frames a second. Default: the source's own."""
    max_bitrate: Bps = 2_000_000
    """Upper limit of the rate sent to a viewer, bit/s."""
    min_bitrate: Bps = 50_000
    """Lower limit of the bandwidth estimate, bit/s."""
    start_bitrate: Bps = 600_000
    """Bandwidth estimate before the first feedback, bit/s."""
    max_viewers: Annotated[int, Field(ge=1, le=1000)] = 8
    """Of all streams together; more are answered with 503."""
    renditions: Annotated[int, Field(ge=1, le=3)] = 3
    """Encodes at most, each smaller than the one before: viewers who cannot follow the best get one of the others."""
    encoder_threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads of the encoder's network in float32; bfloat16 uses one. More take cores from everything else."""
    skip_threshold: Annotated[float, Field(ge=0, le=16)] = 0.12
    """Of `dcvc-rt`: latents whose scale does not exceed it are not coded; 0 codes nearly all."""
    reset_interval: Annotated[int, Field(ge=0, le=10_000)] = 32
    """Of `dcvc-rt`: frames after which the state is made anew from the picture; 0 never."""
    token: SecretStr | None = None
    """When set, viewers must send it as `Authorization: Bearer`."""
    manage_token: SecretStr | None = None
    """Who sends it may publish, start and stop streams. Default: `token`; without either, this machine only."""
    input_token: SecretStr | None = None
    """Viewers who send it may drive the screen that is streamed. Without it nobody may."""
    input_device: Literal["auto", "xtest", "uinput"] = "auto"
    """What remote input goes through: X's XTEST, or the kernel's uinput. `auto`: XTEST where the X server has it."""
    max_streams: Annotated[int, Field(ge=1, le=64)] = 4
    """Streams at the same time; each takes an encoder process while it runs."""
    max_publishers: Annotated[int, Field(ge=1, le=64)] = 4
    """Who publish over WHIP at the same time; more are answered with 503."""
    publisher_wait: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """Seconds that a stream made by publishing waits for its publisher to come back, then it ends."""
    ice_servers: tuple[str, ...] = ()
    """STUN and TURN servers as URLs for this server. None by default: nothing leaves the machine."""
    ice_addresses: tuple[str, ...] = ()
    """Addresses to offer for media. Default: loopback when listening there, else every interface."""
    audio: bool = True
    """Send the source's sound, if it has any, to viewers who play it."""
    capture_ring: Path | None = None
    """Also write captured pictures into this ring file, for a viewer on the same machine to compare with."""

    @property
    def starts_empty(self) -> bool:
        """Without a stream, for those who start one later."""
        return self.source == (NO_SOURCE,)


class ViewSettings(CodecSettings):
    """`latentcast view`."""

    url: str = f"http://127.0.0.1:{DEFAULT_PORT}"
    """Server, or the WHEP endpoint of one stream."""
    stream: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = DEFAULT_STREAM
    """Stream to watch, unless the URL names one."""
    streams: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")], ...] = ()
    """Several streams of the server, instead of `stream`; `all`, alone, takes all there are."""
    token: SecretStr | None = None
    """Sent as `Authorization: Bearer`."""
    headless: bool = False
    """Decode and measure without a window."""
    windows: bool = False
    """A window for each of several streams, instead of tabs in one."""
    scale: Annotated[float, Field(ge=0.5, le=4)] | None = None
    """Size of text in the window, 2 on most HiDPI screens. Default: what the desktop says."""
    sinks: tuple[str, ...] = ()
    """Where pictures go as well: `FILE.mp4`, `FILE.mkv`, `DIR/name_%05d.png`, `virtualcam[:DEVICE]`, `-` (raw y4m)."""
    audio: bool = True
    """Play the stream's sound; headless never."""
    volume: Annotated[int, Field(ge=0, le=100)] = 100
    """How loud, at the start: 0 is silent, 100 as it was sent, 50 about half as loud."""
    keyboard: Literal["keys", "text"] = "keys"
    """How keys reach a desktop that is driven: as physical keys, or as the characters that this keyboard makes."""
    clipboard: bool = True
    """Share the clipboard with a desktop that is driven."""
    seconds: Annotated[float, Field(gt=0)] | None = None
    """Stop so long after the first picture."""
    report: Path | None = None
    """Folder for report.json, the latency chart and a still."""
    compare: Path | None = None
    """Capture ring of a server on this machine, to compare presented pictures with captured ones."""
    psnr: bool = False
    """Measure the PSNR of every presented picture; needs `compare`."""
    decoder_threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads of the decoder's network in float32; bfloat16 uses one."""
    ice_servers: tuple[str, ...] = ()
    """STUN and TURN servers as URLs for this viewer. None by default."""


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix="LATENTCAST_", env_nested_delimiter="__", extra="forbid", frozen=True, toml_file=DEFAULT_FILE
    )

    serve: ServeSettings = ServeSettings()
    view: ViewSettings = ViewSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(*, section: str, flags: dict[str, Any], file: Path | None = None) -> Settings:
    """The tree, with `flags` (those given, None ones left out) over one section.

    Raises UserError that names the setting, what was seen and what is allowed.
    """
    if file is not None and not file.is_file():
        raise UserError(f"the configuration file {file} does not exist; give an existing TOML file to --config.")
    given = {name: value for name, value in flags.items() if value is not None}
    kind: type[Settings] = Settings
    if file is not None:
        # The file is part of the class's configuration; a subclass carries another one.
        kind = type("Settings", (Settings,), {"model_config": SettingsConfigDict(toml_file=file)})
    try:
        sections: dict[str, Any] = {section: given}
        return kind(**sections)
    except ValidationError as error:
        raise UserError(_in_words(error)) from error
    except SettingsError as error:
        raise UserError(
            f"an environment variable LATENTCAST_{section.upper()}... is not understood ({error}); write lists and "
            f"whole sections as JSON, such as LATENTCAST_SERVE__SOURCE='[\"pattern\"]'."
        ) from error
    except ValueError as error:
        raise UserError(f"the configuration file {file or DEFAULT_FILE} is not valid TOML ({error}).") from error


def _in_words(error: ValidationError) -> str:
    """One sentence on the first problem: which setting, what was seen, what is allowed."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    name, seen, limits = ".".join(path), first["input"], first.get("ctx", {})
    if first["type"] == "extra_forbidden":
        return f"there is no setting {name}; `latentcast {path[0]} --help` lists those there are."
    if path[-1] == "stream" or "streams" in path:
        return f"the setting {name} is {seen!r}; use 1 to 64 letters, digits, dots, dashes and underscores."
    if "size" in path:
        return (
            f"the setting {path[0]}.size is {seen!r}; write width and height in pixels as a list, such as [640, 360]."
        )
    allowed = first["msg"].removeprefix("Input should be ")
    if "ge" in limits:
        allowed = f"{limits['ge']} or more"
    elif "gt" in limits:
        allowed = f"a number greater than {limits['gt']:g}"
    elif "le" in limits:
        allowed = f"{limits['le']} or less"
    return f"the setting {name} is {seen!r}; expected {allowed}."
