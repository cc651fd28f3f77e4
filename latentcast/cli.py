"""The command line: `latentcast serve | view | demo | encode | decode | conformance | bench | doctor`.

Errors that the user can do something about end in one sentence on stderr and exit code 2. Every command imports what it
runs when it runs, so that none waits for the libraries of another.
"""

import asyncio
import importlib
import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from latentcast import __version__
from latentcast.config import ServeSettings, Settings, ViewSettings, load_settings
from latentcast.errors import LatentcastError, UserError

EXIT_USER_ERROR = 2

app = typer.Typer(
    name="latentcast",
    help="Live video over a neural codec: DCVC-RT latents on WebRTC data channels, with the delay measured.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bench = typer.Typer(help="Measure. Numbers in the README come from here.", no_args_is_help=True)
app.add_typer(bench, name="bench")

SizeOption = Annotated[
    str | None, typer.Option("--size", metavar="WxH", help="Coded picture; the source is fitted into it.")
]
ConfigOption = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="TOML file with settings.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens.")]


ProfileOption = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="Codec: nano, or dcvc-rt, the paper's.")
]
DeviceOption = Annotated[str | None, typer.Option("--device", metavar="NAME", help="auto, cpu or cuda.")]
PrecisionOption = Annotated[
    str | None, typer.Option("--precision", metavar="NAME", help="Of nano on a CPU: auto, float32 or bfloat16.")
]
ImageOption = Annotated[
    Path | None, typer.Option("--weights-image", metavar="FILE", help="cvpr2025_image.pth.tar, for dcvc-rt.")
]
VideoOption = Annotated[
    Path | None, typer.Option("--weights-video", metavar="FILE", help="cvpr2025_video.pth.tar, for dcvc-rt.")
]

SkipOption = Annotated[
    str, typer.Option("--skip-threshold", metavar="T", help="dcvc-rt: leave out smaller scales; a number, or none.")
]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """`640x360` as (width, height). Raises UserError."""
    if text is None:
        return None
    width, cross, height = text.lower().partition("x")
    # Five digits are plenty, and only 0 to 9: isdigit alone also takes superscripts.
    if not (cross and all(side.isascii() and side.isdigit() and len(side) <= 5 for side in (width, height))):
        raise UserError(f"the size {text!r} was not understood; write width x height in pixels, such as 640x360.")
    return int(width), int(height)


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


def _module(name: str) -> Any:
    """Import when needed; also keeps this folder from depending on the others when it is imported."""
    return importlib.import_module(name)


@app.command()
def serve(
    source: Annotated[
        list[str] | None, typer.Option("--source", "-s", help="`pattern` or a video file; may be repeated.")
    ] = None,
    size: SizeOption = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 0.0.0.0 for every interface.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 picks a free one.")] = None,
    stream: Annotated[str | None, typer.Option(help="Name of the stream.")] = None,
    max_bitrate: Annotated[int | None, typer.Option(help="Upper limit of the rate to a viewer, bit/s.")] = None,
    max_viewers: Annotated[int | None, typer.Option(help="More are told to come back later.")] = None,
    token: Annotated[str | None, typer.Option(help="Viewers must send this token.", envvar=None)] = None,
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
        "token": token,
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
        typer.echo(f"Serving {settings.stream!r} at {url} (watch it with: latentcast view {url})")

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(server.serve(settings, announce=announce))


@app.command()
def view(
    url: Annotated[str | None, typer.Argument(help="Server, or WHEP endpoint of a stream.")] = None,
    stream: Annotated[str | None, typer.Option(help="Stream to watch.")] = None,
    headless: Annotated[bool | None, typer.Option("--headless", help="No window.")] = None,
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
    """Watch a stream. Keys: i numbers, f full screen, s screenshot, q quit."""
    _log(verbose)
    flags = {
        "url": url,
        "stream": stream,
        "headless": headless,
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
    result = client.view(settings, notice=lambda text: typer.echo(text, err=True))
    if result is not None:
        _module("latentcast.summary").print_summary(result, folder=settings.report)


@app.command()
def demo(
    source: Annotated[
        list[str] | None, typer.Option("--source", "-s", help="`pattern` or a video file. Default: the demo clips.")
    ] = None,
    size: SizeOption = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second. Default: the source's own.")] = None,
    seconds: Annotated[float, typer.Option(help="How long to stream.", min=1.0)] = 20.0,
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
def doctor() -> None:
    """Check that this installation can code, decode and show, and say how fast."""
    _module("bench.doctor").run()


@bench.command("speed")
def bench_speed(
    size: Annotated[str, typer.Option("--size", metavar="WxH")] = "640x360",
    frames: Annotated[int, typer.Option(min=20)] = 120,
    qp: Annotated[int, typer.Option(min=0, max=63)] = 32,
    profile: Annotated[list[str] | None, typer.Option(help="nano or dcvc-rt; may be repeated. Default: all.")] = None,
    engine: Annotated[list[str] | None, typer.Option(help="simd, onnx or torch; may be repeated.")] = None,
    weights_image: ImageOption = None,
    weights_video: VideoOption = None,
    slow_size: Annotated[str, typer.Option(metavar="WxH", help="Of engines far from real time.")] = "320x180",
    intra: Annotated[bool, typer.Option("--intra", help="The modules of intra frames too.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer frames and sizes.")] = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the figures as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the tables as Markdown.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw cost against picture size as PNG.")] = None,
) -> None:
    """Encode and decode time, stage by stage and module by module, beside what this machine could do at most."""
    _module("bench.speed").run(
        size=parse_size(size),
        frames=frames,
        qp=qp,
        profiles=profile or (),
        engines=engine or (),
        weights_image=weights_image,
        weights_video=weights_video,
        slow_size=parse_size(slow_size),
        intra=intra,
        quick=quick,
        json=json,
        markdown=markdown,
        plot=plot,
    )


@bench.command("rd")
def bench_rd(
    clips: Annotated[
        list[Path] | None, typer.Argument(metavar="CLIPS...", help="Videos or raw .yuv. Default: the demo clips.")
    ] = None,
    profile: Annotated[
        list[str] | None, typer.Option(help="nano, nano:bfloat16, dcvc-rt or none; may be repeated.")
    ] = None,
    codec: Annotated[
        list[str] | None, typer.Option(help="NAME[:PRESET][@POINTS]: x264, x265, svt-av1, vp9, or none.")
    ] = None,
    external: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="TOML file of an encoder; may be repeated.")
    ] = None,
    frames: Annotated[int, typer.Option(min=0, help="Frames of each clip, 0 for all.")] = 96,
    size: Annotated[str | None, typer.Option("--size", metavar="WxH", help="Shrink larger clips to fit.")] = None,
    qp: Annotated[str | None, typer.Option(help="Base QPs of the profiles, such as 0,21,42,63.")] = None,
    anchor: Annotated[str | None, typer.Option(help="Compare with this codec, or with vtm.")] = None,
    device: DeviceOption = None,
    weights_image: ImageOption = None,
    weights_video: VideoOption = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the figures as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the tables as Markdown.")] = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw the curves as PNGs there.")] = None,
) -> None:
    """Rate and distortion of our profiles beside other encoders, on any clips."""
    _module("bench.rd.command").run(
        clips=clips or (),
        profiles=profile or (),
        codecs=codec or (),
        externals=external or (),
        frames=frames,
        size=parse_size(size),
        points=None if qp is None else _module("bench.rd.selection").parse_points(qp),
        anchor=anchor,
        device=device or "cpu",
        weights_image=weights_image,
        weights_video=weights_video,
        json=json,
        markdown=markdown,
        plots=plots,
    )


@bench.command("gpu")
def bench_gpu(
    size: Annotated[str, typer.Option("--size", metavar="WxH")] = "1920x1080",
    frames: Annotated[int, typer.Option(min=20)] = 200,
    qp: Annotated[int, typer.Option(help="Base QP.", min=0, max=63)] = 32,
    profile: Annotated[str, typer.Option(help="dcvc-rt or nano.")] = "dcvc-rt",
    device: Annotated[str, typer.Option(help="cuda, or cpu to try the command out.")] = "cuda",
    weights_image: ImageOption = None,
    weights_video: VideoOption = None,
    drift_frames: Annotated[int, typer.Option(min=0, help="Length of the chain held against drift.")] = 1000,
    loopback_seconds: Annotated[float, typer.Option(min=0, help="How long to stream live; 0: not.")] = 10.0,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the figures as JSON.")] = None,
) -> None:
    """Speed, memory, equality with the plain network, drift and live latency on a GPU."""
    _module("codec.profiles").need_torch("bench gpu")
    _module("bench.gpu").run(
        size=parse_size(size),
        frames=frames,
        qp=qp,
        profile=profile,
        device=device,
        weights_image=weights_image,
        weights_video=weights_video,
        drift_frames=drift_frames,
        loopback_seconds=loopback_seconds,
        json=json,
    )


@bench.command("fidelity")
def bench_fidelity(
    report: Annotated[Path, typer.Argument(metavar="DIR", help="Report folder of a demo of one file with --psnr.")],
    source: Annotated[Path, typer.Argument(metavar="VIDEO", help="The file that was streamed.")],
) -> None:
    """Compare a demo's PSNR with that of plain encode and decode at the same QPs: what does the network path lose?"""
    _module("bench.fidelity").run(report=report, source=source)


@bench.command("startup")
def bench_startup(
    runs: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    """Time from `latentcast view` to the first picture, cold and after a reconnect; size of the base install."""
    _module("bench.startup").run(runs=runs)


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
