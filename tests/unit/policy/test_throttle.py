from random import Random

import pytest

from turnout_server.policy.throttle import Throttle


def drive(
    throttle: Throttle, start: float, seconds: int, rate: int, failing: float, random: Random
) -> tuple[int, int]:
    """Runs traffic and returns how many calls were wanted and how many were sent."""
    sent = 0
    for tick in range(seconds * rate):
        now = start + tick / rate
        if throttle.admit(now):
            sent += 1
            if random.random() < failing:
                throttle.record_refusal(now, sent_at=now)
    return seconds * rate, sent


@pytest.fixture
def random() -> Random:
    return Random(11)


def test_a_healthy_target_is_never_throttled(random: Random) -> None:
    throttle = Throttle(random.random)
    assert drive(throttle, 0.0, 300, 20, 0.0, random) == (6000, 6000)


def test_up_to_half_of_failures_are_borne(random: Random) -> None:
    throttle = Throttle(random.random)
    wanted, sent = drive(throttle, 0.0, 300, 20, 0.4, random)
    assert sent == wanted


def test_a_dead_target_gets_one_call_in_five(random: Random) -> None:
    throttle = Throttle(random.random)
    drive(throttle, 0.0, 240, 20, 1.0, random)
    assert throttle.probability(240.0) == pytest.approx(0.8)
    wanted, sent = drive(throttle, 240.0, 60, 20, 1.0, random)
    assert 0.15 < sent / wanted < 0.25


def test_slow_traffic_is_never_throttled(random: Random) -> None:
    throttle = Throttle(random.random)
    assert drive(throttle, 0.0, 600, 4, 1.0, random) == (2400, 2400)


def test_a_target_that_recovers_gets_all_its_traffic_back(random: Random) -> None:
    throttle = Throttle(random.random)
    drive(throttle, 0.0, 240, 20, 1.0, random)
    drive(throttle, 240.0, 240, 20, 0.0, random)
    wanted, sent = drive(throttle, 480.0, 60, 20, 0.0, random)
    assert sent == wanted


def test_calls_under_way_do_not_look_refused(random: Random) -> None:
    throttle = Throttle(random.random)
    assert all(throttle.admit(tick / 20) for tick in range(110 * 20))


def test_a_refusal_counts_at_the_time_of_its_sending(random: Random) -> None:
    throttle = Throttle(random.random)
    for tick in range(1000):
        throttle.admit(tick / 100)
    for tick in range(1000):
        throttle.record_refusal(100.0, sent_at=tick / 100)
    assert throttle.probability(100.0) == pytest.approx(0.8)
    # By 131 s requests and refusals have left the window together; one told later is not held
    # against the calls that came since.
    for _ in range(700):
        throttle.admit(131.0)
    throttle.record_refusal(131.0, sent_at=5.0)
    assert throttle.probability(131.0) == 0.0
