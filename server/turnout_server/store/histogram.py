"""Durations in buckets that grow by a twelfth of an octave: percentiles within 3 % of the truth."""

import math
from collections.abc import Mapping

_SHORTEST_S = 0.0001
_PER_OCTAVE = 12
_LAST = 400
"""Some 300 hours: nothing that we measure lasts as long."""


def bucket_of(duration_s: float) -> int:
    """The bucket that a duration falls in."""
    if duration_s <= _SHORTEST_S:
        return 0
    return min(_LAST, int(_PER_OCTAVE * math.log2(duration_s / _SHORTEST_S)) + 1)


def percentile_s(counts: Mapping[int, int], share: float) -> float:
    """The duration that `share` of all kept within; 0.0 where nothing was counted."""
    rank = math.ceil(share * sum(counts.values()))
    passed = 0
    for bucket in sorted(counts):
        passed += counts[bucket]
        if passed >= rank and passed:
            return _middle_s(bucket)
    return 0.0


def _middle_s(bucket: int) -> float:
    if not bucket:
        return _SHORTEST_S
    return float(_SHORTEST_S * 2 ** ((bucket - 0.5) / _PER_OCTAVE))
