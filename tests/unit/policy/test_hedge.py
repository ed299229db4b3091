from random import Random

import pytest

from turnout_server.policy.hedge import Hedging
from turnout_server.policy.latency import LatencyWindow


def test_the_rival_starts_after_the_live_p95() -> None:
    hedging, window = Hedging(), LatencyWindow()
    for sample in range(100):
        window.observe(0.0, 0.2 if sample < 94 else 3.0)
    assert hedging.delay_s(0.0, window) == pytest.approx(3.0, rel=0.05)


def test_too_few_samples_mean_no_hedge() -> None:
    hedging, window = Hedging(), LatencyWindow()
    for _ in range(19):
        window.observe(0.0, 0.2)
    assert hedging.delay_s(0.0, window) is None
    window.observe(0.0, 0.2)
    assert hedging.delay_s(0.0, window) is not None


def test_a_very_fast_target_is_still_given_a_moment() -> None:
    hedging, window = Hedging(), LatencyWindow()
    for _ in range(50):
        window.observe(0.0, 0.001)
    assert hedging.delay_s(0.0, window) == 0.01


def test_never_more_than_one_hedge_in_twenty_calls() -> None:
    hedging, random, now, calls, hedges = Hedging(), Random(4), 0.0, 0, 0
    for _ in range(20_000):
        now += random.expovariate(20.0)
        hedging.record_call(now)
        calls += 1
        hedges += hedging.admit(now, throttling=0.0)
        assert hedges <= 0.05 * calls
    assert hedges > 0.04 * calls


def test_calls_of_the_past_do_not_allow_a_burst_of_hedges() -> None:
    hedging = Hedging()
    for call in range(6000):
        hedging.record_call(call * 0.01)
    assert not hedging.admit(500.0, throttling=0.0)


def test_a_throttled_target_is_never_hedged_to() -> None:
    hedging = Hedging()
    for _ in range(1000):
        hedging.record_call(0.0)
    assert not hedging.admit(0.0, throttling=0.01)
    assert hedging.admit(0.0, throttling=0.0)
