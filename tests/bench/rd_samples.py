"""A small moving clip as a raw file, and a program that codes by dropping bits: what the tests of `bench rd` share."""

import sys
from pathlib import Path

import numpy as np

CODER = '''
"""A lossy "codec": keeps the high bits of every byte and packs them with zlib."""
import sys, time, zlib
what, source, target, point = sys.argv[1:5]
data = open(source, "rb").read()
if what == "encode":
    keep = 8 - int(point)
    open(target, "wb").write(zlib.compress(bytes(value >> int(point) << int(point) for value in data)))
elif what == "decode":
    open(target, "wb").write(zlib.decompress(data))
elif what == "fail":
    print("first line"); print("cannot open the licence file.", file=sys.stderr); sys.exit(3)
elif what == "hang":
    time.sleep(600)
elif what == "short":
    open(target, "wb").write(zlib.decompress(data)[:-1])
elif what == "nothing":
    pass
'''


def write_clip(folder: Path, *, name: str = "moving_96x64_30", frames: int = 20) -> Path:
    """A textured gradient that moves a pixel a frame, in 4:2:0."""
    path = folder / f"{name}.yuv"
    rows, columns = np.mgrid[:64, :96]
    with path.open("wb") as file:
        for number in range(frames):
            y = (
                120
                + 50 * np.sin((rows + number) / 5) * np.cos((columns - number) / 7)
                + 10 * np.sin(rows * columns / 9)
            )
            for plane in (y, y[::2, ::2] / 2 + 60, 200 - y[::2, ::2] / 2):
                file.write(plane.clip(0, 255).astype(np.uint8).tobytes())
    return path


def write_coder(folder: Path, *, encode: str = "encode", decode: str = "decode", extra: str = "") -> Path:
    """A TOML file that names the program above; `encode`, `decode`: what it is told to do."""
    program = folder / "coder.py"
    program.write_text(CODER)
    path = folder / "coder.toml"
    path.write_text(
        "[codec]\n"
        'name = "bit dropper"\n'
        "points = [2, 3, 4, 5]\n"
        f'encode = ["{sys.executable}", "{{here}}/coder.py", "{encode}", "{{input}}", "{{output}}", "{{qp}}"]\n'
        f'decode = ["{sys.executable}", "{{here}}/coder.py", "{decode}", "{{input}}", "{{output}}", "{{qp}}"]\n' + extra
    )
    return path
