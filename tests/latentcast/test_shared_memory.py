"""Memory shared with a child process, and the ring file of captured pictures."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from latentcast.capture_ring import CaptureRing
from latentcast.errors import UserError
from latentcast.shared_buffer import SharedBuffer

WIDTH, HEIGHT = 64, 48
PICTURE_BYTES = 3 * WIDTH * HEIGHT


def picture(number: int) -> bytes:
    return bytes((number + i) % 251 for i in range(PICTURE_BYTES))


def test_a_child_process_writes_what_the_parent_reads() -> None:
    buffer = SharedBuffer.create(4096)
    assert bytes(buffer.view) == bytes(4096)
    code = (
        "import sys; from latentcast.shared_buffer import SharedBuffer; "
        "SharedBuffer(int(sys.argv[1]), 4096).view[4000:4005] = b'there'"
    )
    subprocess.run([sys.executable, "-c", code, str(buffer.fd)], pass_fds=(buffer.fd,), check=True)
    assert bytes(buffer.view[4000:4005]) == b"there"
    buffer.close()


def test_closing_gives_the_descriptor_back_but_keeps_the_picture() -> None:
    buffer = SharedBuffer.create(64)
    buffer.view[:4] = b"keep"
    fd = buffer.fd
    buffer.close()
    buffer.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    assert bytes(buffer.view[:4]) == b"keep"


def test_captured_pictures_are_found_by_frame_id_until_their_slot_is_used_again(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    writer = CaptureRing.create(path, width=WIDTH, height=HEIGHT)
    reader = CaptureRing.open(path)
    assert (reader.width, reader.height, reader.slots) == (WIDTH, HEIGHT, writer.slots)
    assert reader.read(0) is None, "an empty slot is no picture of frame 0"
    for frame_id in range(writer.slots + 3):
        writer.write(frame_id, picture(frame_id))
    for frame_id in range(3):
        assert reader.read(frame_id) is None
    for frame_id in range(3, writer.slots + 3):
        assert reader.read(frame_id) == picture(frame_id)
    writer.close()
    reader.close()


def test_a_picture_that_is_being_overwritten_is_not_handed_out(tmp_path: Path) -> None:
    path = tmp_path / "ring"
    writer = CaptureRing.create(path, width=WIDTH, height=HEIGHT)
    writer.write(7, picture(7))
    reader = CaptureRing.open(path)
    # What a writer in the middle of the next picture leaves: the new id in front, none behind.
    with path.open("r+b") as file:
        file.seek(20)
        file.write(struct.pack("=Q", 8))
        file.seek(20 + 8 + PICTURE_BYTES)
        file.write(struct.pack("=Q", 0))
    assert reader.read(7) is None
    assert reader.read(8) is None
    writer.close()
    reader.close()


def test_large_pictures_get_a_ring_of_bounded_size(tmp_path: Path) -> None:
    ring = CaptureRing.create(tmp_path / "ring", width=1920, height=1088)
    assert 4 <= ring.slots <= 16
    assert (tmp_path / "ring").stat().st_size < 110 << 20
    ring.close()


@pytest.mark.parametrize("content", [None, b"", b"LCRG", b"x" * 5000, b"LCRG" + struct.pack("=IIII", 1, 64, 48, 9)])
def test_a_file_that_is_no_ring_is_said_to_be_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ring"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=str(path)):
        CaptureRing.open(path)


def test_a_ring_that_cannot_be_written_is_the_users_to_move(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="choose another path"):
        CaptureRing.create(tmp_path / "missing" / "ring", width=WIDTH, height=HEIGHT)
