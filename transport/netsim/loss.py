"""Which packets a link loses: each on its own, in bursts after Gilbert and Elliott, or just the next few.

The Gilbert model (E. N. Gilbert, "Capacity of a burst-noise channel", 1960, in the form of Elliott 1963 with losses
certain in the bad state and none in the good one) is a chain of two states that steps once a packet. Its two
probabilities follow from what people measure: the share of packets lost, and how many are lost in a row.
"""

import random


class LossProcess:
    """Decides the fate of one packet after another."""

    def __init__(self, generator: random.Random) -> None:
        self._random = generator
        self._share = 0.0
        self._burst: float | None = None
        self._enter_bad = self._leave_bad = 0.0
        self._bad = False
        self._certain = 0

    @property
    def share(self) -> float:
        """Share of packets lost in the long run, 0..1."""
        return self._share

    @property
    def burst(self) -> float | None:
        """Mean number of packets lost in a row; None: every packet is lost or not on its own."""
        return self._burst

    def set(self, share: float, burst: float | None = None) -> None:
        """New parameters from the next packet on. The state of the chain stays.

        Raises ValueError for a share outside 0..1, a burst below one packet, and a share that such short bursts cannot
        reach: between two bursts at least one packet arrives, so share <= burst / (burst + 1), unless it is 1.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"a loss of {share} is not between 0 and 1")
        if burst is not None:
            if not burst >= 1:
                raise ValueError(f"a mean burst of {burst} packets is less than one")
            if burst / (burst + 1) < share < 1:
                raise ValueError(f"bursts of {burst:g} packets cannot make a loss of {share:g}")
            self._leave_bad = 0.0 if share == 1 else 1 / burst
            self._enter_bad = 1.0 if share == 1 else share / (1 - share) / burst
        self._share, self._burst = share, burst

    def lose_next(self, count: int) -> None:
        """The next `count` packets are lost for certain."""
        self._certain += count

    def next(self) -> bool:
        """Whether the next packet is lost. One number is drawn for each packet, whatever the parameters."""
        draw = self._random.random()
        if self._burst is None:
            lost = draw < self._share
        else:
            self._bad = lost = draw >= self._leave_bad if self._bad else draw < self._enter_bad
        if self._certain:
            self._certain -= 1
            return True
        return lost
