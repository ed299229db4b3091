"""Percentiles from buckets stay close to those of the durations themselves."""

import math

from hypothesis import given
from hypothesis import strategies as st

from turnout_server.store.histogram import bucket_of, percentile_s


@given(st.lists(st.floats(0.0002, 3600), min_size=1, max_size=60), st.sampled_from([0.5, 0.95]))
def test_a_percentile_is_within_three_percent_of_the_truth(
    durations: list[float], share: float
) -> None:
    counts: dict[int, int] = {}
    for duration_s in durations:
        counts[bucket_of(duration_s)] = counts.get(bucket_of(duration_s), 0) + 1
    exact = sorted(durations)[math.ceil(share * len(durations)) - 1]
    assert abs(percentile_s(counts, share) / exact - 1) < 0.03


def test_nothing_counted_has_no_duration() -> None:
    assert percentile_s({}, 0.5) == 0.0


@given(st.floats(0, 1e12))
def test_every_duration_has_a_bucket(duration_s: float) -> None:
    assert 0 <= bucket_of(duration_s) <= 400
