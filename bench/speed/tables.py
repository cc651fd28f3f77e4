"""The tables of a run, for a terminal of 100 columns and as Markdown."""

from collections.abc import Sequence

from bench.rd.tables import Table
from bench.speed.entropy import EntropyPart
from bench.speed.growth import exponent
from bench.speed.results import EngineResult, Results
from bench.speed.roofline import Ceilings, ModuleCost
from bench.speed.stages import Speed

ABSENT = "-"


def default_table(speed: Speed) -> Table:
    """`nano` as it runs here by default."""
    rows = []
    for name, side in (("encode", speed.encode), ("decode", speed.decode)):
        times = (side.network, side.entropy, side.rest, side.total, side.total_p95)
        rows.append((name, *(f"{value:.2f}" for value in times)))
    title = (
        f"nano {speed.precision}, P frames {speed.width}x{speed.height}, base QP {speed.qp}, "
        f"{speed.bits_per_pixel:.3f} bit a pixel, one thread"
    )
    return Table(title, ("ms, median", "network", "entropy coding", "rest", "total", "p95"), 1, rows)


def entropy_table(parts: Sequence[EntropyPart]) -> Table:
    """The entropy coder of `nano`, part by part."""
    rows: list[tuple[str, ...]] = [
        (part.name, str(part.symbols), f"{part.ms:.3f}", f"{part.symbols / part.ms / 1e3:.1f}" if part.ms else ABSENT)
        for part in parts
    ]
    return Table("entropy coding of nano, one P frame", ("part", "symbols", "ms", "million/s"), 1, rows)


def ceilings_table(ceilings: Ceilings) -> Table:
    """What this machine can do."""
    rows: list[tuple[str, ...]] = [
        ("copy bandwidth, read and write", f"{ceilings.copy_gb_s:.1f} GB/s", ceilings.how["copy"])
    ]
    rows += [
        (f"matrix rate, {precision}", f"{rate:.1f} GMAC/s", ceilings.how[precision])
        for precision, rate in ceilings.gmac_s.items()
    ]
    return Table("ceilings of this machine, one thread", ("ceiling", "measured", "by"), 3, rows)


def stages_table(engines: Sequence[EngineResult]) -> Table:
    """Every engine, stage by stage."""
    rows = []
    for engine in engines:
        stages = engine.stages
        size = f"{stages.width}x{stages.height}"
        for name, side, intra in (
            ("encode", stages.encode, stages.intra_encode_ms),
            ("decode", stages.decode, stages.intra_decode_ms),
        ):
            times = (side.network, side.entropy, side.rest, side.total, side.total_p95, intra)
            fps = 1000 / side.total if side.total else 0.0
            label = f"{engine.candidate.profile} {engine.candidate.engine}"
            rows.append((label, size, name, *(f"{value:.2f}" for value in times), f"{fps:.1f}"))
    columns = ("engine", "size", "P frames", "network", "entropy", "rest", "total", "p95", "intra", "fps")
    notes = [
        f"{engine.candidate.profile} {engine.candidate.engine}: {engine.candidate.name}, {engine.stages.frames} frames"
        for engine in engines
    ]
    return Table("stages, ms a frame, medians", columns, 3, rows, tuple(notes))


def module_tables(engine: EngineResult, ceilings: Ceilings) -> list[Table]:
    """One for each side and kind of frame."""
    tables = []
    for network in engine.networks:
        rows = [_module_row(module, network.ms, engine, ceilings) for module in (*network.modules, network.total)]
        stages = engine.stages
        title = f"{engine.candidate.name}: {network.side} {network.kind} frames {stages.width}x{stages.height}"
        columns = ("module", "ms", "share", "GMAC", "GMAC/s", "least MB", "moved MB", "GB/s", "of limit")
        tables.append(Table(title, columns, 1, rows))
    return tables


def _module_row(module: ModuleCost, whole_ms: float, engine: EngineResult, ceilings: Ceilings) -> tuple[str, ...]:
    work = module.work
    of_limit = ceilings.share(module, engine.candidate.precision)
    return (
        module.name,
        f"{module.ms:.2f}",
        f"{100 * module.ms / whole_ms:.1f} %" if whole_ms else ABSENT,
        f"{work.macs / 1e9:.3f}" if work.macs else ABSENT,
        _rate(work.macs, module.ms),
        f"{work.least_bytes / 1e6:.2f}" if work.least_bytes else ABSENT,
        f"{work.moved_bytes / 1e6:.2f}" if work.moved_bytes else ABSENT,
        _rate(work.moved_bytes, module.ms),
        ABSENT if of_limit is None else f"{100 * of_limit:.0f} %",
    )


def _rate(amount: int, ms: float) -> str:
    """Billions a second."""
    return f"{amount / ms / 1e6:.1f}" if amount and ms else ABSENT


def growth_table(engines: Sequence[EngineResult]) -> Table | None:
    """Time against size; None where it was not measured."""
    rows = []
    notes = []
    for engine in engines:
        label = f"{engine.candidate.profile} {engine.candidate.engine}"
        for point in engine.growth:
            times = (point.encode_ms, point.decode_ms)
            each = (f"{ms / point.megapixels:.1f}" for ms in times)
            size = (f"{point.width}x{point.height}", f"{point.megapixels:.3f}")
            rows.append((label, *size, *(f"{ms:.2f}" for ms in times), *each))
        exponents = [
            exponent([(point.megapixels, ms) for point, ms in zip(engine.growth, times, strict=True)])
            for times in (
                [point.encode_ms for point in engine.growth],
                [point.decode_ms for point in engine.growth],
            )
        ]
        if exponents[0] is not None and exponents[1] is not None:
            notes.append(f"{label}: time grows as megapixels^{exponents[0]:.2f} (encode), ^{exponents[1]:.2f} (decode)")
    if not rows:
        return None
    columns = ("engine", "size", "megapixels", "encode ms", "decode ms", "encode ms/MP", "decode ms/MP")
    return Table("P frames against picture size", columns, 2, rows, tuple(notes))


def all_tables(results: Results) -> list[Table]:
    """In the order in which they are shown."""
    tables = [] if results.speed is None else [default_table(results.speed)]
    if results.entropy:
        tables.append(entropy_table(results.entropy))
    tables.append(ceilings_table(results.ceilings))
    if results.engines:
        tables.append(stages_table(results.engines))
    for engine in results.engines:
        tables += module_tables(engine, results.ceilings)
    growth = growth_table(results.engines)
    return tables if growth is None else [*tables, growth]
