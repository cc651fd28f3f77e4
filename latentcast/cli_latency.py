"""The command line's latency laboratory: `latentcast latency ...` (`docs/latency.md`)."""

from pathlib import Path
from typing import Annotated

import typer

from latentcast.cli_options import (
    DeviceOption,
    ImageOption,
    PrecisionOption,
    ProfileOption,
    SizeOption,
    VideoOption,
    parse_size,
)
from latentcast.cli_options import load_module as _module

latency = typer.Typer(help="Measure latency by methods that do not trust each other.", invoke_without_command=True)


@latency.callback()
def measure(
    context: typer.Context,
    source: Annotated[
        str, typer.Option("--source", "-s", help="`pattern`, or any other source of `serve`.")
    ] = "pattern",
    size: SizeOption = None,
    fps: Annotated[float, typer.Option(help="Frames a second.", min=1, max=240)] = 30.0,
    seconds: Annotated[float, typer.Option(help="Measured, after 5 s of warm-up.", min=1, max=600)] = 20.0,
    max_bitrate: Annotated[int, typer.Option(help="Upper limit of the rate, bit/s.")] = 1_000_000,
    link: Annotated[
        str | None, typer.Option(metavar="LINK", help='Between the two: "rate=2M,delay=30ms,loss=5%", as in `demo`.')
    ] = None,
    sweep: Annotated[bool, typer.Option("--sweep", help="Also against bitrate and loss: some eight minutes.")] = False,
    input_delay: Annotated[bool, typer.Option("--input", help="Also from a key press to the changed pixel.")] = False,
    camera: Annotated[
        str | None,
        typer.Option(
            metavar="DEVICE",
            help="Sees source and viewer: /dev/video0, or screen for screenshots.",
        ),
    ] = None,
    xvfb: Annotated[bool, typer.Option("--xvfb", help="On an Xvfb, even where there is a display.")] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the report goes.")] = Path("latency"),
    profile: ProfileOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    weights_image: ImageOption = None,
    weights_video: VideoOption = None,
) -> None:
    """Stream over loopback to a real window, measure from capture to visible pixels, and write latency.html."""
    if context.invoked_subcommand is not None:
        return
    _module("bench.latency.command").run(
        source=source,
        size=parse_size(size),
        fps=fps,
        seconds=seconds,
        max_bitrate=max_bitrate,
        link=link,
        out=out,
        virtual=xvfb,
        sweep=sweep,
        camera=camera,
        input_delay=input_delay,
        codec={
            "profile": profile,
            "device": device,
            "precision": precision,
            "weights_image": weights_image,
            "weights_video": weights_video,
        },
    )


@latency.command("camera")
def camera_loop(
    device: Annotated[
        str | None, typer.Option(metavar="DEVICE", help="Camera that sees both screens. Default: /dev/video0.")
    ] = None,
    image: Annotated[list[Path] | None, typer.Option(metavar="FILE", help="Photograph; may be repeated.")] = None,
    video: Annotated[Path | None, typer.Option(metavar="FILE", help="Film of both screens.")] = None,
    seconds: Annotated[float, typer.Option(help="How long to look through a camera.", min=1, max=600)] = 10.0,
    fps: Annotated[float, typer.Option(help="Of the pattern, for the error of a picture.", min=1, max=240)] = 30.0,
    into: Annotated[Path | None, typer.Option(metavar="DIR", help="Report that the result is put into.")] = None,
) -> None:
    """Read the bar codes of source and viewer out of photographs: delay from glass to glass, without any clock."""
    run = _module("bench.latency.camera.command").run
    run(device=device, images=image or (), video=video, seconds=seconds, fps=fps, into=into)


@latency.command("show-source")
def show_source(
    size: SizeOption = None,
    fps: Annotated[float, typer.Option(help="Frames a second.", min=1, max=240)] = 30.0,
    window: Annotated[bool, typer.Option("--window", help="In a window, not on the full screen.")] = False,
    seconds: Annotated[float | None, typer.Option(help="Stop after so long. Default: at Esc or q.", min=0.1)] = None,
) -> None:
    """Show the test pattern with its bar code: the camera loop's source, or something for --source screen to see."""
    show = _module("bench.latency.camera.source").show_source
    show(size=parse_size(size) or (640, 360), fps=fps, full_screen=not window, seconds=seconds)


@latency.command("input")
def input_to_pixel(
    size: SizeOption = None,
    fps: Annotated[float, typer.Option(help="Frames a second.", min=1, max=240)] = 30.0,
    presses: Annotated[int, typer.Option(help="Keys pressed.", min=1, max=2000)] = 50,
    into: Annotated[Path | None, typer.Option(metavar="DIR", help="Report that the result is put into.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the figures as JSON.")] = None,
    profile: ProfileOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
) -> None:
    """Press keys on a desktop under Xvfb as a viewer does, and wait for the pixel to change."""
    flags = _module("bench.latency.session").codec_flags
    _module("bench.latency.remote.command").run(
        size=parse_size(size),
        fps=fps,
        presses=presses,
        codec=flags({"profile": profile, "device": device, "precision": precision}),
        into=into,
        out=json,
    )
