"""Rows 14 and 15 of the fault catalogue."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from turnout_server.policy.cooldown import Cooldowns


def calm() -> Cooldowns[str]:
    return Cooldowns(lambda: 0.0)


def eager() -> Cooldowns[str]:
    return Cooldowns(lambda: 1.0)


def test_a_stated_wait_is_kept() -> None:
    cooldowns = calm()
    assert cooldowns.rest("a", 100.0, 7.0) == 107.0
    assert cooldowns.until("a", 106.9) == 107.0
    assert cooldowns.until("a", 107.0) is None
    assert cooldowns.until("b", 100.0) is None


def test_a_stated_wait_is_never_shortened_and_lengthened_by_a_tenth_at_most() -> None:
    random = Random(3)
    ends = [Cooldowns[str](random.random).rest("a", 0.0, 10.0) for _ in range(200)]
    assert 10.0 <= min(ends) < max(ends) <= 11.0


def test_an_absurd_wait_is_cut_to_a_minute() -> None:
    assert calm().rest("a", 0.0, 999_999.0) == 60.0


def test_guesses_double_from_one_second_to_thirty() -> None:
    cooldowns, now, waits = eager(), 0.0, []
    for _ in range(7):
        until = cooldowns.rest("a", now)
        waits.append(until - now)
        now = until
    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_guesses_have_full_jitter() -> None:
    random = Random(5)
    waits = [Cooldowns[str](random.random).rest("a", 0.0) for _ in range(500)]
    assert min(waits) < 0.05
    assert max(waits) > 0.95


def test_a_burst_of_refusals_counts_as_one() -> None:
    cooldowns = eager()
    for _ in range(20):
        cooldowns.rest("a", 0.0)
    assert cooldowns.until("a", 0.5) == 1.0
    assert cooldowns.rest("a", 1.0) == 3.0


def test_an_answer_makes_the_next_guess_small_but_ends_no_rest() -> None:
    cooldowns, now = eager(), 0.0
    for _ in range(4):
        now = cooldowns.rest("a", now)
    cooldowns.rest("a", now, 20.0)
    cooldowns.answered("a", now)
    assert cooldowns.until("a", now) == now + 22.0
    cooldowns.answered("a", now + 22.0)
    assert cooldowns.rest("a", now + 22.0) == now + 23.0


def test_a_cleared_key_is_usable_at_once() -> None:
    cooldowns = calm()
    cooldowns.rest("a", 0.0, 30.0)
    cooldowns.clear("a")
    assert cooldowns.until("a", 0.0) is None


def test_very_many_refusals_do_not_overflow() -> None:
    cooldowns, now = eager(), 0.0
    for _ in range(2000):
        now = cooldowns.rest("a", now)
    assert cooldowns.rest("a", now) == now + 30.0


@given(st.lists(st.tuples(st.floats(0, 50), st.none() | st.floats(0, 1e6)), min_size=1))
def test_the_later_deadline_wins(refusals: list[tuple[float, float | None]]) -> None:
    cooldowns, now, latest = eager(), 0.0, 0.0
    for wait_s, stated_s in refusals:
        now += wait_s
        until = cooldowns.rest("a", now, stated_s)
        assert until >= latest
        assert until - now <= max(latest - now, 66.0 + 1e-6)
        latest = until
