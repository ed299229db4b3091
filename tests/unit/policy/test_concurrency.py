from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from turnout_server.policy.concurrency import ConcurrencyLimit, ConcurrencySettings, Slot


def fill(limit: ConcurrencyLimit) -> list[Slot]:
    slots = []
    while slot := limit.admit():
        slots.append(slot)
    return slots


def test_starts_at_twenty_and_refuses_the_next() -> None:
    limit = ConcurrencyLimit()
    assert len(fill(limit)) == 20
    assert limit.admit() is None


def test_a_full_window_of_successes_grows_it_by_one() -> None:
    limit = ConcurrencyLimit()
    for slot in fill(limit):
        assert limit.limit == 20
        slot.succeed()
    assert limit.limit == 21


def test_it_does_not_grow_when_nobody_needs_it() -> None:
    limit = ConcurrencyLimit()
    for _ in range(1000):
        slot = limit.admit()
        assert slot is not None
        slot.succeed()
    assert limit.limit == 20


def test_overload_cuts_to_nine_tenths() -> None:
    limit = ConcurrencyLimit()
    slot = limit.admit()
    assert slot is not None
    slot.overload()
    assert limit.limit == 18


def test_a_burst_of_overload_cuts_once() -> None:
    limit = ConcurrencyLimit()
    for slot in fill(limit):
        slot.overload()
    assert limit.limit == 18
    assert limit.in_flight == 0


def test_lasting_overload_falls_to_four_and_no_further() -> None:
    limit = ConcurrencyLimit()
    for _ in range(100):
        slot = limit.admit()
        assert slot is not None
        slot.overload()
    assert limit.limit == 4


def test_the_operators_maximum_wins() -> None:
    limit = ConcurrencyLimit(ConcurrencySettings(most=2))
    for _ in range(10):
        for slot in fill(limit):
            slot.succeed()
    assert limit.limit == 2


def test_after_a_cut_nobody_is_let_in_until_enough_have_left() -> None:
    limit = ConcurrencyLimit()
    slots = fill(limit)
    slots[0].overload()
    assert (limit.in_flight, limit.limit) == (19, 18)
    assert limit.admit() is None
    slots[1].release()
    slots[2].release()
    assert limit.admit() is not None


def test_a_slot_is_given_back_once() -> None:
    limit = ConcurrencyLimit()
    slot = limit.admit()
    assert slot is not None
    slot.release()
    slot.overload()
    slot.succeed()
    assert (limit.in_flight, limit.limit) == (0, 20)


class ConcurrencyMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.limit = ConcurrencyLimit(ConcurrencySettings(most=30))
        self.out: list[Slot] = []

    @rule(count=st.integers(1, 40))
    def admit(self, count: int) -> None:
        for _ in range(count):
            room = self.limit.in_flight < self.limit.limit
            slot = self.limit.admit()
            assert (slot is not None) == room
            if slot:
                self.out.append(slot)

    @rule(count=st.integers(1, 40), how=st.sampled_from(["succeed", "overload", "release"]))
    def give_back(self, count: int, how: str) -> None:
        for _ in range(min(count, len(self.out))):
            slot, before = self.out.pop(0), self.limit.limit
            getattr(slot, how)()
            getattr(slot, how)()
            if how == "succeed":
                assert before <= self.limit.limit <= before + 1
            elif how == "overload":
                assert before * 0.9 - 1 <= self.limit.limit <= before
            else:
                assert self.limit.limit == before

    @invariant()
    def in_flight_is_what_is_out(self) -> None:
        assert self.limit.in_flight == len(self.out)

    @invariant()
    def the_limit_keeps_its_bounds(self) -> None:
        assert 4 <= self.limit.limit <= 30


ConcurrencyMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
TestConcurrencyMachine = ConcurrencyMachine.TestCase
