"""The command line's second floor: `latentcast bench ...`. Numbers in the README and docs come from here."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from latentcast.cli_options import DeviceOption, ImageOption, VideoOption, parse_size
from latentcast.cli_options import load_module as _module

bench = typer.Typer(help="Measure. Numbers in the README come from here.", no_args_is_help=True)


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


@bench.command("network")
def bench_network(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILES...", help="Scenarios. Default: those that come with it.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Runs of each. Default: what the file says.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes. Default: one a core.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the results as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table as Markdown.")] = None,
    trace: Annotated[Path | None, typer.Option(metavar="FILE", help="Only write one run's time series as CSV.")] = None,
    trace_seed: Annotated[int, typer.Option(help="Seed of that run.")] = 1,
) -> None:
    """Run network scenarios in simulated time: TOML files (docs/scenarios.md), ours in bench/network/scenarios; exit
    code 1 when a check fails."""
    run = _module("bench.network.command").run
    passed = run(
        files=files or (), seeds=seeds, jobs=jobs, json=json, markdown=markdown, trace=trace, trace_seed=trace_seed
    )
    raise typer.Exit(0 if passed else 1)


@bench.command("loss")
def bench_loss(
    clips: Annotated[
        list[Path] | None, typer.Argument(metavar="CLIPS...", help="Videos. Default: two demo clips.")
    ] = None,
    size: Annotated[str | None, typer.Option("--size", metavar="WxH", help="Shrink larger clips to fit.")] = None,
    seconds: Annotated[float, typer.Option(min=0.5, help="Of each clip, after 1.5 s that do not count.")] = 4.0,
    rate: Annotated[float, typer.Option(min=50, metavar="KBIT", help="All that is sent, kbit/s.")] = 600.0,
    loss: Annotated[str | None, typer.Option(metavar="LIST", help="Per cents, such as 0,1,5,20.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 1,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes. Default: one a core.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the figures as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the tables as Markdown.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw quality against loss as PNG.")] = None,
) -> None:
    """Quality when packets are lost, nano beside x264 through the same link with the same repair."""
    command = _module("bench.loss.command")
    command.run(
        clips=clips or (),
        size=parse_size(size),
        seconds=seconds,
        rate_bps=1000 * rate,
        losses=command.parse_losses(loss),
        seeds=seeds,
        jobs=jobs,
        json=json,
        markdown=markdown,
        plot=plot,
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


@bench.command("whip")
def bench_whip(
    size: Annotated[str, typer.Option("--size", metavar="WxH")] = "640x360",
    fps: Annotated[int, typer.Option(min=1, max=60)] = 30,
    seconds: Annotated[float, typer.Option(min=2, help="How long to measure each publisher.")] = 20.0,
    codec: Annotated[str, typer.Option(help="VP8 or H264. Default: what the page chooses.")] = "",
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the figures as JSON.")] = None,
) -> None:
    """From a browser's camera over WHIP to a viewer: first picture and delay, by timestamps and by the pixels."""
    _module("bench.whip.command").run(size=parse_size(size), fps=fps, seconds=seconds, codec=codec, json=json)


@bench.command("load")
def bench_load(
    url: Annotated[
        str | None, typer.Argument(metavar="URL", help="A server. Default: one is started here with the test pattern.")
    ] = None,
    viewers: Annotated[int, typer.Option(min=1, max=1000)] = 4,
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure, after all have joined.")] = 20.0,
    stream: Annotated[str, typer.Option(help="Stream to watch.")] = "live",
    token: Annotated[str | None, typer.Option(help="The server's token.", envvar=None)] = None,
    serve: Annotated[
        str | None, typer.Option(metavar="FLAGS", help='Flags of the server that is started, "--size 320x180 ...".')
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the figures as JSON.")] = None,
) -> None:
    """Viewers that receive and acknowledge without decoding: what they get, and what they cost the server."""
    command = _module("bench.load.command")
    command.run(
        url=url,
        stream=stream,
        viewers=viewers,
        seconds=seconds,
        token=token,
        serve=command.DEFAULT_SERVE if serve is None else tuple(shlex.split(serve)),
        json=json,
    )


@bench.command("dashboard")
def bench_dashboard(
    viewers: Annotated[int, typer.Option(min=0, max=1000)] = 4,
    seconds: Annotated[float, typer.Option(min=1, help="Of each stretch, with and without the dashboard.")] = 10.0,
    rounds: Annotated[int, typer.Option(min=2, help="Stretches of each kind, in turn.")] = 6,
    reader: Annotated[str, typer.Option(help="auto, browser or stream: who looks at it.")] = "auto",
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the figures as JSON.")] = None,
    screenshot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also photograph the page at the end, as PNG; needs a browser.")
    ] = None,
) -> None:
    """What an open dashboard costs the server while viewers watch: processor time with it less that without it."""
    _module("bench.load.dashboard").run(
        viewers=viewers, seconds=seconds, rounds=rounds, reader=reader, json=json, screenshot=screenshot
    )


@bench.command("screen")
def bench_screen(
    grabs: Annotated[int, typer.Option(min=20, help="Of each way and size.")] = 300,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the figures as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table as Markdown.")] = None,
) -> None:
    """What reading an X screen costs, through x11grab and through mss. Starts an Xvfb."""
    _module("bench.screen").run(grabs=grabs, json=json, markdown=markdown)


@bench.command("capture")
def bench_capture(
    seconds: Annotated[float, typer.Option(min=5, help="Of each run, after 3 s that do not count.")] = 20.0,
    runs: Annotated[int, typer.Option(min=1, help="Of each source, in turn.")] = 2,
    size: Annotated[str, typer.Option("--size", metavar="WxH")] = "640x360",
    fps: Annotated[int, typer.Option(min=5, max=60, help="Of the stream, whatever the source does.")] = 30,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the figures as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the table as Markdown.")] = None,
) -> None:
    """The delay of a stream whose source stalls for seconds, or runs at 120 fps, beside one that does neither."""
    parsed = parse_size(size)
    assert parsed is not None
    _module("bench.capture.command").run(seconds=seconds, runs=runs, size=parsed, fps=fps, json=json, markdown=markdown)
