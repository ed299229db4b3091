"""Rows 19 and 120 of the fault catalogue: no storm of our own making."""

from collections import deque
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from turnout_server.policy.breaker import Breaker
from turnout_server.policy.budget import RetryBudget, RetryCause

COST = {RetryCause.FAILURE: 10, RetryCause.TIMEOUT: 10, RetryCause.RATE_LIMIT: 5}


def test_a_lone_call_may_be_retried() -> None:
    budget = RetryBudget()
    budget.record_call(0.0)
    assert budget.admit(0.0, RetryCause.FAILURE)
    assert budget.level == 90


def test_retries_stop_at_half_of_the_bucket() -> None:
    budget = RetryBudget()
    for second in range(1000):
        budget.record_call(float(second))
        budget.admit(float(second), RetryCause.FAILURE)
    assert budget.level == 50


def test_a_retry_after_a_429_costs_half() -> None:
    budget = RetryBudget()
    assert budget.admit(0.0, RetryCause.RATE_LIMIT)
    assert budget.level == 95


def test_ten_successes_pay_for_one_retry_and_the_bucket_never_overflows() -> None:
    budget = RetryBudget()
    budget.admit(0.0, RetryCause.TIMEOUT)
    for _ in range(10):
        budget.record_success()
    assert budget.level == 100
    budget.record_success()
    assert budget.level == 100


def test_the_ratio_holds_although_the_bucket_is_full() -> None:
    budget = RetryBudget()
    retries = 0
    for call in range(200):
        budget.record_call(call * 0.01)
        retries += budget.admit(call * 0.01, RetryCause.RATE_LIMIT)
        for _ in range(10):
            budget.record_success()
    assert 15 <= retries <= 20


def test_five_hundred_calls_to_a_dead_target_cost_at_most_a_tenth_more() -> None:
    budget, upstream = RetryBudget(), 0
    for call in range(500):
        now = call * 0.02
        budget.record_call(now)
        upstream += 1
        for _ in range(2):
            upstream += budget.admit(now, RetryCause.FAILURE)
    assert 500 < upstream <= 550


def test_with_the_breaker_a_dead_target_is_hardly_called_at_all() -> None:
    budget, breaker, upstream = RetryBudget(), Breaker(Random(1).random), 0
    for call in range(500):
        now = call * 0.02
        budget.record_call(now)
        for attempt in range(3):
            if attempt and not budget.admit(now, RetryCause.FAILURE):
                break
            permit = breaker.admit(now)
            if permit is None:
                break
            upstream += 1
            permit.fail(now)
    assert upstream == 5


class BudgetMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.budget = RetryBudget()
        self.level = 100
        self.calls: deque[float] = deque()
        self.retries: deque[float] = deque()

    @rule(count=st.integers(1, 120))
    def call(self, count: int) -> None:
        for _ in range(count):
            self.budget.record_call(self.now)
            self.calls.append(self.now)

    @rule(count=st.integers(1, 60))
    def succeed(self, count: int) -> None:
        for _ in range(count):
            self.budget.record_success()
        self.level = min(100, self.level + count)

    @rule(cause=st.sampled_from(RetryCause), count=st.integers(1, 30))
    def retry(self, cause: RetryCause, count: int) -> None:
        for _ in range(count):
            if self.budget.admit(self.now, cause):
                assert self.level > 50
                self.level -= COST[cause]
                self.retries.append(self.now)
                self.check_ratio()

    @rule(wait_s=st.sampled_from([0.01, 0.5, 3.0, 11.0]))
    def wait(self, wait_s: float) -> None:
        self.now += wait_s

    @invariant()
    def the_level_is_gains_less_costs(self) -> None:
        assert self.budget.level == self.level

    def check_ratio(self) -> None:
        calls = sum(at > self.now - 10.0 for at in self.calls)
        # The oldest second has perhaps left as a slice.
        retries = sum(at > self.now - 9.0 for at in self.retries)
        assert retries <= max(3, 0.1 * calls)


BudgetMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBudgetMachine = BudgetMachine.TestCase
