"""The caches over memory and over a real Redis: found again, dropped, and never in a call's way."""

import os
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs
from turnout.v1.chat_service_pb2 import Finish
from turnout.v1.content_pb2 import Message, Part

from tests.redis.server import RedisServer
from tests.redis.setup import running
from turnout_server.core.cache_key import CacheKey
from turnout_server.core.clock import Clock
from turnout_server.store.cache import ResponseCache
from turnout_server.store.embed_cache import EmbedCache
from turnout_server.store.envelope import Envelope
from turnout_server.store.memory_values import MemoryValues
from turnout_server.store.redis import RedisLink
from turnout_server.store.redis_values import RedisValues
from turnout_server.store.values import Values, stored_key

ENVELOPE = Envelope(b"secret")
FINISH = Finish(response_id="r1", message=Message(parts=[Part(text="hello")]))


def key(tenant: str = "t", namespace: str = "", model: str = "m", digest: int = 1) -> CacheKey:
    return CacheKey(tenant, namespace, model, digest.to_bytes(32, "big"))


def link(server: RedisServer) -> RedisLink:
    return RedisLink(server.url, name="cache", consequence="nothing is cached")


@pytest.fixture(params=["memory", "redis"])
async def values(
    request: pytest.FixtureRequest, redis_server: RedisServer
) -> AsyncIterator[Values]:
    if request.param == "memory":
        yield MemoryValues(10_000_000)
        return
    cache_link = link(redis_server)
    await cache_link.start()
    async with running(cache_link.run()):
        yield RedisValues(cache_link)


@pytest.fixture
async def own_values(own_server: RedisServer) -> AsyncIterator[Values]:
    cache_link = link(own_server)
    await cache_link.start()
    async with running(cache_link.run()):
        yield RedisValues(cache_link)


async def test_an_answer_is_found_under_its_key_and_no_other(values: Values) -> None:
    cache = ResponseCache(values, ENVELOPE, ttl_s=60)
    assert await cache.find(key()) is None
    assert await cache.keep(key(), FINISH)
    found = await cache.find(key())
    assert found is not None
    assert found.finish == FINISH
    for other in (key(digest=2), key("u"), key(namespace="n"), key(model="n")):
        assert await cache.find(other) is None


async def test_an_answer_older_than_the_caller_takes_is_a_miss(values: Values) -> None:
    wall = [1000.0]
    clock = Clock(wall=lambda: wall[0])
    cache = ResponseCache(values, ENVELOPE, ttl_s=60, clock=clock)
    await cache.keep(key(), FINISH)
    wall[0] = 1010.0
    found = await cache.find(key(), max_age_s=10)
    assert found is not None
    assert found.age_s == 10.0
    assert await cache.find(key(), max_age_s=9) is None
    wall[0] = 1061.0
    assert await cache.find(key()) is None


async def test_an_answer_above_the_bound_is_not_kept(values: Values) -> None:
    cache = ResponseCache(values, ENVELOPE, ttl_s=60, max_answer_bytes=1000)
    long = Finish(message=Message(text="x" * 2000))
    assert not await cache.keep(key(), long)
    assert await cache.find(key()) is None


async def test_answers_are_dropped_by_tenant_namespace_and_model(values: Values) -> None:
    cache = ResponseCache(values, ENVELOPE, ttl_s=60)
    names = [(t, n, m) for t in ("a", "b") for n in ("", "n*") for m in ("m", "n")]
    for name in names:
        await cache.keep(key(*name), FINISH)
    assert await cache.invalidate("a", "n*", "m") == 1
    assert await cache.invalidate(model="m") == 3
    assert await cache.invalidate("a") == 2
    assert [name for name in names if await cache.find(key(*name))] == [
        ("b", "", "n"),
        ("b", "n*", "n"),
    ]
    assert await cache.invalidate() == 2


@pytest.mark.parametrize(
    "poison", [b"", b"x", os.urandom(500), FINISH.SerializeToString(), b"\x01" + bytes(100)]
)
async def test_a_poisoned_value_is_a_miss(values: Values, poison: bytes) -> None:
    cache = ResponseCache(values, ENVELOPE, ttl_s=60)
    await values.set(stored_key(key()), poison, ttl=60)
    assert await cache.find(key()) is None
    await cache.keep(key(), FINISH)
    assert await cache.find(key()) is not None


async def test_an_answer_moved_under_another_tenants_key_is_a_miss(values: Values) -> None:
    cache = ResponseCache(values, ENVELOPE, ttl_s=60)
    await cache.keep(key("a"), FINISH)
    stolen = await values.get(stored_key(key("a")))
    assert stolen is not None
    await values.set(stored_key(key("b")), stolen, ttl=60)
    assert await cache.find(key("b")) is None


async def test_vectors_hit_in_part_and_in_order(values: Values) -> None:
    cache = EmbedCache(values, ENVELOPE, ttl_s=60)
    keys = [key(digest=number) for number in range(200)]
    await cache.set_many([(k, k.digest * 8) for k in keys[::2]])
    found = await cache.get_many(keys)
    assert found == [None if n % 2 else k.digest * 8 for n, k in enumerate(keys)]
    assert await cache.get_many([]) == []
    assert await cache.get_many(keys[:2], max_age_s=-1) == [None, None]


async def test_a_key_of_another_type_is_a_miss(own_server: RedisServer, own_values: Values) -> None:
    await own_server.do("LPUSH", stored_key(key()), "x")
    assert await ResponseCache(own_values, ENVELOPE, ttl_s=60).find(key()) is None


async def test_a_cache_that_is_away_is_a_miss_and_says_so_once(
    own_server: RedisServer, own_values: Values
) -> None:
    cache = ResponseCache(own_values, ENVELOPE, ttl_s=60)
    vectors = EmbedCache(own_values, ENVELOPE, ttl_s=60)
    await cache.keep(key(), FINISH)
    own_server.kill()
    with capture_logs() as logs:
        for _ in range(20):
            assert await cache.find(key()) is None
            assert not await cache.keep(key(), FINISH)
            assert await vectors.get_many([key()] * 100) == [None] * 100
            await vectors.set_many([(key(), b"1234")])
    assert [entry["event"] for entry in logs] == ["redis is away"]
    assert await cache.invalidate("t") is None


async def test_a_full_cache_is_still_read(own_server: RedisServer, own_values: Values) -> None:
    cache = ResponseCache(own_values, ENVELOPE, ttl_s=60)
    await cache.keep(key(), FINISH)
    await own_server.do("CONFIG", "SET", "maxmemory", "1")
    assert not await cache.keep(key(digest=2), FINISH)
    assert await cache.find(key()) is not None


async def test_values_end_with_their_time_in_redis_too(
    own_server: RedisServer, own_values: Values
) -> None:
    await ResponseCache(own_values, ENVELOPE, ttl_s=600).keep(key(), FINISH)
    left_ms = await own_server.do("PTTL", stored_key(key()))
    assert isinstance(left_ms, int)
    assert 500_000 < left_ms <= 600_000
