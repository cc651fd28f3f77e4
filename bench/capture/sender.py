"""A network camera for measurements: the test pattern as H.264 in MPEG-TS over HTTP, in a process of its own.

    python -m bench.capture.sender --size 640x360 --fps 120 --stall 2 --every 5

Coded once beforehand, so that sending costs next to nothing. Prints `port N` when it can be connected to. With --stall
it falls silent for so long, every so often: nothing is sent, and nothing is made up for afterwards, as with a camera.
"""

import argparse
import socket
import time
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from codec.colour import planes_to_frame
from server.sources.pattern import PatternSource

LOOP_S = 10
"""Length of what is coded; then it starts again."""
_TICKS_Hz = 90_000


class _Drawn:
    """The pattern in simulated time: drawn as fast as it goes."""

    def __init__(self, size: tuple[int, int], fps: float) -> None:
        self._now_us = 0
        self._source = PatternSource(size=size, fps=fps, clock=lambda: self._now_us, wait=self._wait)
        self._planes = np.empty((3, size[1], size[0]), np.uint8)

    def _wait(self, seconds: float) -> None:
        self._now_us += max(1, round(seconds * 1e6))

    def frame(self, number: int) -> av.VideoFrame:
        self._source.read(self._planes, frame_id=number)
        return planes_to_frame(self._planes).reformat(format="yuv420p")


def coded(size: tuple[int, int], fps: int) -> list[tuple[bytes, bool]]:
    """The pattern's frames, coded, and which are key frames: one each second."""
    drawn = _Drawn(size, fps)
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = size[0], size[1], "yuv420p"
    context.framerate, context.time_base, context.gop_size = Fraction(fps), Fraction(1, fps), fps
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "20"}
    found = []
    for number in range(LOOP_S * fps):
        frame = drawn.frame(number)
        frame.pts, frame.time_base = number, Fraction(1, fps)
        found += [(bytes(packet), packet.is_keyframe) for packet in context.encode(frame)]
    return found + [(bytes(packet), packet.is_keyframe) for packet in context.encode(None)]


def schedule(fps: int, *, stall_s: float, every_s: float) -> Iterator[tuple[int, float]]:
    """Number and time (s) of every frame that is sent. A stall is a gap in the times, not in the numbers: the coded
    frames build on each other, as a camera's do that goes on after it."""
    sent = tick = 0
    while True:
        at = tick / fps
        # Before the first whole period there is none: a viewer has to see something first.
        if not stall_s or at < every_s or at % every_s >= stall_s:
            yield sent, at
            sent += 1
        tick += 1


class _Stream:
    """What PyAV writes a container into."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def write(self, data: bytes) -> int:
        self._connection.sendall(data)
        return len(data)


def send(
    connection: socket.socket, frames: list[tuple[bytes, bool]], size: tuple[int, int], args: argparse.Namespace
) -> None:
    """One client, until it goes away (OSError)."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n")
    container = av.open(_Stream(connection), "w", format="mpegts", options={"flush_packets": "1"})
    stream = container.add_stream("libx264", rate=args.fps)
    stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuv420p"
    start = time.monotonic()
    for number, at in schedule(args.fps, stall_s=args.stall, every_s=args.every):
        time.sleep(max(0.0, start + at - time.monotonic()))
        data, key = frames[number % len(frames)]
        packet = av.Packet(data)
        packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, _TICKS_Hz), key
        packet.pts = packet.dts = round(at * _TICKS_Hz)
        container.mux_one(packet)


def main() -> None:
    """Serve one client after the other until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--stall", type=float, default=0.0)
    parser.add_argument("--every", type=float, default=5.0)
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    frames = coded((width, height), args.fps)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"port {listener.getsockname()[1]}", flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                try:
                    send(connection, frames, (width, height), args)
                except OSError:
                    continue  # it has gone; the next one


if __name__ == "__main__":
    main()
