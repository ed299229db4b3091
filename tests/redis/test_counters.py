"""What every kind of counter keeps: memory and a real Redis answer alike."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.redis.server import RedisServer
from tests.redis.setup import memory_counters, redis_counters
from turnout_server.core.charge import Charge, Claim, Rate, Refusal, Seat, Spending
from turnout_server.core.clock import SYSTEM_CLOCK
from turnout_server.store.counters import Counters, Reservation

TPM = Rate(limit=100_000, period_s=600_000.0)
SLOW = Rate(limit=20, period_s=2_000_000.0)
_numbers = count()


@pytest.fixture(params=["memory", "redis"])
async def counters(
    request: pytest.FixtureRequest, redis_server: RedisServer
) -> AsyncIterator[Counters]:
    if request.param == "memory":
        yield memory_counters()
    else:
        async with redis_counters(redis_server.url) as counters:
            yield counters


def tokens(cost: int, key: str = "tokens") -> Claim:
    return Claim(charges=(Charge(key, TPM, cost),))


def money(cost: int, limit: int = 1000, key: str = "money") -> Spending:
    return Spending(key, limit, cost, SYSTEM_CLOCK.wall() + 3600)


def reserved(outcome: Reservation | Refusal) -> Reservation:
    assert not isinstance(outcome, Refusal)
    return outcome


def refused(outcome: Reservation | Refusal) -> Refusal:
    assert isinstance(outcome, Refusal)
    return outcome


async def used(counters: Counters, claim: Claim) -> dict[str, int]:
    return {key: level.used for key, level in (await counters.levels(claim)).items()}


async def test_exactly_the_limit_is_admitted_at_once(counters: Counters) -> None:
    outcomes = await asyncio.gather(*(counters.reserve(tokens(1000)) for _ in range(200)))
    assert sum(not isinstance(outcome, Refusal) for outcome in outcomes) == 100


async def test_a_refused_dimension_charges_no_other(counters: Counters) -> None:
    reserved(await counters.reserve(tokens(99_000)))
    claim = Claim((Charge("rpm", SLOW, 1), *tokens(2000).charges), (Seat("calls", 1),), (money(5),))
    assert refused(await counters.reserve(claim)).key == "tokens"
    assert await used(counters, claim) == {"rpm": 0, "tokens": 99_000, "calls": 0, "money": 0}


async def test_a_refused_spending_charges_nothing_either(counters: Counters) -> None:
    claim = Claim(tokens(2000).charges, (Seat("calls", 1),), (money(1001),))
    assert refused(await counters.reserve(claim)).key == "money"
    assert await used(counters, claim) == {"tokens": 0, "calls": 0, "money": 0}


async def test_the_longest_wait_is_told(counters: Counters) -> None:
    both = Claim(charges=(Charge("rpm", Rate(60, 60.0), 60), Charge("tpm", Rate(1000, 60.0), 1000)))
    reserved(await counters.reserve(both))
    half = Claim(charges=(Charge("rpm", Rate(60, 60.0), 2), Charge("tpm", Rate(1000, 60.0), 500)))
    refusal = refused(await counters.reserve(half))
    assert refusal.key == "tpm"
    assert refusal.retry_after_s == pytest.approx(30.0, abs=0.5)


async def test_a_cost_above_the_limit_can_never_be_met(counters: Counters) -> None:
    reserved(await counters.reserve(Claim(seats=(Seat("calls", 1),))))
    for claim in (
        Claim(tokens(100_001).charges, (Seat("calls", 1),)),
        Claim(seats=(Seat("calls", 1),), spendings=(money(1001),)),
    ):
        assert refused(await counters.reserve(claim)).retry_after_s is None


async def test_one_who_waits_as_long_as_told_is_admitted(counters: Counters) -> None:
    claim = Claim(charges=(Charge("quick", Rate(100, 1.0), 100),))
    reserved(await counters.reserve(claim))
    for _ in range(3):
        wait_s = refused(await counters.reserve(claim)).retry_after_s
        assert wait_s is not None
        await asyncio.sleep(wait_s / 3)
    await asyncio.sleep(wait_s)
    reserved(await counters.reserve(claim))


async def test_unused_tokens_come_back_and_use_above_becomes_debt(counters: Counters) -> None:
    reserved(await counters.reserve(tokens(5000))).settle({"tokens": 1200})
    assert await used(counters, tokens(0)) == {"tokens": 1200}
    reserved(await counters.reserve(tokens(1000))).settle({"tokens": 150_000})
    assert (await counters.levels(tokens(0)))["tokens"].remaining == -51_200
    refused(await counters.reserve(tokens(1)))


async def test_settling_twice_changes_nothing(counters: Counters) -> None:
    claim = Claim(tokens(5000).charges, (Seat("calls", 2),), (money(400),))
    first = reserved(await counters.reserve(claim))
    reserved(await counters.reserve(claim))
    first.settle({"tokens": 0, "money": 7})
    first.settle({"tokens": 9, "money": 9})
    assert await used(counters, claim) == {"tokens": 5000, "calls": 1, "money": 407}


async def test_the_same_bucket_charged_twice_in_one_call_counts_twice(counters: Counters) -> None:
    twelve = Charge("twice", SLOW, 12)
    refused(await counters.reserve(Claim(charges=(twelve, twelve))))
    ten = Charge("twice", SLOW, 10)
    reserved(await counters.reserve(Claim(charges=(ten, ten))))
    assert await used(counters, Claim(charges=(ten,))) == {"twice": 20}


async def test_another_rate_of_the_same_key_is_another_bucket(counters: Counters) -> None:
    reserved(await counters.reserve(Claim(charges=(Charge("k", SLOW, 20),))))
    reserved(await counters.reserve(Claim(charges=(Charge("k", TPM, 20),))))


async def test_a_period_of_money_ends_where_its_limit_ends(counters: Counters) -> None:
    spending = Claim(spendings=(money(600),))
    reserved(await counters.reserve(spending)).settle({"money": 550})
    refusal = refused(await counters.reserve(spending))
    assert refusal.retry_after_s == pytest.approx(3600, abs=5)
    reserved(await counters.reserve(Claim(spendings=(money(450),))))
    reserved(await counters.reserve(Claim(spendings=(money(600, key="next month"),))))


async def test_a_caller_who_leaves_while_asking_has_taken_nothing(counters: Counters) -> None:
    claim = Claim(tokens(5000).charges, (Seat("calls", 9),), (money(100),))
    for _ in range(20):
        asking = asyncio.create_task(counters.reserve(claim))
        await asyncio.sleep(0)
        asking.cancel()
        outcomes = await asyncio.gather(asking, return_exceptions=True)
        for outcome in outcomes:
            if not isinstance(outcome, BaseException):
                reserved(outcome).settle({"tokens": 0, "money": 0})
    assert await used(counters, claim) == {"tokens": 0, "calls": 0, "money": 0}


async def test_six_hundred_calls_of_which_a_third_is_cancelled_book_what_they_used(
    counters: Counters,
) -> None:
    random, booked = Random(4), {"tokens": 0, "money": 0}
    wide = Rate(limit=10_000_000, period_s=1e9)

    async def call() -> None:
        cost, actual, paid = (random.randrange(1, 4000) for _ in range(3))
        charge, spending = Charge("tokens", wide, cost), money(cost, limit=10**12)
        reservation = reserved(await counters.reserve(Claim((charge,), (), (spending,))))
        spent = {"tokens": 0, "money": 0}
        try:
            await asyncio.sleep(random.random() / 50)
            spent = {"tokens": actual, "money": paid}
        finally:
            booked["tokens"] += spent["tokens"]
            booked["money"] += spent["money"]
            reservation.settle(spent)

    calls = [asyncio.create_task(call()) for _ in range(600)]
    await asyncio.sleep(0.03)
    for victim in random.sample(calls, 180):
        victim.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    claim = Claim((Charge("tokens", wide, 0),), (), (money(0),))
    assert booked["tokens"] > 0
    assert await used(counters, claim) == booked


steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 20), st.integers(0, 300)),
        st.tuples(st.just("settle"), st.integers(0, 30), st.integers(0, 400)),
    ),
    max_size=25,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=steps)
async def test_any_order_of_calls_leaves_what_was_used(
    counters: Counters, steps: list[tuple[str, int, int]]
) -> None:
    """Against plain sums: nothing drains here, a bucket holds 20 units, 4 calls and 1000 money."""
    name = str(next(_numbers))
    units, paid, out = 0, 0, []
    for kind, amount, price in steps:
        claim = Claim((Charge(name, SLOW, amount),), (Seat(f"s{name}", 4),))
        claim = Claim(claim.charges, claim.seats, (money(price, key=f"m{name}"),))
        if kind == "reserve":
            fits = units + amount <= 20 and len(out) < 4 and paid + price <= 1000
            outcome = await counters.reserve(claim)
            assert isinstance(outcome, Refusal) != fits
            if not isinstance(outcome, Refusal):
                units, paid = units + amount, paid + price
                out.append((outcome, amount, price))
        elif out and units - out[0][1] + amount <= 40:
            reservation, cost, reserved_price = out.pop(0)
            reservation.settle({name: amount, f"m{name}": price})
            units, paid = units + amount - cost, paid + price - reserved_price
        assert await used(counters, claim) == {
            name: units,
            f"s{name}": len(out),
            f"m{name}": paid,
        }
