"""Rows 55, 57 and 125 of the fault catalogue, and the rules of opening and closing."""

from itertools import pairwise
from random import Random

import pytest

from turnout_server.policy.breaker import Breaker, BreakerSettings, CircuitState, Permit

CLOSED, HALF_OPEN, OPEN = CircuitState.CLOSED, CircuitState.HALF_OPEN, CircuitState.OPEN


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(lambda: 0.0)


def admitted(breaker: Breaker, now: float) -> Permit:
    permit = breaker.admit(now)
    assert permit is not None
    return permit


def fail(breaker: Breaker, now: float, times: int) -> None:
    for _ in range(times):
        admitted(breaker, now).fail(now)


def test_opens_at_the_fifth_failure_in_a_row(breaker: Breaker) -> None:
    fail(breaker, 1.0, 4)
    assert breaker.state(1.0) is CLOSED
    fail(breaker, 1.0, 1)
    assert breaker.state(1.0) is OPEN
    assert breaker.admit(30.9) is None
    assert breaker.retry_at(2.0) == 31.0


def test_a_success_breaks_the_run(breaker: Breaker) -> None:
    for _ in range(2):
        fail(breaker, 1.0, 4)
        admitted(breaker, 1.0).succeed(1.0)
    assert breaker.state(1.0) is CLOSED
    fail(breaker, 1.0, 5)
    assert breaker.state(1.0) is OPEN


def test_opens_when_half_of_twenty_calls_failed_within_ten_seconds(breaker: Breaker) -> None:
    for call in range(18):
        now = call * 0.4
        permit = admitted(breaker, now)
        if call % 2:
            permit.fail(now)
        else:
            permit.succeed(now)
    admitted(breaker, 7.4).succeed(7.4)
    assert breaker.state(7.4) is CLOSED
    assert breaker.error_rate(7.4) == pytest.approx(9 / 19)
    fail(breaker, 7.5, 1)
    assert breaker.state(7.5) is OPEN


def test_failures_older_than_the_window_do_not_count_for_the_ratio(breaker: Breaker) -> None:
    for call in range(100):
        now = call * 1.0
        permit = admitted(breaker, now)
        if call % 2:
            permit.fail(now)
        else:
            permit.succeed(now)
    assert breaker.state(100.0) is CLOSED


def test_neutral_ends_neither_open_nor_close(breaker: Breaker) -> None:
    for _ in range(50):
        admitted(breaker, 1.0).release(1.0)
    fail(breaker, 1.0, 4)
    admitted(breaker, 1.0).release(1.0)
    assert breaker.state(1.0) is CLOSED
    fail(breaker, 1.0, 1)
    assert breaker.state(1.0) is OPEN


def test_exactly_one_of_a_hundred_calls_is_let_in_at_half_open(breaker: Breaker) -> None:
    fail(breaker, 0.0, 5)
    permits = [breaker.admit(30.0) for _ in range(100)]
    assert breaker.state(30.0) is HALF_OPEN
    assert [permit.probe for permit in permits if permit] == [True]


def test_a_successful_probe_closes_the_circuit(breaker: Breaker) -> None:
    fail(breaker, 0.0, 5)
    admitted(breaker, 30.0).succeed(31.0)
    assert breaker.state(31.0) is CLOSED
    assert breaker.retry_at(31.0) is None
    assert all(breaker.admit(31.0) for _ in range(100))


def test_each_failed_probe_keeps_the_circuit_open_longer_up_to_the_cap(breaker: Breaker) -> None:
    fail(breaker, 0.0, 5)
    now, holds = 0.0, []
    for _ in range(12):
        retry_at = breaker.retry_at(now)
        assert retry_at is not None
        holds.append(retry_at - now)
        now = retry_at
        admitted(breaker, now).fail(now)
    assert holds == [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]


def test_jitter_lengthens_the_hold_by_at_most_a_tenth() -> None:
    random, holds = Random(7), []
    for _ in range(200):
        breaker = Breaker(random.random)
        breaker.open(0.0)
        retry_at = breaker.retry_at(0.0)
        assert retry_at is not None
        holds.append(retry_at)
    assert 30.0 <= min(holds) < 30.3
    assert 32.7 < max(holds) <= 33.0


def test_staying_healthy_is_forgiven_one_opening_at_a_time(breaker: Breaker) -> None:
    fail(breaker, 0.0, 5)
    admitted(breaker, 30.0).fail(30.0)
    admitted(breaker, 90.0).succeed(90.0)
    fail(breaker, 125.0, 5)
    assert breaker.retry_at(125.0) == 125.0 + 60.0
    admitted(breaker, 185.0).succeed(185.0)
    fail(breaker, 10_000.0, 5)
    assert breaker.retry_at(10_000.0) == 10_030.0


def test_a_neutral_end_frees_the_probe_without_a_verdict(breaker: Breaker) -> None:
    fail(breaker, 0.0, 5)
    probe = admitted(breaker, 30.0)
    assert breaker.admit(30.0) is None
    probe.release(30.5)
    assert breaker.state(30.5) is HALF_OPEN
    assert admitted(breaker, 30.5).probe


def test_a_probe_that_never_ends_lapses_and_its_late_verdict_is_ignored(breaker: Breaker) -> None:
    fail(breaker, 0.0, 5)
    lost = admitted(breaker, 30.0)
    assert breaker.admit(149.9) is None
    second = admitted(breaker, 150.0)
    lost.release(151.0)
    assert breaker.admit(151.0) is None
    assert breaker.state(151.0) is HALF_OPEN
    assert breaker.admit(151.0) is None
    second.succeed(152.0)
    assert breaker.state(152.0) is CLOSED


def test_a_lapsed_probes_success_does_not_close_the_circuit(breaker: Breaker) -> None:
    fail(breaker, 0.0, 5)
    lost = admitted(breaker, 30.0)
    admitted(breaker, 150.0)
    lost.succeed(151.0)
    assert breaker.state(151.0) is HALF_OPEN


def test_the_first_verdict_of_a_permit_counts_and_no_other(breaker: Breaker) -> None:
    fail(breaker, 0.0, 4)
    permit = admitted(breaker, 0.0)
    permit.release(0.0)
    permit.fail(0.0)
    assert breaker.state(0.0) is CLOSED
    fail(breaker, 0.0, 1)
    probe = admitted(breaker, 30.0)
    probe.succeed(30.0)
    probe.fail(30.0)
    assert breaker.state(30.0) is CLOSED


def test_calls_from_before_the_opening_do_not_judge_the_time_after(breaker: Breaker) -> None:
    before = [admitted(breaker, 0.0) for _ in range(20)]
    fail(breaker, 0.0, 5)
    for permit in before[:10]:
        permit.succeed(1.0)
    assert breaker.state(1.0) is OPEN
    admitted(breaker, 30.0).succeed(30.0)
    for permit in before[10:]:
        permit.fail(36.0)
    assert breaker.state(36.0) is CLOSED


def test_a_forced_probe_asks_an_open_circuit_once_a_second_and_does_not_lengthen_it(
    breaker: Breaker,
) -> None:
    fail(breaker, 0.0, 5)
    forced = [breaker.admit_probe(0.1) for _ in range(100)]
    probes = [permit for permit in forced if permit]
    assert len(probes) == 1
    probes[0].fail(0.2)
    assert breaker.retry_at(0.2) == 30.0
    assert breaker.admit_probe(1.0) is None
    second = breaker.admit_probe(1.1)
    assert second is not None
    second.succeed(1.2)
    assert breaker.state(1.2) is CLOSED


def test_forcing_a_probe_of_a_closed_circuit_is_an_ordinary_call(breaker: Breaker) -> None:
    permit = breaker.admit_probe(0.0)
    assert permit is not None
    assert not permit.probe


def test_an_operator_opens_and_resets(breaker: Breaker) -> None:
    early = admitted(breaker, 5.0)
    breaker.open(5.0)
    assert breaker.state(5.0) is OPEN
    probe = admitted(breaker, 35.0)
    breaker.reset()
    probe.fail(36.0)
    early.fail(36.0)
    assert breaker.state(36.0) is CLOSED
    assert breaker.error_rate(36.0) == 0.0
    fail(breaker, 36.0, 5)
    assert breaker.retry_at(36.0) == 66.0


def test_the_last_failure_is_remembered_with_its_cause(breaker: Breaker) -> None:
    assert breaker.last_failure is None
    admitted(breaker, 3.0).fail(4.0, "PROVIDER_TIMEOUT")
    assert breaker.last_failure is not None
    assert (breaker.last_failure.at, breaker.last_failure.cause) == (4.0, "PROVIDER_TIMEOUT")


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("calls_per_s", [2, 20, 100])
def test_a_target_failing_half_its_calls_flips_at_most_once_in_five_seconds(
    seed: int, calls_per_s: int
) -> None:
    random = Random(seed)
    breaker, serving, flips = Breaker(random.random), True, []
    for tick in range(600 * calls_per_s):
        now = tick / calls_per_s
        permit = breaker.admit(now)
        if permit is not None:
            if random.random() < 0.5:
                permit.fail(now)
            else:
                permit.succeed(now)
        if serving is not (breaker.state(now) is CLOSED):
            serving = not serving
            flips.append(now)
    assert flips
    assert all(later - earlier >= 5.0 for earlier, later in pairwise(flips))


def test_a_dead_target_that_passed_its_probe_by_luck_is_opened_after_twenty_failures() -> None:
    breaker = Breaker(lambda: 0.0)
    breaker.open(0.0)
    admitted(breaker, 30.0).succeed(30.0)
    fail(breaker, 30.1, 19)
    assert breaker.state(30.1) is CLOSED
    fail(breaker, 30.1, 1)
    assert breaker.state(30.1) is OPEN


def test_other_settings_are_honoured() -> None:
    breaker = Breaker(lambda: 0.0, BreakerSettings(consecutive=2, open_s=1.0))
    fail(breaker, 0.0, 2)
    assert breaker.retry_at(0.0) == 1.0
