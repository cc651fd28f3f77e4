"""The command line: `latentcast serve | view | demo | sources | encode | decode | conformance | bench | doctor`.

Errors that the user can do something about end in one sentence on stderr and exit code 2. Every command imports what it
runs when it runs, so that none waits for the libraries of another.
"""

import asyncio
import importlib
import logging
import sys
from json import dumps as to_json
from pathlib import Path
from typing import Annotated, Any

import typer

from latentcast import __version__
from latentcast.cli_bench import bench
from latentcast.cli_latency import latency
from latentcast.cli_options import (
    ConfigOption,
    DeviceOption,
    ImageOption,
    PrecisionOption,
    ProfileOption,
    SizeOption,
    SkipOption,
    VerboseOption,
    VideoOption,
    parse_size,
)
from latentcast.cli_options import load_module as _module
from latentcast.config import DEFAULT_STREAM, ServeSettings, Settings, ViewSettings, load_settings
from latentcast.errors import LatentcastError, UserError

EXIT_USER_ERROR = 2

app = typer.Typer(
    name="latentcast",
    help="Live video over a neural codec: DCVC-RT latents on WebRTC data channels, with the delay measured.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(bench, name="bench")
app.add_typer(latency, name="latency")


def _log(verbose: bool) -> None:
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # Per-packet chatter of the libraries is never what the user wants.
    for name in ("aioice", "aiortc", "asyncio", "numba"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _precision(text: str | None) -> str:
    if text not in (None, "auto", "float32", "bfloat16"):
        raise UserError(f"there is no precision {text!r}; expected auto, float32 or bfloat16.")
    return text or "auto"


@app.command()
def serve(
    source: Annotated[
        list[str] | None,
        typer.Option("--source", "-s", help="pattern, webcam, screen, whip, a URL or a file; files may be repeated."),
    ] = None,
    size: SizeOption = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 0.0.0.0 for every interface.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one.")] = None,
    stream: Annotated[str | None, typer.Option(help="Name of the stream.")] = None,
    max_bitrate: Annotated[int | None, typer.Option(help="Upper limit of the rate to a viewer, bit/s.")] = None,
    max_viewers: Annotated[int | None, typer.Option(help="More are told to come back later.")] = None,
    audio: Annotated[bool | None, typer.Option("--audio/--no-audio", help="Send the source's sound.")] = None,
    token: Annotated[str | None, typer.Option(help="Viewers must send this token.", envvar=None)] = None,
    input_token: Annotated[
        str | None, typer.Option(help="Viewers with this token may drive the screen; else nobody.", envvar=None)
    ] = None,
    skip_threshold: Annotated[
        float | None, typer.Option(metavar="T", help="dcvc-rt: leave out latents of a scale up to this.")
    ] = None,
    reset_interval: Annotated[
        int | None, typer.Option(help="dcvc-rt: frames between states made from the picture; 0: never.")
    ] = None,
    capture_ring: Annotated[
        Path | None, typer.Option(help="Ring file of captured pictures, for a viewer on this machine to compare with.")
    ] = None,
    profile: ProfileOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    weights_image: ImageOption = None,
    weights_video: VideoOption = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Stream a source to viewers."""
    _log(verbose)
    flags = {
        "source": tuple(source) if source else None,
        "size": parse_size(size),
        "fps": fps,
        "host": host,
        "port": port,
        "stream": stream,
        "max_bitrate": max_bitrate,
        "max_viewers": max_viewers,
        "audio": audio,
        "token": token,
        "input_token": input_token,
        "skip_threshold": skip_threshold,
        "reset_interval": reset_interval,
        "capture_ring": capture_ring,
        "profile": profile,
        "device": device,
        "precision": precision,
        "weights_image": weights_image,
        "weights_video": weights_video,
    }
    settings = load_settings(section="serve", flags=flags, file=config).serve
    server = _module("server.app")

    def announce(url: str) -> None:
        # To a browser on this machine, a server on every interface is on this machine.
        here = url.replace("://0.0.0.0:", "://127.0.0.1:").replace("://[::]:", "://[::1]:")
        named = "" if settings.stream == DEFAULT_STREAM else f" --stream {settings.stream}"
        what = "no stream yet" if settings.starts_empty else repr(settings.stream)
        watch = "" if settings.starts_empty else f" (watch it with: latentcast view {here}{named})"
        typer.echo(f"Serving {what} at {url}{watch}")
        typer.echo(f"Dashboard: {here}/   Publish from a browser: {here}/publish")

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(server.serve(settings, announce=announce))


@app.command()
def view(
    url: Annotated[str | None, typer.Argument(help="Server, or WHEP endpoint of a stream.")] = None,
    stream: Annotated[
        list[str] | None, typer.Option("--stream", help="Stream to watch; may be repeated, `all` takes all there are.")
    ] = None,
    windows: Annotated[bool | None, typer.Option("--windows", help="A window for each stream, not tabs.")] = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(
            "--sink",
            metavar="SINK",
            help="Pictures go there as well: FILE.mp4, FILE.mkv, DIR/name_%05d.png, virtualcam[:DEVICE], or - (y4m); "
            "may be repeated.",
        ),
    ] = None,
    headless: Annotated[bool | None, typer.Option("--headless", help="No window.")] = None,
    audio: Annotated[bool | None, typer.Option("--audio/--no-audio", help="Play the stream's sound.")] = None,
    volume: Annotated[int | None, typer.Option(help="How loud, 0 to 100.")] = None,
    keyboard: Annotated[
        str | None, typer.Option(metavar="HOW", help="Keys to a desktop that is driven: keys (by place) or text.")
    ] = None,
    clipboard: Annotated[
        bool | None, typer.Option("--clipboard/--no-clipboard", help="Share it with a desktop that is driven.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Stop so long after the first picture.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="DIR", help="Write report.json and pictures there.")] = None,
    compare: Annotated[Path | None, typer.Option(metavar="RING", help="Capture ring of a server on here.")] = None,
    psnr: Annotated[bool | None, typer.Option("--psnr", help="PSNR of every picture; needs --compare.")] = None,
    token: Annotated[str | None, typer.Option(help="The server's token.", envvar=None)] = None,
    profile: ProfileOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    weights_image: ImageOption = None,
    weights_video: VideoOption = None,
    config: ConfigOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Watch streams. Keys of the window: h lists them."""
    _log(verbose)
    several = stream is not None and (len(stream) > 1 or stream == ["all"])
    flags = {
        "url": url,
        "stream": stream[0] if stream and not several else None,
        # One named here replaces several named in the file.
        "streams": None if stream is None else tuple(stream) if several else (),
        "windows": windows,
        "sinks": tuple(sink) if sink else None,
        "headless": headless,
        "audio": audio,
        "volume": volume,
        "keyboard": keyboard,
        "clipboard": clipboard,
        "seconds": seconds,
        "report": report,
        "compare": compare,
        "psnr": psnr,
        "token": token,
        "profile": profile,
        "device": device,
        "precision": precision,
        "weights_image": weights_image,
        "weights_video": weights_video,
    }
    settings = load_settings(section="view", flags=flags, file=config).view
    client = _module("client.view")
    for result, folder in client.view(settings, notice=lambda text: typer.echo(text, err=True)):
        # Raw video has standard output to itself.
        _module("latentcast.summary").print_summary(result, folder=folder, to_stderr="-" in settings.sinks)


@app.command()
def demo(
    source: Annotated[
        list[str] | None, typer.Option("--source", "-s", help="`pattern` or a video file. Default: the demo clips.")
    ] = None,
    size: SizeOption = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second. Default: the source's own.")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="How long to stream. Default: 20, or what the scenario says.", min=1.0)
    ] = None,
    link: Annotated[
        str | None,
        typer.Option(metavar="LINK", help='Conditions between the two: a scenario, or "rate=2M,delay=30ms,loss=5%".'),
    ] = None,
    max_bitrate: Annotated[int, typer.Option(help="Upper limit of the rate, bit/s.")] = 1_000_000,
    headless: Annotated[bool, typer.Option("--headless", help="No window.")] = False,
    psnr: Annotated[bool, typer.Option("--psnr", help="Measure the PSNR of every presented picture.")] = False,
    report: Annotated[Path, typer.Option(metavar="DIR", help="Where the report goes.")] = Path("report"),
    profile: ProfileOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    weights_image: ImageOption = None,
    weights_video: VideoOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Stream over loopback between two processes, show it, and measure it."""
    _log(verbose)
    _module("latentcast.demo").run_demo(
        sources=tuple(source or ()),
        size=parse_size(size),
        fps=fps,
        seconds=seconds,
        max_bitrate=max_bitrate,
        headless=headless,
        psnr=psnr,
        report=report,
        link=link,
        codec={
            "profile": profile,
            "device": device,
            "precision": precision,
            "weights_image": weights_image,
            "weights_video": weights_video,
        },
    )


@app.command()
def encode(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Any video that FFmpeg opens, or raw .yuv.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Coded file: .lcv, or any name for dcvc-rt.")],
    qp: Annotated[int, typer.Option(help="Base QP, 0 (smallest) to 63 (best).", min=0, max=63)] = 32,
    size: SizeOption = None,
    frames: Annotated[int | None, typer.Option(help="Stop after so many frames.", min=1)] = None,
    threads: Annotated[int, typer.Option(help="Threads of the network.", min=1, max=64)] = 1,
    profile: ProfileOption = None,
    precision: PrecisionOption = None,
    device: DeviceOption = None,
    weights_image: ImageOption = None,
    weights_video: VideoOption = None,
    skip_threshold: SkipOption = "0.12",
    intra_period: Annotated[int, typer.Option(help="dcvc-rt: every so many pictures an intra one; 0: one.")] = 0,
    reset_interval: Annotated[int, typer.Option(help="dcvc-rt: pictures between resets, 2 or more; 0: never.")] = 32,
    streams: Annotated[str, typer.Option(help="dcvc-rt: entropy streams a picture: auto, 1 or 2.")] = "auto",
) -> None:
    """Code a video file: nano's .lcv, or with --profile dcvc-rt the paper's own format, byte for byte."""
    summary = _module("codec.commands").encode(
        source,
        target,
        profile=profile or "nano",
        qp=qp,
        size=parse_size(size),
        frames=frames,
        threads=threads,
        precision=_precision(precision),
        device=device or "cpu",
        weights_image=weights_image,
        weights_video=weights_video,
        skip_threshold=skip_threshold,
        intra_period=intra_period,
        reset_interval=reset_interval,
        streams=streams,
        progress=_progress("encoding"),
    )
    typer.echo(f"{target}: {summary}")


@app.command()
def decode(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Coded file, of either profile.")],
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help=".y4m, .mp4, .yuv (dcvc-rt), or a folder or name_%05d.png for PNGs")
    ],
    reference: Annotated[
        Path | None, typer.Option(metavar="VIDEO", help="The original, to measure PSNR against.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of the network.", min=1, max=64)] = 1,
    device: DeviceOption = None,
    weights_image: ImageOption = None,
    weights_video: VideoOption = None,
    skip_threshold: SkipOption = "0.12",
    fps: Annotated[str, typer.Option(help="dcvc-rt: frame rate, which its files do not have.")] = "30",
    chroma: Annotated[str, typer.Option(help="dcvc-rt: 420 or 444, for .y4m and .yuv.")] = "420",
) -> None:
    """Decode a coded file."""
    summary = _module("codec.commands").decode(
        source,
        target,
        reference=reference,
        threads=threads,
        device=device or "cpu",
        weights_image=weights_image,
        weights_video=weights_video,
        skip_threshold=skip_threshold,
        fps=fps,
        chroma=chroma,
        progress=_progress("decoding"),
    )
    typer.echo(f"{target}: {summary}")


@app.command()
def conformance(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Golden vectors of dcvc-rt, *.npz.")],
    weights_image: ImageOption = None,
    weights_video: VideoOption = None,
) -> None:
    """Run every golden vector of the paper's codec in a folder; exit code 0 only when all hold."""
    _module("codec.profiles").need_torch("conformance")
    run = _module("bench.conformance").run
    raise typer.Exit(run(folder=folder, weights_image=weights_image, weights_video=weights_video))


@app.command()
def sources(
    json: Annotated[bool, typer.Option("--json", help="As JSON, with every format, size and rate.")] = False,
) -> None:
    """List what this machine can stream: cameras, screens and windows, kinds of URLs."""
    listing = _module("server.sources.listing")
    found = listing.list_sources()
    typer.echo(to_json(found.as_json(), indent=2) if json else listing.as_text(found))


@app.command()
def doctor() -> None:
    """Check that this installation can code, decode and show, and say how fast."""
    _module("bench.doctor").run()


def _version(value: bool) -> None:
    if value:
        typer.echo(f"latentcast {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _loop_factory() -> Any:
    """uvloop where it exists: 8-15 % less CPU for a paced stream than asyncio's own loop."""
    if sys.platform == "win32":
        return None
    return importlib.import_module("uvloop").new_event_loop


def _progress(what: str) -> Any:
    return _module("latentcast.summary").ProgressBar(what)


def main() -> None:
    """Console entry point."""
    try:
        app()
    except LatentcastError as error:
        typer.echo(f"latentcast: {error}", err=True)
        sys.exit(EXIT_USER_ERROR)


__all__ = ["ServeSettings", "Settings", "ViewSettings", "app", "main", "parse_size"]

if __name__ == "__main__":
    main()
