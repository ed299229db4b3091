"""The memory backend: bounded in bytes, least recently used first, over in time."""

from random import Random

from turnout_server.core.cache_key import CacheKey
from turnout_server.store.memory_values import MemoryValues
from turnout_server.store.values import Match, stored_key


class Hands:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_it_never_weighs_more_than_its_bound() -> None:
    values, random = MemoryValues(100_000), Random(1)
    for number in range(2000):
        await values.set(str(random.randrange(500)), bytes(random.randrange(3000)), ttl=60)
        assert values.size_bytes <= 100_000, number
    assert 20 < len(values) < 100


async def test_the_least_recently_used_leaves_first() -> None:
    values = MemoryValues(4000)
    for key in "abc":
        await values.set(key, bytes(1000), ttl=60)
    assert await values.get("a") is not None
    await values.set("d", bytes(1000), ttl=60)
    assert [key for key in "abcd" if await values.get(key)] == ["a", "c", "d"]


async def test_a_value_larger_than_the_bound_is_not_kept() -> None:
    values = MemoryValues(1000)
    await values.set("a", bytes(2000), ttl=60)
    assert await values.get("a") is None
    assert values.size_bytes == 0


async def test_a_value_ends_with_its_time_and_gives_its_room_back() -> None:
    hands = Hands()
    values = MemoryValues(10_000, hands)
    await values.set("a", b"1", ttl=60)
    hands.now = 59.9
    assert await values.get("a") == b"1"
    hands.now = 60.0
    assert await values.multi_get(["a"]) == [None]
    assert (len(values), values.size_bytes) == (0, 0)


async def test_writing_over_a_value_weighs_it_once() -> None:
    values = MemoryValues(10_000)
    for size in (100, 5000, 1):
        await values.set("a", bytes(size), ttl=60)
    assert values.size_bytes < 1000
    assert await values.delete("a") == 1
    assert values.size_bytes == 0


async def test_groups_are_dropped_by_any_of_their_names() -> None:
    names = [(t, n, m) for t in ("t1", "t2") for n in ("", "n1") for m in ("m1", "m2")]
    keys = [stored_key(CacheKey(*name, digest=bytes(32))) for name in names]
    for match, left in (
        (Match(), 0),
        (Match(tenant="t1"), 4),
        (Match(namespace="n1"), 4),
        (Match(model="m2"), 4),
        (Match("t1", "n1"), 6),
        (Match("t1", "n1", "m1"), 7),
        (Match(tenant="t3"), 8),
    ):
        values = MemoryValues(100_000)
        await values.multi_set([(key, b"1") for key in keys], ttl=60)
        assert await values.drop(match) == 8 - left
        assert len(values) == left
