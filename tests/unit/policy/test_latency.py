"""Choosing the faster target, row 56 of the fault catalogue, and the quantiles that are shown."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout_server.policy.latency import (
    LatencyWindow,
    PeakEwma,
    pick_of_two,
    slowness_weight,
)


def test_a_slower_sample_is_believed_at_once_and_a_faster_one_by_and_by() -> None:
    ewma = PeakEwma()
    ewma.observe(0.0, 0.2)
    ewma.observe(1.0, 5.0)
    assert ewma.load(1.0, 0) == pytest.approx(5.0)
    ewma.observe(2.0, 0.2)
    assert 4.0 < ewma.load(2.0, 0) < 5.0
    for second in range(3, 60):
        ewma.observe(float(second), 0.2)
    assert ewma.load(59.0, 0) < 0.25


def test_load_grows_with_the_calls_under_way() -> None:
    ewma = PeakEwma()
    ewma.observe(0.0, 0.5)
    assert ewma.load(0.0, 3) == pytest.approx(2.0)


def test_an_idle_targets_bad_memory_fades() -> None:
    ewma = PeakEwma()
    ewma.observe(0.0, 30.0)
    assert ewma.load(100.0, 0) < 0.01


def test_an_unknown_target_is_tried_but_not_flooded() -> None:
    ewma = PeakEwma()
    assert ewma.load(0.0, 0) == 0.0
    assert ewma.load(0.0, 1) > 10.0


def test_the_lighter_of_two_wins_and_a_lone_target_always() -> None:
    random = Random(1)
    assert pick_of_two([9.0], random) == 0
    assert all(pick_of_two([9.0, 1.0], random) == 1 for _ in range(50))


def test_the_slowest_of_three_is_never_picked_and_equals_share() -> None:
    random = Random(2)
    picks = [pick_of_two([1.0, 1.0, 5.0], random) for _ in range(3000)]
    assert picks.count(2) == 0
    assert 1300 < picks.count(0) < 1700


def test_a_target_five_times_slower_than_its_peers_weighs_less() -> None:
    assert slowness_weight(1.0, [0.2, 0.2]) == pytest.approx(0.4)
    assert slowness_weight(0.3, [0.2, 0.2]) == 1.0
    assert slowness_weight(100.0, [0.2, 0.2]) == 0.1
    assert slowness_weight(1.0, []) == 1.0


@given(
    st.lists(st.floats(0.001, 599.0), min_size=1, max_size=200),
    st.sampled_from([0.5, 0.95, 0.99]),
)
def test_quantiles_are_right_within_five_percent(samples: list[float], share: float) -> None:
    window = LatencyWindow()
    for sample in samples:
        window.observe(1.0, sample)
    ordered = sorted(samples)
    rank = max(1.0, share * len(ordered))
    exact = ordered[int(rank) - 1 if rank == int(rank) else int(rank)]
    assert window.quantile(1.0, share) == pytest.approx(exact, rel=0.05)


def test_extremes_are_counted_in_the_outermost_buckets() -> None:
    window = LatencyWindow()
    window.observe(0.0, 0.0)
    assert window.quantile(0.0, 0.5) == pytest.approx(0.001, rel=0.06)
    for _ in range(3):
        window.observe(0.0, 1e9)
    quantile = window.quantile(0.0, 0.5)
    assert quantile is not None
    assert 550 < quantile < 650


def test_too_few_samples_give_no_quantile() -> None:
    window = LatencyWindow()
    assert window.quantile(0.0, 0.5) is None
    window.observe(0.0, 1.0)
    assert window.quantile(0.0, 0.5, min_samples=2) is None
    assert window.quantile(0.0, 0.5) is not None


def test_old_samples_leave_the_window() -> None:
    window = LatencyWindow(window_s=100.0)
    window.observe(0.0, 9.0)
    window.observe(50.0, 1.0)
    assert window.count(99.0) == 2
    assert window.count(100.0) == 1
    assert window.quantile(100.0, 0.95) == pytest.approx(1.0, rel=0.05)
    assert window.count(10_000.0) == 0
