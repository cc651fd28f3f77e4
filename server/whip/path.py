"""How long the way to a publisher and back takes, by STUN: what ICE asks anyway to know that the path still lives.

RTP says nothing of it to a receiver, and the capture time of a picture needs it (capture_clock). aiortc and aioice
measure no round trip; this uses their private parts as aioice's own consent checks (RFC 7675) do.
"""

import time

from aioice.stun import TransactionError
from aiortc import RTCPeerConnection

PING_INTERVAL_S = 1.0


def trust_media(pc: RTCPeerConnection) -> None:
    """End aioice's consent checks on a connection that has come about; silence is noticed by whoever listens.

    FFmpeg's WHIP muxer answers no check once it is connected, and aioice would end its session after 30 s. Consent
    (RFC 7675) is for those who send: we send reports, and only to a peer whose authenticated media keeps coming.
    """
    for transceiver in pc.getTransceivers():
        task = transceiver.receiver.transport.transport._connection._query_consent_task
        if task is not None:
            task.cancel()


async def round_trip_s(pc: RTCPeerConnection) -> float | None:
    """Seconds of one exchange; None while there is no path, or no answer came within half a second."""
    transceivers = pc.getTransceivers()
    if not transceivers or pc.connectionState != "connected":
        return None
    connection = transceivers[0].receiver.transport.transport._connection
    pair = connection._nominated.get(1)
    if pair is None or connection.remote_password is None:
        return None
    request = connection.build_request(pair, nominate=False)
    key = connection.remote_password.encode()
    sent = time.monotonic()
    try:
        await pair.protocol.request(request, pair.remote_addr, integrity_key=key, retransmissions=0)
    except (TransactionError, OSError):
        return None
    return time.monotonic() - sent
