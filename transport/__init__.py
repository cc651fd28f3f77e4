"""Getting coded frames across a bad network, without touching one.

Everything here but `transport.webrtc` is sans-IO: no sockets, no event loop, no clock. Time comes in as an argument
(`now`, float seconds of the local monotonic clock, or integer microseconds where a name ends in `_us`), packets come
in as bytes or parsed values, decisions come out as return values. So minutes of network run in seconds of simulation
(`transport.netsim`), the same on every machine.

    server: packetiser -> pacer -> stamp -> wire        bandwidth <- arrival reports
    client: wire -> reassembly, arrivals, acks, clock
"""
