"""`latentcast conformance DIR`: golden vectors of the paper's codec, one line each."""

from pathlib import Path

from rich.console import Console

from codec.dcvc_rt.conformance import run_all


def run(*, folder: Path, weights_image: Path | None = None, weights_video: Path | None = None) -> int:
    """Run every vector of a folder, print, and return the exit code: 0 when all hold, else 1. Raises UserError."""
    console = Console(soft_wrap=True)
    failed = total = 0
    for report in run_all(folder, weights_image=weights_image, weights_video=weights_video):
        console.print(str(report), highlight=False, markup=False)
        total += report.skipped is None
        failed += not report.ok
    if failed:
        console.print(f"{failed} of {total} vectors fail", highlight=False)
    return 1 if failed else 0
