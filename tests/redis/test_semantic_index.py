"""Like questions find each other's answers, within their scope and above their threshold."""

import math
from array import array
from collections.abc import AsyncIterator
from random import Random

import pytest

from tests.redis.server import RedisServer
from tests.redis.setup import running
from tests.redis.test_caches import ENVELOPE, key, link
from turnout_server.store.memory_values import MemoryValues
from turnout_server.store.redis_values import RedisValues
from turnout_server.store.semantic_index import SemanticIndex
from turnout_server.store.values import Match, Values, stored_key

SCOPE = key(digest=1000)
RANDOM = Random(3)


def vector(*values: float) -> bytes:
    return array("f", values).tobytes()


def random_vector(width: int = 384) -> list[float]:
    return [RANDOM.gauss(0, 1) for _ in range(width)]


def near(base: list[float], noise: float) -> bytes:
    return vector(*(value + RANDOM.gauss(0, noise) for value in base))


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


async def test_the_nearest_question_of_many_is_found(values: Values) -> None:
    index = SemanticIndex(values, ENVELOPE, ttl_s=60)
    bases = [random_vector() for _ in range(60)]
    for number, base in enumerate(bases):
        await index.add(SCOPE, vector(*base), key(digest=number))
    for number, base in enumerate(bases):
        assert await index.nearest(SCOPE, near(base, 0.2), 0.95) == key(digest=number)
    assert await index.nearest(SCOPE, vector(*random_vector()), 0.5) is None


async def test_the_threshold_is_a_cosine(values: Values) -> None:
    index = SemanticIndex(values, ENVELOPE, ttl_s=60)
    await index.add(SCOPE, vector(1, 0), key())
    sixty_degrees = vector(math.cos(math.pi / 3) * 7, math.sin(math.pi / 3) * 7)
    assert await index.nearest(SCOPE, sixty_degrees, 0.499) == key()
    assert await index.nearest(SCOPE, sixty_degrees, 0.501) is None
    assert await index.nearest(SCOPE, vector(0, 0), 0.1) is None


async def test_a_question_of_another_scope_or_tenant_is_not_found(values: Values) -> None:
    index = SemanticIndex(values, ENVELOPE, ttl_s=60)
    await index.add(SCOPE, vector(1, 0), key())
    assert await index.nearest(key(digest=1001), vector(1, 0), 0.1) is None
    assert await index.nearest(key("other", digest=1000), vector(1, 0), 0.1) is None


async def test_the_oldest_questions_leave_first(values: Values) -> None:
    index = SemanticIndex(values, ENVELOPE, ttl_s=60, most=3)
    for number in range(5):
        await index.add(SCOPE, vector(*(float(n == number) for n in range(5))), key(digest=number))
    found = [
        await index.nearest(SCOPE, vector(*(float(n == number) for n in range(5))), 0.9)
        for number in range(5)
    ]
    assert found == [None, None, *(key(digest=number) for number in (2, 3, 4))]


async def test_an_answer_is_in_the_index_once(values: Values) -> None:
    index = SemanticIndex(values, ENVELOPE, ttl_s=60, most=2)
    await index.add(SCOPE, vector(1, 0), key(digest=1))
    for _ in range(5):
        await index.add(SCOPE, vector(0, 1), key(digest=2))
    assert await index.nearest(SCOPE, vector(1, 0), 0.9) == key(digest=1)


async def test_vectors_of_another_width_start_anew(values: Values) -> None:
    index = SemanticIndex(values, ENVELOPE, ttl_s=60)
    await index.add(SCOPE, vector(1, 0), key(digest=1))
    assert await index.nearest(SCOPE, vector(1, 0, 0), 0.1) is None
    await index.add(SCOPE, vector(1, 0, 0), key(digest=2))
    assert await index.nearest(SCOPE, vector(1, 0, 0), 0.9) == key(digest=2)


async def test_a_poisoned_index_is_empty_and_a_dropped_tenants_too(values: Values) -> None:
    index = SemanticIndex(values, ENVELOPE, ttl_s=60)
    await values.set(stored_key(SCOPE), b"garbage" * 50, ttl=60)
    assert await index.nearest(SCOPE, vector(1, 0), 0.1) is None
    await index.add(SCOPE, vector(1, 0), key())
    assert await values.drop(Match(tenant="t")) == 1
    assert await index.nearest(SCOPE, vector(1, 0), 0.1) is None
