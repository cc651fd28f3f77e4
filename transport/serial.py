"""Serial number arithmetic (RFC 1982): sequence numbers and ids that wrap around.

`a` is older than `b` when going forwards from `a` to `b` is shorter than going backwards. At exactly half the circle
RFC 1982 leaves the order undefined; here `end` then counts as older, so that an ambiguous number is never "newest".
"""


def serial_distance(start: int, end: int, *, bits: int = 32) -> int:
    """Signed steps from `start` to `end`, in -2**(bits-1) .. 2**(bits-1) - 1."""
    half = 1 << (bits - 1)
    return ((end - start + half) & ((1 << bits) - 1)) - half


def serial_newer(candidate: int, than: int, *, bits: int = 32) -> bool:
    """Whether `candidate` comes after `than`."""
    return serial_distance(than, candidate, bits=bits) > 0


class Unwrapper:
    """Turns 32-bit serial numbers into plain integers that keep counting, so that they can be sorted and subtracted.

    Each number is taken to be within half the circle of the newest one seen, which is what RFC 1982 assumes too.
    """

    def __init__(self) -> None:
        self._newest: int | None = None

    def unwrap(self, serial: int) -> int:
        """The integer for `serial` (0 .. 2**32 - 1). Numbers older than the first one seen may come out negative."""
        value = self.peek(serial)
        if self._newest is None or value > self._newest:
            self._newest = value
        return value

    def peek(self, serial: int) -> int:
        """What `unwrap` would return, without taking `serial` for real: for numbers that a peer merely claims."""
        newest = self._newest
        if newest is None:
            return serial
        # `serial_distance` written out: this is asked for each packet, several times.
        return newest + ((serial - newest + 0x80000000) & 0xFFFFFFFF) - 0x80000000
