"""The 8-frame quality cycle of DCVC-RT (paper section 3.4; reference format, sequence coding).

Every second frame is coded a little better and every eighth much better, and the frames after it profit. The offset is
added to the base QP of inter frames; intra frames have none.
"""

from codec.layout import INTER_QP_ROWS, MAX_QP

OFFSETS = (0, 8, 0, 4, 0, 4, 0, 4)
LENGTH = len(OFFSETS)


def inter_row(base_qp: int, position: int) -> int:
    """The QP row of an inter frame. base_qp: 0..63; position: frames since the start, any non-negative integer."""
    if not 0 <= base_qp <= MAX_QP:
        raise ValueError(f"base QP {base_qp} is outside 0..{MAX_QP}")
    row = base_qp + OFFSETS[position % LENGTH]
    assert row < INTER_QP_ROWS
    return row
