"""Any encoder that is a program: an encode and a decode command in a TOML file (docs/rate-distortion.md).

    [codec]
    name = "HM 18 low delay"
    points = [22, 27, 32, 37]
    encode = ["TAppEncoderStatic", "-i", "{input}", "-b", "{output}", "-q", "{qp}", ...]
    decode = ["TAppDecoderStatic", "-b", "{input}", "-o", "{output}", "-d", "8"]

Commands run without a shell, in a folder that is thrown away afterwards, for `timeout_s` at most.
"""

import os
import shutil
import signal
import subprocess
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bench.rd.clips import Clip, frame_bytes, split_planes
from bench.rd.coding import Coded, Planes
from latentcast.errors import UserError

PLACEHOLDERS = (
    "input",
    "output",
    "width",
    "height",
    "fps",
    "fps_rounded",
    "fps_num",
    "fps_den",
    "qp",
    "frames",
    "here",
)
"""What a command may name in braces."""

_LOG_TAIL_BYTES = 2000
_SHOWN_CHARACTERS = 200


def _template(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        for _, name, spec, conversion in Formatter().parse(word):
            if name is not None and (name not in PLACEHOLDERS or spec or conversion):
                raise ValueError(f"{{{name}}} is unknown; braces may hold {', '.join(PLACEHOLDERS)}")
    whole = " ".join(words)
    if missing := [name for name in ("{input}", "{output}") if name not in whole]:
        raise ValueError(f"it does not use {missing[0]}")
    return words


Command = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1), AfterValidator(_template)]


class ExternalSettings(BaseModel):
    """The table `[codec]` of the TOML file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=40)
    """Shown in tables and plots."""
    settings: str = ""
    """What the reader should know: version, preset, configuration. Printed beside the name."""
    points: tuple[int, ...] = Field(min_length=1)
    """Put in for {qp}, one after the other."""
    encode: Command
    """Program and arguments: reads {input}, the clip, and writes {output}, the coded file whose size counts."""
    decode: Command
    """Program and arguments: reads {input}, the coded file, and writes {output}, the pictures as raw 8-bit 4:2:0."""
    input: Literal["yuv", "y4m"] = "yuv"
    """How the encoder gets the clip: raw planar frames, or with a YUV4MPEG2 header."""
    suffix: str = Field(default=".bin", pattern=r"^\.[A-Za-z0-9]+$")
    """Of the coded file, for programs that go by it."""
    timeout_s: float = Field(default=3600.0, gt=0)
    """Longest that one command may take."""


class ExternalCodec:
    """A program as a codec. Raises UserError for a file that cannot be used, and for a program that is not there."""

    point_name = "QP"

    def __init__(self, path: Path) -> None:
        try:
            data = tomllib.loads(path.read_text("utf-8"))
            unknown = set(data) - {"codec"}
            if unknown or "codec" not in data:
                raise UserError(f"{path} has the tables {sorted(data)}; expected one, [codec].")
            self._settings = ExternalSettings.model_validate(data["codec"])
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}): check the name.") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is not TOML ({error}).") from error
        except ValidationError as error:
            # A misspelt field comes before the one that is missing for it.
            first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
            where = ".".join(map(str, first["loc"]))
            raise UserError(f"{path}: [codec] {where}: {first['msg']}.") from error
        self._here = path.resolve().parent
        self._encode_command = self._found(path, self._settings.encode)
        self._decode_command = self._found(path, self._settings.decode)
        self.name = self._settings.name
        self.settings = self._settings.settings or "external program"
        self.points = self._settings.points

    def _found(self, path: Path, command: tuple[str, ...]) -> tuple[str, ...]:
        """The command with its program's full path: it runs in another folder than the one it was given in."""
        program = command[0].replace("{here}", str(self._here))
        place = shutil.which(program)
        if place is None:
            raise UserError(f"{path}: there is no program {program}; install it or give its full path.")
        return os.path.abspath(place), *command[1:]

    def code(self, clip: Clip, point: int, *, folder: Path) -> Coded:
        """See RateDistortionCodec."""
        source = clip.path.resolve()
        if self._settings.input == "y4m":
            source = folder / "input.y4m"
            _write_y4m(source, clip)
        coded = folder / f"coded{self._settings.suffix}"
        started = time.perf_counter()
        self._run(self._encode_command, clip, point, folder=folder, source=source, target=coded)
        encode_s = time.perf_counter() - started
        if not coded.is_file() or coded.stat().st_size == 0:
            raise UserError(f"the encode command of {self.name} ended well but left no coded file at {{output}}.")
        return Coded(coded.stat().st_size, encode_s, None, self._decode(clip, point, folder=folder, coded=coded))

    def _decode(self, clip: Clip, point: int, *, folder: Path, coded: Path) -> Iterator[Planes]:
        decoded = folder / "decoded.yuv"
        self._run(self._decode_command, clip, point, folder=folder, source=coded, target=decoded)
        one = frame_bytes(clip.width, clip.height)
        length = decoded.stat().st_size if decoded.is_file() else 0
        if length != one * clip.frames:
            raise UserError(
                f"the decode command of {self.name} left {length} bytes at {{output}}; expected {one * clip.frames}, "
                f"{clip.frames} frames of {clip.width}x{clip.height} as raw 8-bit 4:2:0."
            )
        for frame in np.memmap(decoded, np.uint8, "r", shape=(clip.frames, one)):
            yield split_planes(frame, clip.width, clip.height)

    def _run(
        self, command: tuple[str, ...], clip: Clip, point: int, *, folder: Path, source: Path, target: Path
    ) -> None:
        values = {
            "input": str(source),
            "output": str(target),
            "width": clip.width,
            "height": clip.height,
            "fps": f"{float(clip.fps):.3f}".rstrip("0").rstrip("."),
            "fps_rounded": max(1, round(clip.fps)),
            "fps_num": clip.fps.numerator,
            "fps_den": clip.fps.denominator,
            "qp": point,
            "frames": clip.frames,
            "here": str(self._here),
        }
        words = [command[0], *(word.format(**values) for word in command[1:])]
        what = f"the command of {self.name} ({Path(words[0]).name}, {self.point_name} {point}, {clip.name})"
        _bounded(words, what, folder=folder, timeout_s=self._settings.timeout_s)


def _bounded(words: list[str], what: str, *, folder: Path, timeout_s: float) -> None:
    """Run a program to its end, or end it with all that it started. Raises UserError unless it ends with code 0."""
    log = folder / "program.log"
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                words,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(f"{what} cannot be started ({error.strerror}): is it a program?") from error
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise UserError(f"{what} took longer than {timeout_s:g} s and was ended; raise timeout_s.") from None
        finally:
            if process.poll() is None:
                _end(process)
    if code != 0:
        raise UserError(f"{what} ended with code {code}{_last_words(log)}.")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and its children, which share its process group."""
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _last_words(log: Path) -> str:
    """What a program said last, for an error message."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return f", saying: {said[-1][:_SHOWN_CHARACTERS].rstrip('.')}" if said else ""


def _write_y4m(path: Path, clip: Clip) -> None:
    rate = f"F{clip.fps.numerator}:{clip.fps.denominator}"
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{clip.width} H{clip.height} {rate} Ip A1:1 C420\n".encode())
        for planes in clip:
            file.write(b"FRAME\n")
            for plane in planes:
                file.write(plane.data)
