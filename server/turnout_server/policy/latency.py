"""How fast a target speaks: for choosing the faster one, for hedging, and for showing.

Choosing is Finagle's peak EWMA: a slower sample is believed at once, faster ones by and by (decay
10 s), and the mean is multiplied by the calls under way; of two targets drawn at random the less
loaded is taken (Mitzenmacher, "The power of two choices"), which spreads better than the best of
all, as no target is everyone's best at once.
"""

from array import array
from collections.abc import Sequence
from math import exp, log, sqrt
from random import Random
from statistics import median


class PeakEwma:
    """Moving peak of one target's time to first output, in seconds."""

    __slots__ = ("_decay_s", "_mean_s", "_seen_at", "_unknown_s")

    def __init__(self, decay_s: float = 10.0, unknown_s: float = 60.0) -> None:
        """`unknown_s` stands for a target that has calls under way and has never answered."""
        self._decay_s = decay_s
        self._unknown_s = unknown_s
        self._mean_s = 0.0
        self._seen_at: float | None = None

    def observe(self, now: float, first_output_s: float) -> None:
        """Takes one measured time to first output (or the time after which one gave up)."""
        mean_s = self._faded_s(now)
        if self._seen_at is None or first_output_s >= mean_s:
            self._mean_s = first_output_s
        else:
            old = exp(-max(0.0, now - self._seen_at) / self._decay_s)
            self._mean_s = self._mean_s * old + first_output_s * (1 - old)
        self._seen_at = now

    def load(self, now: float, in_flight: int) -> float:
        """What one more call would meet: 0.0 for an idle target never tried, so that it is tried.

        An idle target's bad memory fades, so that it is asked again.
        """
        if self._seen_at is None:
            return self._unknown_s * in_flight
        return self._faded_s(now) * (in_flight + 1)

    def _faded_s(self, now: float) -> float:
        if self._seen_at is None:
            return 0.0
        return self._mean_s * exp(-max(0.0, now - self._seen_at) / self._decay_s)


def pick_of_two(loads: Sequence[float], random: Random) -> int:
    """The index of the lighter of two loads drawn at random; `loads` is not empty."""
    if len(loads) == 1:
        return 0
    first, second = random.sample(range(len(loads)), 2)
    return first if loads[first] <= loads[second] else second


def slowness_weight(own_p50_s: float, peers_p50_s: Sequence[float], least: float = 0.1) -> float:
    """What to multiply a slow target's weight by: 1.0 up to twice its peers' median, then falling.

    For a target that answers well but late, which no breaker sees (a grey failure).
    """
    if not peers_p50_s or own_p50_s <= 0:
        return 1.0
    return max(least, min(1.0, 2 * median(peers_p50_s) / own_p50_s))


class LatencyWindow:
    """Quantiles of the last `window_s` seconds within 5 %, in about 7 KB whatever the traffic.

    A histogram with logarithmic buckets from 1 ms to 600 s, kept in slices of the window.
    """

    __slots__ = ("_newest", "_slice_s", "_slices", "_sums", "window_s")

    _LEAST_S = 0.001
    _MOST_S = 600.0
    _GROWTH = 1.1
    _BUCKETS = int(log(_MOST_S / _LEAST_S) / log(_GROWTH)) + 1

    def __init__(self, window_s: float = 300.0, slices: int = 10) -> None:
        self.window_s = window_s
        self._slice_s = window_s / slices
        self._slices = [array("I", [0]) * self._BUCKETS for _ in range(slices)]
        self._sums = [0] * self._BUCKETS
        self._newest = 0

    def observe(self, now: float, duration_s: float) -> None:
        """Takes one measured duration."""
        self._advance(now)
        ratio = max(duration_s, self._LEAST_S) / self._LEAST_S
        bucket = min(int(log(ratio) / log(self._GROWTH)), self._BUCKETS - 1)
        self._slices[self._newest % len(self._slices)][bucket] += 1
        self._sums[bucket] += 1

    def count(self, now: float) -> int:
        """How many durations the window holds."""
        self._advance(now)
        return sum(self._sums)

    def quantile(self, now: float, share: float, min_samples: int = 1) -> float | None:
        """The duration that `share` of the window stayed below; None for too few samples."""
        count = self.count(now)
        if count < max(1, min_samples):
            return None
        rank = max(1.0, share * count)
        seen = 0
        for bucket, amount in enumerate(self._sums):
            seen += amount
            if seen >= rank:
                return self._LEAST_S * self._GROWTH**bucket * sqrt(self._GROWTH)
        return self._MOST_S

    def _advance(self, now: float) -> None:
        newest = int(now // self._slice_s)
        if newest <= self._newest:
            return
        size = len(self._slices)
        for passed in range(1, min(newest - self._newest, size) + 1):
            leaving = self._slices[(self._newest + passed) % size]
            for bucket, amount in enumerate(leaving):
                if amount:
                    self._sums[bucket] -= amount
                    leaving[bucket] = 0
        self._newest = newest
