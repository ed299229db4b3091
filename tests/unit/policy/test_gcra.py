"""The local limiter: exact levels, all dimensions or none, seats that lapse."""

from fractions import Fraction
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from turnout_server.core.charge import Charge, Rate, Refusal, Seat
from turnout_server.policy.gcra import Limiter, Reservation

RPM = Rate(limit=60, period_s=60.0)
TPM = Rate(limit=100_000, period_s=60.0)


def requests(cost: int = 1) -> Charge:
    return Charge("requests", RPM, cost)


def tokens(cost: int) -> Charge:
    return Charge("tokens", TPM, cost)


def reserved(outcome: Reservation | Refusal) -> Reservation:
    assert isinstance(outcome, Reservation)
    return outcome


def refused(outcome: Reservation | Refusal) -> Refusal:
    assert isinstance(outcome, Refusal)
    return outcome


def test_exactly_the_limit_is_admitted_at_once() -> None:
    limiter = Limiter()
    outcomes = [limiter.reserve(5.0, [tokens(1000)]) for _ in range(200)]
    assert sum(isinstance(outcome, Reservation) for outcome in outcomes) == 100


def test_one_who_waits_as_long_as_told_is_admitted_and_not_before() -> None:
    limiter = Limiter()
    for _ in range(60):
        reserved(limiter.reserve(0.0, [requests()]))
    wait_s = refused(limiter.reserve(0.0, [requests()])).retry_after_s
    assert wait_s == 1.0
    refused(limiter.reserve(0.999999999, [requests()]))
    reserved(limiter.reserve(1.0, [requests()]))


def test_a_wait_that_is_no_whole_number_of_nanoseconds_is_rounded_up() -> None:
    limiter, rate = Limiter(), Rate(limit=7, period_s=3.0)
    reserved(limiter.reserve(0.0, [Charge("k", rate, 7)]))
    wait_s = refused(limiter.reserve(0.0, [Charge("k", rate, 1)])).retry_after_s
    assert wait_s == 0.428571429
    reserved(limiter.reserve(wait_s, [Charge("k", rate, 1)]))


def test_a_refused_dimension_charges_no_other() -> None:
    limiter = Limiter()
    reserved(limiter.reserve(0.0, [tokens(99_000)]))
    refusal = refused(limiter.reserve(0.0, [requests(), tokens(2000)], [Seat("calls", 1)]))
    assert refusal.key == "tokens"
    assert limiter.level("requests", RPM, 0.0).used == 0
    assert limiter.seats_taken("calls", 0.0) == 0


def test_the_longest_wait_is_told() -> None:
    limiter = Limiter()
    reserved(limiter.reserve(0.0, [requests(60), tokens(100_000)]))
    refusal = refused(limiter.reserve(0.0, [requests(2), tokens(50_000)]))
    assert refusal == Refusal("tokens", 30.0)


def test_a_cost_above_the_burst_can_never_be_met() -> None:
    limiter = Limiter()
    assert refused(limiter.reserve(0.0, [tokens(100_001)])).retry_after_s is None
    small = Charge("tokens", Rate(100_000, 60.0, burst=1000), 1001)
    assert refused(limiter.reserve(0.0, [small, requests(60)])) == Refusal("tokens", None)


def test_unused_tokens_come_back_and_requests_do_not() -> None:
    limiter = Limiter()
    reservation = reserved(limiter.reserve(0.0, [requests(), tokens(5000)]))
    reservation.settle(0.0, {"tokens": 1200})
    assert limiter.level("tokens", TPM, 0.0).used == 1200
    assert limiter.level("requests", RPM, 0.0).used == 1


def test_use_above_the_reservation_becomes_debt() -> None:
    limiter = Limiter()
    reserved(limiter.reserve(0.0, [tokens(1000)])).settle(0.0, {"tokens": 150_000})
    assert limiter.level("tokens", TPM, 0.0).remaining == -50_000
    assert refused(limiter.reserve(0.0, [tokens(1)])).retry_after_s == 30.0006


def test_settling_twice_changes_nothing() -> None:
    limiter = Limiter()
    reservation = reserved(limiter.reserve(0.0, [tokens(5000)], [Seat("calls", 2)]))
    other = reserved(limiter.reserve(0.0, [tokens(5000)], [Seat("calls", 2)]))
    reservation.settle(0.0, {"tokens": 0})
    reservation.settle(0.0, {"tokens": 0})
    assert limiter.level("tokens", TPM, 0.0).used == 5000
    assert limiter.seats_taken("calls", 0.0) == 1
    other.settle(0.0)
    assert limiter.level("tokens", TPM, 0.0).used == 5000


def test_a_refund_after_the_bucket_drained_gives_no_credit() -> None:
    limiter = Limiter()
    reservation = reserved(limiter.reserve(0.0, [tokens(50_000)]))
    reservation.settle(300.0, {"tokens": 0})
    assert limiter.level("tokens", TPM, 300.0).remaining == 100_000
    reserved(limiter.reserve(300.0, [tokens(100_000)]))
    refused(limiter.reserve(300.0, [tokens(1)]))


def test_the_same_bucket_charged_twice_in_one_call_counts_twice() -> None:
    limiter = Limiter()
    refused(limiter.reserve(0.0, [requests(40), requests(40)]))
    reserved(limiter.reserve(0.0, [requests(30), requests(30)]))
    assert limiter.level("requests", RPM, 0.0).remaining == 0


def test_a_smaller_burst_spreads_the_limit_over_its_period() -> None:
    limiter, rate = Limiter(), Rate(limit=60, period_s=60.0, burst=5)
    admitted = [
        isinstance(limiter.reserve(tick / 10, [Charge("k", rate, 1)]), Reservation)
        for tick in range(600)
    ]
    assert sum(admitted[:1]) == 1
    assert 60 <= sum(admitted) <= 65


def test_the_level_tells_what_is_left_and_when_all_is_back() -> None:
    limiter = Limiter()
    reserved(limiter.reserve(10.0, [requests(30)]))
    level = limiter.level("requests", RPM, 10.5)
    assert (level.used, level.remaining, level.reset_s) == (30, 30, 29.5)
    assert limiter.level("requests", RPM, 11.0).used == 29
    assert limiter.level("nobody", RPM, 11.0).remaining == 60


def test_seats_are_given_up_to_the_limit_and_freed_by_settling() -> None:
    limiter, seat = Limiter(), Seat("calls", 2)
    first = reserved(limiter.reserve(0.0, [], [seat]))
    reserved(limiter.reserve(0.0, [], [seat]))
    assert refused(limiter.reserve(0.0, [], [seat])) == Refusal("calls", 1.0)
    first.settle(1.0)
    reserved(limiter.reserve(1.0, [], [seat]))


def test_a_seat_that_nobody_renews_lapses() -> None:
    limiter, seat = Limiter(lease_s=45.0), Seat("calls", 1)
    lost = reserved(limiter.reserve(0.0, [], [seat]))
    assert lost.renew(44.0)
    refused(limiter.reserve(88.9, [], [seat]))
    kept = reserved(limiter.reserve(89.0, [], [seat]))
    assert not lost.renew(89.0)
    lost.settle(90.0)
    assert limiter.seats_taken("calls", 90.0) == 1
    kept.settle(90.0)
    assert not kept.renew(90.0)


def test_a_renewed_seat_outlives_later_ones_that_were_not() -> None:
    limiter, seat = Limiter(lease_s=45.0), Seat("calls", 9)
    first = reserved(limiter.reserve(0.0, [], [seat]))
    reserved(limiter.reserve(1.0, [], [seat]))
    first.renew(30.0)
    assert limiter.seats_taken("calls", 50.0) == 1


def test_memory_holds_only_buckets_that_are_not_empty() -> None:
    limiter = Limiter()
    for tenant in range(20_000):
        limiter.reserve(tenant * 1.0, [Charge(str(tenant), RPM, 1)])
    assert len(limiter._tats) <= 1024


def test_six_hundred_random_reservations_end_at_used_minus_drained_exactly() -> None:
    random, limiter, now, used = Random(6), Limiter(), 0.0, 0
    rate = Rate(limit=100_000, period_s=3600.0, burst=10_000_000)
    for _ in range(600):
        now += 0.25
        cost = random.randrange(1, 4000)
        reservation = reserved(limiter.reserve(now, [Charge("k", rate, cost)]))
        actual = 0 if random.random() < 0.3 else random.randrange(1, 4000)
        used += actual
        for _ in range(random.randrange(1, 3)):
            reservation.settle(now, {"k": actual})
    drained = Fraction(100_000, 3600) * Fraction(599, 4)
    assert used > drained
    assert limiter.level("k", rate, now).used == -((drained - used) // 1)


class GcraMachine(RuleBasedStateMachine):
    """Against a leaky bucket in exact fractions."""

    RATE = Rate(limit=7, period_s=3.0, burst=20)

    def __init__(self) -> None:
        super().__init__()
        self.limiter = Limiter(lease_s=1e9)
        self.ticks = 0
        self.water = Fraction(0)
        self.out: list[tuple[Reservation, int]] = []
        self.seats = 0

    @property
    def now(self) -> float:
        return self.ticks / 8

    @rule(ticks=st.integers(1, 100))
    def wait(self, ticks: int) -> None:
        self.ticks += ticks
        self.water = max(Fraction(0), self.water - Fraction(7, 3) * Fraction(ticks, 8))

    @rule(cost=st.integers(0, 20))
    def reserve(self, cost: int) -> None:
        fits = self.water + cost <= 20 and self.seats < 4
        outcome = self.limiter.reserve(self.now, [Charge("k", self.RATE, cost)], [Seat("calls", 4)])
        assert isinstance(outcome, Reservation) == fits
        if isinstance(outcome, Reservation):
            self.water += cost
            self.seats += 1
            self.out.append((outcome, cost))

    @rule(actual=st.integers(0, 40), twice=st.booleans())
    def settle(self, actual: int, twice: bool) -> None:
        if not self.out:
            return
        reservation, cost = self.out.pop(0)
        reservation.settle(self.now, {"k": actual})
        if twice:
            reservation.settle(self.now, {"k": 0})
        self.seats -= 1
        self.water = max(Fraction(0), self.water + actual - cost)

    @rule()
    def renew_all(self) -> None:
        assert all(reservation.renew(self.now) for reservation, _ in self.out)

    @invariant()
    def the_level_equals_used_minus_drained_exactly(self) -> None:
        level = self.limiter.level("k", self.RATE, self.now)
        assert level.used == -(-self.water // 1)
        assert level.remaining == 20 - level.used
        assert self.limiter.seats_taken("calls", self.now) == self.seats


GcraMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestGcraMachine = GcraMachine.TestCase
