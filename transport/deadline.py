"""How old a picture may be when it is shown."""

PRESENTATION_DEADLINE_S = 0.25
"""From capture to display. A frame that cannot make it is of no use to somebody who talks or points: the frame after it
shows something newer. So nothing is repaired, and nothing is waited for, beyond it."""
DECODE_RESERVE_S = 0.04
"""Part of it left to decoding and display: a frame interval at 30 fps and a little."""
