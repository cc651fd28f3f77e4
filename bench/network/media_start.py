"""When the media of a connection began, seen from outside: all of it is encrypted.

Handshakes are told by their first byte (RFC 7983). Channel set-up, greetings and statistics are encrypted as
well, but media is the first thing that comes often.
"""

from collections import deque

# RFC 7983: DTLS records begin with 20 to 63. 23 is application data of DTLS 1.2; 1.3 has it from 32 on.
_APPLICATION_DATA = {23, *range(32, 64)}
# DTLS, SCTP and our headers of a media packet make more; an SCTP acknowledgement less.
MIN_BYTES = 120
# Set-up and greetings are some five messages; eight within a second are less than 10 fps.
COUNT = 8
WITHIN_S = 1.0


class MediaStart:
    """Watches the datagrams from server to viewer."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=COUNT)
        self.began: float | None = None
        """Time of the first datagram of the media; None: not yet seen."""

    def on_datagram(self, data: bytes, now: float) -> bool:
        """Whether this one shows that media has begun; true once."""
        if self.began is not None or len(data) < MIN_BYTES or data[0] not in _APPLICATION_DATA:
            return False
        self._times.append(now)
        if len(self._times) < COUNT or now - self._times[0] > WITHIN_S:
            return False
        self.began = self._times[0]
        return True
