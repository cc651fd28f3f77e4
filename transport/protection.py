"""How much parity a frame gets: as little as the loss of the last seconds, its burstiness and the time left allow.

Losses are taken to follow Gilbert's two-state model: packets are lost in runs of mean length `burst`, and a share of
`loss` of all. From it comes the probability that more of a frame's packets are lost than parity makes up for. Parity
is added until that is below a target, which is higher where a NACK can still mend the rest, and only as long as each
parity packet buys enough: against long bursts parity of the same frame is of little use, whatever its amount.
"""

from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from math import log2

from transport.bandwidth.sent import Outcome
from transport.fec import NO_PROTECTION, Protection
from transport.wire import MAX_BLOCK, block_count

_WINDOW_S = 5.0
"""Loss is measured over this long: 400 packets at 600 kbit/s, in which 1 % is 4 packets."""
_BUCKET_S = 0.25
_MIN_PACKETS = 100
"""With fewer packets in the window a single loss would already count as several per cent."""

NACK_ONLY_LOSS = 0.005
"""Below this share of loss NACKs alone mend a frame, if there is time: one frame in 25 of 8 packets would need one."""
_DETECTION_S = 0.04
"""From the loss of a packet to the NACK: the next packet, at worst of the next frame, and a little jitter."""
_TARGET_WITHOUT_NACK = 0.003
"""Share of frames that may stay incomplete where only parity helps."""
_TARGET_WITH_NACK = 0.022
_TARGET_FALL = 0.0005
"""With NACKs the target is this over the loss, not below `_TARGET_WITH_NACK`: 5 % of the frames at 1 % loss may wait a
round trip, 2.2 % from 2.3 % loss on."""
_MIN_GAIN = 0.1
_MIN_GAIN_WITH_NACK = 0.25
"""What parity as large as the frame would have to take off the share of incomplete frames, to be worth its rate. 0.25
gives a frame of 8 packets 3 of parity against 10 % loss in bursts of 5 (23 % incomplete become 13 %; 8 would leave 5),
a frame of 3 none (14 % would become 11), and changes nothing against independent losses."""
_SMALL = 2
"""Packets by which a frame counts as larger than it is: the smaller the frames, the less their rate matters."""
_ONE_PACKET_LOSS = 0.02
"""A frame of a single packet gets a copy from this independent loss on."""
_HEAD_TARGET = 0.001
_HEAD_TARGET_WITH_NACK = 0.01
"""Share of frames that may lose their head, without which there is no picture at all."""
_MAX_HEAD_PARITY = 2
_MAX_LOST_TOO = 0.5
"""A copy that is lost with what it copies more often than this is not worth sending."""
_MAX_LOSS, _MAX_BURST = 0.5, 50.0
_STEPS_PER_OCTAVE = 3
"""Loss and burst are rounded to steps of 26 %, so that a stream keeps asking the same question."""


class LossMeter:
    """Share and burstiness of the packets lost in the last seconds, from what the estimator has settled."""

    def __init__(self) -> None:
        self._buckets: deque[list[float]] = deque()
        """Each [start, packets, lost, runs]."""
        self._packets = self._lost = self._runs = 0.0
        self._last_lost: int | None = None

    def on_outcome(self, outcome: Outcome, now: float) -> None:
        """Takes what one report has settled. Losses come in sequence order, so a run may go on from the last one.

        Lost probes are passed over: they are sent faster than the media, to find out when packets get lost.
        """
        runs = lost = 0
        for sent in outcome.lost:
            if sent.probe is None:
                lost += 1
                runs += self._last_lost is None or sent.key != self._last_lost + 1
                self._last_lost = sent.key
        self._add(now, len(outcome.delivered) + lost, lost, runs)

    @property
    def loss(self) -> float:
        """Share of packets lost, 0..1. With few packets it is held low rather than guessed high."""
        return self._lost / max(self._packets, _MIN_PACKETS) if self._lost else 0.0

    @property
    def burst(self) -> float:
        """Mean length of a run of lost packets, >= 1. 1 when none were lost."""
        return max(1.0, self._lost / self._runs) if self._runs else 1.0

    def _add(self, now: float, packets: int, lost: int, runs: int) -> None:
        if not self._buckets or now - self._buckets[-1][0] >= _BUCKET_S:
            self._buckets.append([now, 0, 0, 0])
        bucket = self._buckets[-1]
        bucket[1] += packets
        bucket[2] += lost
        bucket[3] += runs
        self._packets += packets
        self._lost += lost
        self._runs += runs
        while now - self._buckets[0][0] > _WINDOW_S:
            _, old_packets, old_lost, old_runs = self._buckets.popleft()
            self._packets -= old_packets
            self._lost -= old_lost
            self._runs -= old_runs


def choose_protection(
    data_count: int,
    head_count: int,
    *,
    loss: float,
    burst: float,
    rtt_s: float,
    budget_s: float,
    max_share: float = 0.5,
) -> Protection:
    """Parity for a frame of `data_count` packets, of which the first `head_count` hold the head.

    `loss` 0..1 and `burst` as `LossMeter` has them; `budget_s`: from sending to when the frame is needed at the viewer.
    Parity is at most `max_share` (0..1, below 1) of all packets of the frame: at 0.5 one for each of data.
    """
    nack_fits = rtt_s + _DETECTION_S <= budget_s
    if loss <= 0 or (nack_fits and loss < NACK_ONLY_LOSS):
        return NO_PROTECTION
    blocks = block_count(data_count)
    k = -(-data_count // blocks)
    room = int(data_count * max_share / (1 - max_share) + 1e-9)
    loss, burst = _step(min(loss, _MAX_LOSS)), _step(min(max(burst, 1.0), _MAX_BURST))
    parity = blocks * _parity_for(k, room // blocks, loss, burst, nack_fits)
    head_parity = 0
    if head_count < data_count and head_count <= MAX_BLOCK:
        risk = _head_risk(k, parity // blocks, head_count, loss, burst)
        target = _HEAD_TARGET_WITH_NACK if nack_fits else _HEAD_TARGET
        # The first copy of the head is a frame away from it: lost with it where the burst is longer. Others are
        # neighbours of the first.
        apart = k
        while risk > target and head_parity < min(_MAX_HEAD_PARITY, room - parity):
            lost_too = loss + (1 - loss) * _correlation(loss, burst) ** apart
            if lost_too > _MAX_LOST_TOO:
                break
            risk *= lost_too
            head_parity += 1
            apart = 1
    return Protection(parity, head_parity)


def residual(data_count: int, parity: int, *, loss: float, burst: float) -> float:
    """Probability that more than `parity` of `data_count` + `parity` packets in a row are lost, in Gilbert's model."""
    return _residuals(data_count, parity, loss, burst)[parity]


def _step(value: float) -> float:
    """The step nearest to `value` of the ladder in which protection is chosen."""
    return float(2 ** (round(log2(value) * _STEPS_PER_OCTAVE) / _STEPS_PER_OCTAVE))


def _correlation(loss: float, burst: float) -> float:
    """Factor by which the state of the model is remembered from one packet to the next, 0..1."""
    return max(0.0, 1 - 1 / burst - loss / (burst * (1 - loss)))


@lru_cache(maxsize=4096)
def _parity_for(k: int, most: int, loss: float, burst: float, nack_fits: bool) -> int:
    target = max(_TARGET_WITH_NACK, _TARGET_FALL / loss) if nack_fits else _TARGET_WITHOUT_NACK
    gain = _MIN_GAIN_WITH_NACK if nack_fits else _MIN_GAIN
    left = _residuals(k, most, loss, burst)
    if k == 1:
        return int(most > 0 and left[0] > target and left[0] - left[1] >= _ONE_PACKET_LOSS)
    chosen = 0
    while left[chosen] > target:
        # The best step from here, of any size: the first packet alone may do little where two do much.
        step = max(range(chosen + 1, most + 1), key=lambda p: (left[chosen] - left[p]) / (p - chosen), default=None)
        if step is None or (left[chosen] - left[step]) * (k + _SMALL) < gain * (step - chosen):
            break
        chosen = step
    return chosen


@lru_cache(maxsize=4096)
def _head_risk(k: int, parity: int, head_count: int, loss: float, burst: float) -> float:
    """Probability that a packet of the head is lost and cannot be rebuilt from parity over all."""
    total = k + parity
    lost = next(islice(_lost_distributions(loss, burst), total - 1, None))
    packet = sum(probability * count / total for count, probability in enumerate(lost) if count > parity)
    return min(1.0, packet * head_count)


def _residuals(data_count: int, most: int, loss: float, burst: float) -> list[float]:
    """`residual` for each amount of parity from 0 to `most`."""
    rows = islice(_lost_distributions(loss, burst), data_count - 1, data_count + most)
    return [sum(lost[parity + 1 :]) for parity, lost in enumerate(rows)]


def _lost_distributions(loss: float, burst: float) -> Iterator[list[float]]:
    """For 1, 2, ... packets in a row: the probabilities of 0, 1, ... losses among them."""
    stay = 1 - 1 / max(burst, 1 / (1 - loss))
    enter = min(1.0, loss * (1 - stay) / (1 - loss))
    # By number lost so far: probability of that and of having received, or lost, the last packet.
    received, lost = [1 - loss, 0.0], [0.0, loss]
    while True:
        yield [r + p for r, p in zip(received, lost, strict=True)]
        fresh = [0.0, *(r * enter + p * stay for r, p in zip(received, lost, strict=True))]
        received = [*(r * (1 - enter) + p * (1 - stay) for r, p in zip(received, lost, strict=True)), 0.0]
        lost = fresh
