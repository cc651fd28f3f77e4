"""Which of this machine's addresses belong to a host name that the user gave."""

import ipaddress


def addresses_for(host: str) -> list[str] | None:
    """The address to use for media when HTTP uses `host`; None means every interface, loopback included.

    A loopback host keeps media on loopback. A name other than localhost may stand for any interface.
    """
    if host == "localhost":
        return ["127.0.0.1"]
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    return None if address.is_unspecified else [str(address)]
