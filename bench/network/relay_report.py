"""What the links of a relay did, in words: one line for each connection."""

from collections.abc import Iterator
from typing import Any


def lines(statistics: dict[str, Any]) -> Iterator[str]:
    """Of `Relay.statistics`."""
    for session in statistics["sessions"]:
        forward, queue = session["forward"], session["queue_ms"]
        lost = forward["dropped_random"] + forward["dropped_queue"]
        share = 100 * lost / forward["sent"] if forward["sent"] else 0.0
        yield (
            f"Link of {session['viewer']}: {session['delivered_bps'] / 1e3:.0f} kbit/s delivered in "
            f"{session['seconds']:.0f} s, {lost} of {forward['sent']} packets lost ({share:.1f} %, "
            f"{forward['dropped_queue']} of them in the queue), queue p50 {queue['p50']:.0f}, p95 {queue['p95']:.0f} ms"
        )
