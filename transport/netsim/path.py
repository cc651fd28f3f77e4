"""Both directions between a server and a viewer."""

from dataclasses import dataclass

from transport.netsim.link import Link


@dataclass(slots=True)
class Path:
    """Two links that know nothing of each other."""

    forward: Link
    """Server to viewer: media."""
    back: Link
    """Viewer to server: feedback."""

    def next_event(self) -> float | None:
        """When to poll one of them next. None: both are empty."""
        forward, back = self.forward.next_event(), self.back.next_event()
        if forward is None or back is None:
            return back if forward is None else forward
        return min(forward, back)
