from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from turnout_server.policy.window import RollingCount


def test_counts_leave_with_their_slice() -> None:
    count = RollingCount(10.0, slices=10)
    count.add(0.5)
    count.add(3.0, amount=4)
    assert count.total(9.9) == 5
    assert count.total(10.0) == 4
    assert count.total(13.0) == 0


def test_a_correction_reaches_the_slice_it_belongs_to_and_leaves_with_it() -> None:
    count = RollingCount(10.0, slices=10)
    count.add(1.0)
    count.add(5.0)
    count.correct(6.0, counted_at=1.0, amount=-1)
    assert count.total(6.0) == 1
    assert count.total(11.5) == 1
    count.correct(20.0, counted_at=5.0, amount=-1)
    assert count.total(20.0) == 0


@given(st.lists(st.tuples(st.floats(0, 7), st.integers(1, 9)), max_size=60))
def test_the_total_is_that_of_a_window_at_most_one_slice_shorter(
    steps: list[tuple[float, int]],
) -> None:
    count, events, now = RollingCount(10.0, slices=10), deque[tuple[float, int]](), 0.0
    for wait_s, amount in steps:
        now += wait_s
        count.add(now, amount)
        events.append((now, amount))
        at_most = sum(amount for at, amount in events if at > now - 10.0)
        at_least = sum(amount for at, amount in events if at > now - 9.0)
        assert at_least <= count.total(now) <= at_most
