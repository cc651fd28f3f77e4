"""Little servers on loopback that stand in for cameras and encoders: HTTP, RTSP and RTMP, scripted."""

import io
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Self, TypeAlias

import av
import numpy as np

Script: TypeAlias = Callable[[socket.socket, threading.Event], None]
"""What a server does with a connection, until the event is set."""

TS_PACKET = 188
RTP_TS_PAYLOAD_TYPE = 33
"""RFC 3551: MP2T."""


def clip(
    *, frames: int = 30, size: tuple[int, int] = (160, 96), fps: int = 30, level: int = 120, form: str = "mpegts"
) -> bytes:
    """A grey clip of that luma in the container `form`, a key frame every five frames."""
    target = io.BytesIO()
    with av.open(target, "w", format=form) as container:
        stream: Any = container.add_stream({"mpegts": "mpeg2video", "flv": "flv"}.get(form, "mpeg4"), rate=fps)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.gop_size = 5
        stream.codec_context.max_b_frames = 0
        for number in range(frames):
            picture = np.full((size[1] * 3 // 2, size[0]), 128, np.uint8)
            picture[: size[1]] = level
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return target.getvalue()


class Server:
    """Accepts connections on 127.0.0.1 and runs one script for each: the first for the first, the last for all later
    ones. A script gets the connection and an event that is set when it has to end."""

    def __init__(self, *scripts: Script, port: int = 0) -> None:
        self._scripts = scripts
        self.connections = 0
        self._ending = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(0.05)
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, name="server", daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _accept(self) -> None:
        while not self._ending.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(script, connection), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, script: Script, connection: socket.socket) -> None:
        with connection:
            try:
                script(connection, self._ending)
            except OSError:
                return  # the client has gone


def http(*parts: bytes, status: str = "200 OK", stay: bool = False, sized: bool = False) -> Script:
    """An HTTP answer with these parts as its body, of a length that is told (`sized`) or not; then the end, or silence
    (`stay`)."""

    def script(connection: socket.socket, ending: threading.Event) -> None:
        read_head(connection)
        length = f"Content-Length: {sum(map(len, parts))}\r\n" if sized else ""
        connection.sendall(f"HTTP/1.1 {status}\r\n{length}Connection: close\r\n\r\n".encode())
        for part in parts:
            connection.sendall(part)
        if stay:
            ending.wait(30)

    return script


def read_head(connection: socket.socket) -> str:
    """A request up to its empty line. Raises OSError when the client has gone."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(4096)
        if not data:
            raise OSError("gone")
        head += data
    return head.decode("latin-1")


def rtsp(stream: bytes, *, stay: bool = True) -> Script:
    """An RTSP server (RFC 2326) that plays an MPEG-TS clip as RTP in the RTSP connection (interleaved)."""

    def script(connection: socket.socket, ending: threading.Event) -> None:
        while True:
            head = read_head(connection)
            method = head.split(" ", 1)[0]
            number = next(line.split(":")[1].strip() for line in head.split("\r\n") if line.lower().startswith("cseq:"))
            headers, body = [f"CSeq: {number}"], ""
            if method == "DESCRIBE":
                body = (
                    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track\r\n"
                )
                headers += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
            elif method == "SETUP":
                headers += ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1"]
            elif method == "OPTIONS":
                headers += ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"]
            else:
                headers += ["Session: 1"]
            connection.sendall(("RTSP/1.0 200 OK\r\n" + "\r\n".join(headers) + "\r\n\r\n" + body).encode())
            if method == "PLAY":
                for packet in rtp_packets(stream):
                    connection.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)
                if stay:
                    ending.wait(30)
                return

    return script


def rtp_packets(stream: bytes) -> Iterator[bytes]:
    """RTP packets (RFC 3550) of seven TS packets each (RFC 2250)."""
    for number, start in enumerate(range(0, len(stream), 7 * TS_PACKET)):
        head = bytes([0x80, RTP_TS_PAYLOAD_TYPE]) + number.to_bytes(2, "big") + (number * 3000).to_bytes(4, "big")
        yield head + b"test" + stream[start : start + 7 * TS_PACKET]


def rtmp(stream: bytes) -> Script:
    """An RTMP server (Adobe's RTMP 1.0) that plays an FLV clip to whoever asks, and then is silent.

    It knows a client's commands by their names in the bytes that come, and does not read the rest.
    """

    def script(connection: socket.socket, ending: threading.Event) -> None:
        hello = read_exactly(connection, 1 + 1536)
        connection.sendall(b"\3" + bytes(1536) + hello[1:])
        read_exactly(connection, 1536)
        heard = b""
        for command in (b"connect", b"createStream", b"play"):
            while (place := heard.find(command + b"\0")) < 0 or len(heard) < place + len(command) + 9:
                data = connection.recv(4096)
                if not data:
                    raise OSError("gone")
                heard += data
            number = struct.unpack_from(">d", heard, place + len(command) + 1)[0]
            if command == b"connect":
                connection.sendall(rtmp_message(1, struct.pack(">I", 65536)))  # chunks of that size from now on
                connection.sendall(
                    rtmp_message(20, amf("_result", number, None, {"code": "NetConnection.Connect.Success"}))
                )
            elif command == b"createStream":
                connection.sendall(rtmp_message(20, amf("_result", number, None, 1.0)))
        started = amf("onStatus", 0.0, None, {"level": "status", "code": "NetStream.Play.Start"})
        connection.sendall(rtmp_message(20, started, stream=1))
        place = 13  # after the header and the size of no tag
        while place + 11 <= len(stream):
            kind, size = stream[place], int.from_bytes(stream[place + 1 : place + 4], "big")
            time_ms = int.from_bytes(stream[place + 4 : place + 7], "big")
            body = stream[place + 11 : place + 11 + size]
            connection.sendall(rtmp_message(kind, body, stream=1, time_ms=time_ms))
            place += 11 + size + 4
        ending.wait(30)

    return script


def read_exactly(connection: socket.socket, count: int) -> bytes:
    """So many bytes. Raises OSError when the client has gone."""
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise OSError("gone")
        data += part
    return data


def rtmp_message(kind: int, body: bytes, *, stream: int = 0, time_ms: int = 0) -> bytes:
    """A message of one chunk, with the full header."""
    head = time_ms.to_bytes(3, "big") + len(body).to_bytes(3, "big") + bytes([kind]) + stream.to_bytes(4, "little")
    return b"\4" + head + body


def amf(*values: str | float | dict[str, str] | None) -> bytes:
    """Values in Action Message Format 0."""
    coded = b""
    for value in values:
        if value is None:
            coded += b"\5"
        elif isinstance(value, str):
            coded += b"\2" + struct.pack(">H", len(value)) + value.encode()
        elif isinstance(value, float):
            coded += b"\0" + struct.pack(">d", value)
        else:
            fields = (struct.pack(">H", len(name)) + name.encode() + amf(text) for name, text in value.items())
            coded += b"\3" + b"".join(fields) + b"\0\0\t"
    return coded
