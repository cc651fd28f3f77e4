"""`latentcast bench gpu`: what the GPU engine does on this machine, and whether it does it right.

Measured as section 10.5 of `docs/dcvc-rt.md` as far as a live engine can: batch 1, wall clock of a frame between two
synchronisations, the first 10 frames dropped, plain averages, a reset every 64 pictures. Encoding is padding, network,
entropy coding and writing to memory; decoding is parsing, entropy coding, network and crop. The published figures leave
the transfer of pictures to and from the device out. Here every frame has it, and a second figure estimates what is
left: the frame's time less that of the transfer in another run, that of the stages. There they run one at a time with a
synchronisation behind each, so they add up to more than a frame takes, in which they overlap. It is one clip at one QP.

Nothing in here needs a GPU but the default device: `--device cpu` runs the same code on the networks layer by layer.
"""

import gc
import json as json_module
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bench.gpu_coders import (
    QP,
    RESET_INTERVAL,
    Coder,
    Planes,
    ProfileName,
    Request,
    Staged,
    back_and_forth,
    clip,
    write_synthetic,
)
from client.measurement import describe_machine
from codec.cuda.availability import open_device
from codec.cuda.eager import LayerByLayer
from codec.layout import MAX_QP
from codec.torch_runtime import Runtime
from latentcast import __version__
from latentcast.demo import run_demo
from latentcast.errors import LatentcastError, UserError
from latentcast.report import Percentiles, read_report
from latentcast.statistics import percentiles

WARM_UP = 10
EQUAL_FRAMES = 12
DRIFT_SIZE = (128, 96)
# Far above what any of the sizes needs, so that the network's rate never decides the delay.
LOOPBACK_BITRATE = 200_000_000

Stages = dict[str, list[dict[str, float]]]
Run = tuple[list[float], list[float], list[int], Stages]
"""What `_run` returns."""


@dataclass(frozen=True, slots=True)
class Side:
    """fps: with transfers of pictures. In milliseconds otherwise.

    fps_10_5_estimate: without them, as the published figures; not measured, but subtracted.
    """

    fps: float
    fps_10_5_estimate: float
    total: Percentiles
    stages: dict[str, Percentiles]


@dataclass(frozen=True, slots=True)
class GpuResult:
    """equal_frames, drift_frames: how many frames were compared. qp: before the quality cycle.

    memory_allocated_mib, memory_reserved_mib: most of one encoder and one decoder at work, None on a CPU; reserved is
    what nobody else can have. reset_interval: in pictures, None where the profile has none. loopback_ms: captured to
    presented; where it is None, loopback_error says what failed or loopback_note why it was left out.
    """

    device: str
    profile: str
    weights: str
    precision: str
    width: int
    height: int
    frames: int
    qp: int
    reset_interval: int | None
    bits_per_pixel: float
    encode: Side
    decode: Side
    memory_allocated_mib: float | None
    memory_reserved_mib: float | None
    equal_frames: int
    drift_frames: int
    loopback_ms: Percentiles | None
    loopback_error: str | None
    loopback_note: str | None


def measure(request: Request) -> GpuResult:
    """Everything. Raises UserError when the result is wrong, which is worth more than any figure."""
    frames = clip(request.size)
    count = request.frames + WARM_UP + 1
    (encode_ms, decode_ms, coded_bytes, _), (allocated, reserved) = _plain_run(request, frames, count)
    _let_go(request.device)
    spent: dict[str, float] = defaultdict(float)
    _, _, _, stages = _run(request.coder(lambda: Staged(request.runtime(), spent)), frames, count, lambda: None, spent)
    _let_go(request.device)
    equal_frames = check_equal(request, frames)
    _let_go(request.device)
    drift_frames = check_drift(request)
    _let_go(request.device)
    loopback_ms, loopback_error, loopback_note = _loopback(request)
    width, height = request.size
    return GpuResult(
        device=_device_name(request.device),
        profile=request.profile,
        weights="shipped" if request.profile == "nano" else "synthetic" if request.weights is None else "checkpoints",
        precision=str(request.dtype).removeprefix("torch."),
        width=width,
        height=height,
        frames=request.frames,
        qp=request.qp,
        reset_interval=RESET_INTERVAL if request.profile == "dcvc-rt" else None,
        bits_per_pixel=8 * sum(coded_bytes) / (len(coded_bytes) * width * height),
        encode=_side(encode_ms, stages["encode"], "picture upload"),
        decode=_side(decode_ms, stages["decode"], "picture download"),
        memory_allocated_mib=allocated,
        memory_reserved_mib=reserved,
        equal_frames=equal_frames,
        drift_frames=drift_frames,
        loopback_ms=loopback_ms,
        loopback_error=loopback_error,
        loopback_note=loopback_note,
    )


def _plain_run(request: Request, frames: Sequence[Planes], count: int) -> tuple[Run, tuple[float | None, float | None]]:
    """One encoder and one decoder at work, and the most MiB that were allocated and reserved meanwhile."""
    on_gpu = request.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(request.device)
    runtimes: list[Runtime] = []

    def plain() -> Runtime:
        runtimes.append(request.runtime())
        return runtimes[-1]

    found = _run(request.coder(plain), frames, count, _waiting(runtimes))
    if not on_gpu:
        return found, (None, None)
    peaks = torch.cuda.max_memory_allocated(request.device), torch.cuda.max_memory_reserved(request.device)
    return found, (round(peaks[0] / 2**20, 1), round(peaks[1] / 2**20, 1))


def _let_go(device: torch.device) -> None:
    """Give back what the part before held: the next, another process in the end, needs the memory."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _waiting(runtimes: list[Runtime]) -> Callable[[], None]:
    def wait() -> None:
        for runtime in runtimes:
            runtime.synchronize()

    return wait


def _run(
    coder: Coder,
    frames: Sequence[Planes],
    count: int,
    synchronize: Callable[[], None],
    spent: dict[str, float] | None = None,
) -> Run:
    """One intra frame and then P frames. Milliseconds of encoding and decoding, bytes, and stages, warm-up dropped."""
    encode_ms, decode_ms, sizes = [], [], []
    stages: Stages = {"encode": [], "decode": []}
    state = decoded = None
    for number, planes in enumerate(back_and_forth(frames, count)):
        marks = [time.perf_counter()]
        for side in ("encode", "decode"):
            if spent is not None:
                spent.clear()
            if side == "encode":
                state, data = coder.encode(state, planes, number)
            else:
                decoded, _ = coder.decode(decoded, data, number)
            synchronize()
            marks.append(time.perf_counter())
            if spent is not None:
                stages[side].append({**spent, "entropy coding": 1e3 * coder.entropy_s})
        encode_ms.append(1e3 * (marks[1] - marks[0]))
        decode_ms.append(1e3 * (marks[2] - marks[1]))
        sizes.append(len(data))
    kept = slice(WARM_UP + 1, None)
    return encode_ms[kept], decode_ms[kept], sizes[kept], {side: rows[kept] for side, rows in stages.items()}


def _side(total_ms: list[float], rows: list[dict[str, float]], picture: str) -> Side:
    names = sorted({name for row in rows for name in row})
    stages = {name: percentiles([row.get(name, 0.0) for row in rows]) for name in names}
    mean = float(np.mean(total_ms))
    transfer = float(np.mean([row.get(picture, 0.0) for row in rows]))
    return Side(round(1e3 / mean, 1), round(1e3 / max(mean - transfer, 1e-3), 1), percentiles(total_ms), stages)


def check_equal(request: Request, frames: Sequence[Planes]) -> int:
    """Graphs against the same network layer by layer on the same device: bytes and pictures, to the last bit."""
    one = request.coder(request.runtime)
    other = request.coder(lambda: LayerByLayer(request.device, request.dtype))
    states: list[Any] = [None] * 4
    for number, planes in enumerate(back_and_forth(frames, EQUAL_FRAMES)):
        states[0], data = one.encode(states[0], planes, number)
        states[1], expected = other.encode(states[1], planes, number)
        if data != expected:
            raise UserError(
                f"frame {number} is coded otherwise by captured graphs than layer by layer: do not use them."
            )
        states[2], shown = one.decode(states[2], data, number)
        states[3], wanted = other.decode(states[3], data, number)
        if not np.array_equal(shown, wanted):
            raise UserError(
                f"frame {number} decodes otherwise in captured graphs than layer by layer: do not use them."
            )
    return EQUAL_FRAMES


def check_drift(request: Request) -> int:
    """A long stream at a small size: encoder and decoder must hold the same state to the last bit at its end."""
    runtimes = [request.runtime(), request.runtime()]
    waiting = list(runtimes)
    coder = request.coder(lambda: runtimes.pop(0), DRIFT_SIZE)
    state: Any = None
    decoded: Any = None
    for number, planes in enumerate(back_and_forth(clip(DRIFT_SIZE), request.drift_frames)):
        state, data = coder.encode(state, planes, number)
        decoded, _ = coder.decode(decoded, data, number)
    _waiting(waiting)()
    if request.drift_frames and not torch.equal(state, decoded):
        raise UserError(
            f"encoder and decoder hold different states after {request.drift_frames} frames: do not use them."
        )
    return request.drift_frames


def _loopback(request: Request) -> tuple[Percentiles | None, str | None, str | None]:
    """Delay, what failed, and why it was left out: one of the three, or none where nobody asked.

    What was measured before must not be lost to a process that does not start.
    """
    if request.loopback_seconds <= 0:
        return None, None, None
    if request.device.index not in (None, 0):
        return None, None, f"no loopback: live streams run on the first GPU, not on {request.device}"
    try:
        return _stream_live(request), None, None
    except LatentcastError as error:
        return None, str(error), None
    except SystemExit as error:
        return None, f"a process of the live stream ended with exit code {error.code}; it says why above.", None


def _stream_live(request: Request) -> Percentiles:
    """A real server and a real viewer, as `latentcast demo`."""
    with tempfile.TemporaryDirectory(prefix="latentcast-") as name:
        folder = Path(name)
        codec: dict[str, object] = {"profile": request.profile, "device": request.device.type}
        if request.profile == "dcvc-rt":
            image, video = request.weights or write_synthetic(folder)
            codec |= {"weights_image": image, "weights_video": video}
        run_demo(
            sources=(),
            size=request.size,
            fps=None,
            seconds=request.loopback_seconds,
            max_bitrate=LOOPBACK_BITRATE,
            headless=True,
            psnr=False,
            report=folder / "report",
            codec=codec,
        )
        return read_report(folder / "report" / "report.json").latency_ms.total


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, layer by layer"


def describe_gpu(device: torch.device) -> dict[str, str]:
    """What figures depend on besides the program."""
    found = {"torch": torch.__version__, "device": _device_name(device)}
    if device.type != "cuda":
        return found
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", f"--id={device.index or 0}"]
    try:
        driver = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        driver = "unknown"
    major, minor = torch.cuda.get_device_capability(device)
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return found | {
        "capability": f"{major}.{minor}",
        "driver": driver,
        "cuda": torch.version.cuda or "none",
        "cudnn": str(cudnn),
    }


def run(
    *,
    size: tuple[int, int],
    frames: int = 200,
    profile: ProfileName = "dcvc-rt",
    device: str = "cuda",
    weights_image: Path | None = None,
    weights_video: Path | None = None,
    drift_frames: int = 1000,
    loopback_seconds: float = 10.0,
    json: Path | None = None,
    qp: int = QP,
) -> None:
    """Measure, check, print, and write JSON when asked. qp: 0..63, before the quality cycle.

    Raises UserError where there is no such device; LatentcastError, when all is written, where the loopback failed.
    """
    if not 0 <= qp <= MAX_QP:
        raise UserError(f"the QP is {qp}; choose one of 0 to {MAX_QP}.")
    if (weights_image is None) != (weights_video is None):
        raise UserError("one of two checkpoints was given; give both --weights-image and --weights-video, or neither.")
    weights = None if weights_image is None or weights_video is None else (weights_image, weights_video)
    where = torch.device("cpu") if device == "cpu" else open_device(device)
    result = measure(Request(where, profile, weights, size, frames, drift_frames, loopback_seconds, qp))
    show(result, describe_gpu(where))
    if json is not None:
        whole = {
            "latentcast": __version__,
            "machine": describe_machine().model_dump(),
            "gpu": describe_gpu(where),
            "result": asdict(result),
        }
        json.write_text(json_module.dumps(whole, indent=2, default=lambda value: value.model_dump()) + "\n")
    if result.loopback_error is not None:
        raise LatentcastError(f"everything but the loopback was measured; it failed: {result.loopback_error}")


def show(result: GpuResult, gpu: dict[str, str]) -> None:
    console = Console(highlight=False)
    table = Table(
        title=f"{result.profile} ({result.weights} weights) on {result.device}, {result.precision}, "
        f"{result.width}x{result.height}, batch 1, QP {result.qp}, {result.bits_per_pixel:.3f} bit a pixel"
    )
    for column in ("ms", "encode p50", "p95", "decode p50", "p95"):
        table.add_column(column, justify="right")
    pairs: list[tuple[str, Percentiles | None, Percentiles | None]] = [
        ("frame", result.encode.total, result.decode.total)
    ]
    names = list(dict.fromkeys((*result.encode.stages, *result.decode.stages)))
    for name in names:
        pairs.append((name, result.encode.stages.get(name), result.decode.stages.get(name)))  # noqa: PERF401
    for name, *sides in pairs:
        cells = ["-" if side is None else f"{value:.2f}" for side in sides for value in _p50_p95(side)]
        table.add_row(name, *cells)
    console.print(table)
    console.print(", ".join(f"{name} {value}" for name, value in gpu.items()))
    for name, side in (("encode", result.encode), ("decode", result.decode)):
        console.print(
            f"{name} {side.fps:.1f} fps; {side.fps_10_5_estimate:.1f} fps estimated without the transfer of pictures"
        )
    if result.memory_allocated_mib is not None and result.memory_reserved_mib is not None:
        console.print(
            f"at most {result.memory_allocated_mib:.0f} MiB of the GPU's memory allocated and "
            f"{result.memory_reserved_mib:.0f} MiB reserved, both ends"
        )
    console.print(f"equal to the network layer by layer in {result.equal_frames} frames")
    console.print(f"encoder and decoder in the same state after {result.drift_frames} frames")
    if result.loopback_note is not None:
        console.print(result.loopback_note)
    if result.loopback_ms is not None:
        latency = result.loopback_ms
        console.print(f"loopback, captured to presented: p50 {latency.p50:.1f} ms, p95 {latency.p95:.1f} ms")


def _p50_p95(side: Percentiles | None) -> tuple[float, float]:
    return (0.0, 0.0) if side is None else (side.p50, side.p95)
