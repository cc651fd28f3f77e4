"""The error hierarchy.

A message says what was seen, what was expected and what to do, in one sentence. What a peer sends never raises
past the parser that reads it: it is counted and dropped (see `transport.wire`).
"""


class LatentcastError(Exception):
    """Base of every error this program raises on purpose."""


class UserError(LatentcastError):
    """Something the user gave cannot be used. The command line prints the message and exits with code 2."""


class BitstreamError(LatentcastError):
    """A coded frame or file is malformed, truncated or fails its integrity check.

    offset: the byte at which that was seen, from the start of what was being read, where it is known.
    """

    def __init__(self, message: str, *, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


class MismatchError(BitstreamError):
    """A coded frame is whole, but this machine's arithmetic reads something else from it. For the user to read."""


class PeerError(LatentcastError):
    """The other end cannot be talked to: wrong version, refused, or gone."""
