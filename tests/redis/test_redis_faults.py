"""Redis down, hung, slow, full, failing over, flushed and poisoned (faults 89 to 97): no call is
lost, none waits long, and the log says so once.
"""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from tests.fault.upstream.tcp_proxy import TcpProxy, Weather
from tests.redis.server import RedisServer
from tests.redis.setup import (
    limits_link,
    memory_counters,
    redis_counters,
    resilient_counters,
    running,
    until_up,
)
from turnout_server.core.charge import Charge, Claim, Rate, Refusal, Seat, Spending
from turnout_server.core.clock import SYSTEM_CLOCK
from turnout_server.core.errors import GatewayError
from turnout_server.store.redis_counters import RedisCounters
from turnout_server.store.resilient_counters import ResilientCounters

WIDE = Rate(limit=1_000_000, period_s=3600.0)
MOST_S = 1.0
"""Far more than a call may wait for Redis, far less than any default of the client library."""


def claim(cost: int = 1, *, strict: bool = False) -> Claim:
    money = Spending("money", 10**9, cost, SYSTEM_CLOCK.wall() + 3600)
    return Claim((Charge("tokens", WIDE, cost),), (Seat("calls", 1000),), (money,), strict=strict)


async def call(counters: ResilientCounters, cost: int = 1) -> None:
    async with asyncio.timeout(MOST_S):
        reservation = await counters.reserve(claim(cost))
    assert not isinstance(reservation, Refusal)
    reservation.settle({"tokens": cost, "money": cost})


async def calls(counters: ResilientCounters, number: int = 50) -> None:
    await asyncio.gather(*(call(counters) for _ in range(number)))


@pytest.fixture
async def counters(own_server: RedisServer) -> AsyncIterator[ResilientCounters]:
    async with resilient_counters(own_server.url) as counters:
        assert not counters.degraded
        yield counters


async def test_it_starts_without_redis_and_finds_it_later(own_server: RedisServer) -> None:
    own_server.kill()
    with capture_logs() as logs:
        async with resilient_counters(own_server.url) as counters:
            assert counters.degraded
            await calls(counters)
            await own_server.start()
            await until_up(counters)
            await calls(counters)
    assert [entry["event"] for entry in logs] == ["redis is away", "redis is back"]


async def test_no_call_is_lost_while_redis_is_killed_and_back(
    own_server: RedisServer, counters: ResilientCounters
) -> None:
    with capture_logs() as logs:
        before = asyncio.gather(*(calls(counters, 20) for _ in range(5)))
        own_server.kill()
        await before
        await calls(counters)
        assert counters.degraded
        await own_server.start()
        await until_up(counters)
        await calls(counters)
    assert [entry["event"] for entry in logs] == ["redis is away", "redis is back"]


async def test_a_hung_redis_costs_one_wait_and_then_none(
    own_server: RedisServer, counters: ResilientCounters
) -> None:
    own_server.freeze()
    with capture_logs() as logs:
        await calls(counters)
        assert counters.degraded
        for _ in range(200):
            outcome = counters.reserve(claim())
            with pytest.raises(StopIteration):
                outcome.send(None)  # answered without waiting for anything
        assert len(logs) == 1
        own_server.thaw()
        await until_up(counters)
    await calls(counters)


async def test_a_redis_slower_than_a_call_may_wait_is_left_alone(own_server: RedisServer) -> None:
    async with (
        TcpProxy(own_server.port) as proxy,
        resilient_counters(f"redis://127.0.0.1:{proxy.port}/0") as counters,
    ):
        await calls(counters)
        assert not counters.degraded
        proxy.weather = Weather(delay_s=0.2)
        await calls(counters)
        assert counters.degraded
        proxy.weather = Weather()
        await until_up(counters)
        await calls(counters)


async def test_a_loop_that_stood_still_is_not_held_against_redis(
    counters: ResilientCounters,
) -> None:
    for _ in range(3):
        under_way = asyncio.gather(*(call(counters) for _ in range(20)))
        await asyncio.sleep(0)
        time.sleep(0.2)  # noqa: ASYNC251  the fault itself
        await under_way
        assert not counters.degraded


async def test_a_replica_is_left_until_it_is_promoted(
    own_server: RedisServer, counters: ResilientCounters
) -> None:
    await own_server.do("REPLICAOF", "127.0.0.1", 1)
    with capture_logs() as logs:
        await calls(counters)
        assert counters.degraded
        await own_server.do("REPLICAOF", "NO", "ONE")
        await until_up(counters)
    assert "ReadOnlyError" in logs[0]["why"]
    await calls(counters)


async def test_a_connection_that_is_reset_is_made_anew(
    own_server: RedisServer, counters: ResilientCounters
) -> None:
    await own_server.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await calls(counters)
    await until_up(counters)
    await calls(counters)


async def test_scripts_that_redis_forgot_are_loaded_again_without_a_word(
    own_server: RedisServer, counters: ResilientCounters
) -> None:
    with capture_logs() as logs:
        await own_server.do("SCRIPT", "FLUSH")
        await calls(counters)
    assert not logs
    assert not counters.degraded
    assert (await counters.levels(claim()))["money"].used == 50


async def test_a_full_redis_is_left_until_it_has_room(
    own_server: RedisServer, counters: ResilientCounters
) -> None:
    await own_server.do("CONFIG", "SET", "maxmemory", "1")
    with capture_logs() as logs:
        await calls(counters)
        assert counters.degraded
        await own_server.do("CONFIG", "SET", "maxmemory", "0")
        await until_up(counters)
    assert "OutOfMemoryError" in logs[0]["why"]
    await calls(counters)


async def test_a_flushed_redis_forgets_and_fails_nobody(
    own_server: RedisServer, counters: ResilientCounters
) -> None:
    under_way = await counters.reserve(claim(1000))
    assert not isinstance(under_way, Refusal)
    await own_server.do("FLUSHALL")
    under_way.settle({"tokens": 10, "money": 10})
    await calls(counters)
    levels = await counters.levels(claim())
    assert 0 < levels["tokens"].used <= 50
    assert levels["money"].used == 50
    assert not counters.degraded


@pytest.mark.parametrize("value", ["", "x", "1", "-5 -5", "9" * 300 + " 1", "1e400 nan"])
async def test_garbage_in_a_counter_is_an_empty_counter(
    own_server: RedisServer, counters: ResilientCounters, value: str
) -> None:
    await call(counters)
    for key in (await own_server.do("KEYS", "turnout:limit:[rs][ap][te]*")) or ():  # type: ignore[attr-defined]
        await own_server.do("SET", key, value)
    await calls(counters, 5)
    await own_server.do("DEL", "turnout:limit:spent:money")
    await own_server.do("LPUSH", "turnout:limit:spent:money", "x")
    await calls(counters, 5)
    assert not counters.degraded


async def test_a_level_far_ahead_is_cut_to_two_windows(redis_server: RedisServer) -> None:
    rate = Rate(limit=10, period_s=60.0)
    one = Claim(charges=(Charge("k", rate, 1),))
    async with redis_counters(redis_server.url) as counters:
        await counters.reserve(one)
        (key,) = await redis_server.do("KEYS", "turnout:limit:rate:*")  # type: ignore[misc]
        await redis_server.do("SET", key, "9007199254740990 9007199254740990")
        refusal = await counters.reserve(one)
        assert isinstance(refusal, Refusal)
        assert refusal.retry_after_s is not None
        assert refusal.retry_after_s <= 120
        assert (await counters.levels(one))["k"].used == 20


async def test_every_key_has_an_end(redis_server: RedisServer) -> None:
    async with redis_counters(redis_server.url) as counters:
        settled = await counters.reserve(claim(100))
        assert not isinstance(settled, Refusal)
        settled.settle({"tokens": 50, "money": 50})
        await counters.reserve(claim(100))
        keys = await redis_server.do("KEYS", "turnout:*")
        assert isinstance(keys, list)
        assert len(keys) == 7
        for key in keys:
            assert 0 < int(str(await redis_server.do("PTTL", key))) <= 7_200_000, key


async def test_what_a_killed_process_held_comes_back(redis_server: RedisServer) -> None:
    link = limits_link(redis_server.url)
    await link.start()
    async with redis_counters(redis_server.url) as survivor:
        async with running(link.run()):
            killed = RedisCounters(link, lease_s=0.3)
            await killed.reserve(claim(100))
            assert (await survivor.levels(claim()))["money"].used == 100
        await asyncio.sleep(0.4)
        levels = await survivor.levels(claim())
        assert levels["calls"].used == 0
        assert levels["money"].used == 0


async def test_a_long_call_keeps_its_seat_by_renewing(redis_server: RedisServer) -> None:
    link = limits_link(redis_server.url)
    await link.start()
    counters = RedisCounters(link, lease_s=0.3)
    async with running(link.run()), running(counters.run()):
        reservation = await counters.reserve(claim(100))
        await asyncio.sleep(0.7)
        levels = await counters.levels(claim())
        assert (levels["calls"].used, levels["money"].used) == (1, 100)
        assert not isinstance(reservation, Refusal)
        reservation.settle({"money": 3})
        levels = await counters.levels(claim())
        assert (levels["calls"].used, levels["money"].used) == (0, 3)


async def test_alone_a_process_grants_its_share_and_no_more(own_server: RedisServer) -> None:
    ten = Claim(charges=(Charge("k", Rate(10, 3600.0), 1),))
    async with resilient_counters(own_server.url) as one, resilient_counters(own_server.url):
        async with asyncio.timeout(5):
            while (await own_server.do("ZCARD", "turnout:limit:instances")) != 2:
                await asyncio.sleep(0.01)
        await one._redis._renew()
        own_server.kill()
        outcomes = [await one.reserve(ten) for _ in range(20)]
    assert sum(not isinstance(outcome, Refusal) for outcome in outcomes) == 5


async def test_alone_money_is_a_share_of_what_was_left_and_is_booked_later(
    own_server: RedisServer, counters: ResilientCounters
) -> None:
    def pay(cost: int) -> Claim:
        return Claim(spendings=(Spending("m", 1000, cost, SYSTEM_CLOCK.wall() + 3600),))

    first = await counters.reserve(pay(900))
    assert not isinstance(first, Refusal)
    first.settle()
    own_server.freeze()
    assert isinstance(await counters.reserve(pay(101)), Refusal)
    alone = await counters.reserve(pay(100))
    assert not isinstance(alone, Refusal)
    alone.settle({"m": 40})
    own_server.thaw()
    await until_up(counters)
    assert await counters.drain(MOST_S)
    assert (await counters.levels(pay(0)))["m"].used == 940


async def test_a_strict_tenant_is_refused_while_nobody_can_count(
    own_server: RedisServer, counters: ResilientCounters
) -> None:
    assert not isinstance(await counters.reserve(claim(strict=True)), Refusal)
    own_server.kill()
    for _ in range(2):
        with pytest.raises(GatewayError, match="cannot be checked"):
            await counters.reserve(claim(strict=True))


async def test_a_settlement_that_got_no_reply_is_sent_again_and_counts_once(
    own_server: RedisServer, counters: ResilientCounters
) -> None:
    reservation = await counters.reserve(claim(1000))
    assert not isinstance(reservation, Refusal)
    own_server.freeze()
    reservation.settle({"tokens": 7, "money": 7})
    await call(counters, cost=1)
    assert counters.degraded
    own_server.thaw()
    await until_up(counters)
    assert await counters.drain(MOST_S)
    assert (await counters.levels(claim()))["money"].used == 8


async def test_counters_in_memory_start_from_what_the_ledger_knows() -> None:
    counters = memory_counters()
    spending = Spending("m", 1000, 200, SYSTEM_CLOCK.wall() + 3600)
    counters.set_spent(spending, 900)
    assert isinstance(await counters.reserve(Claim(spendings=(spending,))), Refusal)
