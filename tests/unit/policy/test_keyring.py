"""Rows 16 and 21 of the fault catalogue, and 429 with several keys."""

from hypothesis import given
from hypothesis import strategies as st

from turnout_server.policy.keyring import KeyRing, KeyTrouble, Outage


def test_keys_are_used_in_turn() -> None:
    ring = KeyRing(["a", "b", "c"])
    assert [ring.pick(0.0) for _ in range(6)] == ["a", "b", "c", "a", "b", "c"]


def test_a_wrong_key_is_out_for_five_minutes() -> None:
    ring = KeyRing(["a", "b"])
    assert not ring.disable("a", 0.0, KeyTrouble.AUTH)
    assert [ring.pick(299.9) for _ in range(3)] == ["b", "b", "b"]
    assert ring.usable(300.0) == ("a", "b")


def test_a_spent_quota_lasts_until_the_stated_reset() -> None:
    ring = KeyRing(["a", "b"])
    ring.disable("a", 0.0, KeyTrouble.QUOTA, until=3600.0)
    assert ring.usable(3599.0) == ("b",)
    assert ring.usable(3600.0) == ("a", "b")


def test_a_429_rests_a_key_until_its_cooldown_ends() -> None:
    ring = KeyRing(["a", "b"])
    assert not ring.rest("a", 0.0, until=7.0)
    assert ring.usable(6.9) == ("b",)
    assert ring.usable(7.0) == ("a", "b")


def test_losing_the_last_key_is_told_with_its_reason() -> None:
    ring = KeyRing(["a", "b"])
    ring.disable("a", 0.0, KeyTrouble.AUTH)
    assert ring.outage(0.0) is None
    assert ring.rest("b", 0.0, until=20.0)
    assert ring.pick(1.0) is None
    assert ring.outage(1.0) == Outage(KeyTrouble.RATE_LIMIT, 20.0)
    assert ring.pick(20.0) == "b"


def test_a_late_429_does_not_revive_a_disabled_key() -> None:
    ring = KeyRing(["a"])
    ring.disable("a", 0.0, KeyTrouble.AUTH)
    ring.rest("a", 1.0, until=5.0)
    assert ring.outage(10.0) == Outage(KeyTrouble.AUTH, 300.0)


def test_a_replaced_list_keeps_the_state_of_keys_that_stay() -> None:
    ring = KeyRing(["a", "b"])
    ring.disable("a", 0.0, KeyTrouble.AUTH)
    ring.disable("b", 0.0, KeyTrouble.AUTH)
    ring.replace(["b", "c"])
    assert ring.usable(1.0) == ("c",)
    ring.rest("a", 1.0, until=50.0)
    ring.replace(["a"])
    assert ring.pick(1.0) == "a"


def test_a_restored_key_is_usable_at_once() -> None:
    ring = KeyRing(["a"])
    ring.disable("a", 0.0, KeyTrouble.AUTH)
    ring.restore("a")
    assert ring.pick(0.0) == "a"


def test_an_endpoint_without_keys_has_no_outage() -> None:
    ring = KeyRing([])
    assert ring.pick(0.0) is None
    assert ring.outage(0.0) is None


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.floats(0, 100), st.none() | st.floats(0, 1000)),
        max_size=30,
    )
)
def test_a_picked_key_is_never_one_that_is_left_out(
    events: list[tuple[str, float, float | None]],
) -> None:
    ring, now, out = KeyRing("abc"), 0.0, dict.fromkeys("abc", 0.0)
    for key_id, wait_s, until in events:
        now += wait_s
        if until is None:
            ring.disable(key_id, now, KeyTrouble.AUTH)
        else:
            ring.rest(key_id, now, until)
        out[key_id] = max(out[key_id], now + 300.0 if until is None else until)
        picked = ring.pick(now)
        assert (picked is None) == all(now < end for end in out.values())
        assert picked is None or now >= out[picked]
