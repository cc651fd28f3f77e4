"""WHIP ingest (RFC 9725): who publishes, and the way of its media into a source.

routes ── publishers ── publisher ── aiortc
                           │           │ RTP
                           │        receiver ─▶ assembler ─▶ decoder ─▶ NewestFrame of sources/whip.py
                           │           │ RTCP             capture_clock
                           └─ offer, fragment: SDP
"""
