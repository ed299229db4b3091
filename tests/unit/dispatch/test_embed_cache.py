"""What the cache holds of a batch is not asked for again."""

from collections.abc import Sequence
from typing import Any

import pytest
from turnout.v1.routing_pb2 import CacheMode, CacheOptions, CacheStatus

from tests.unit.dispatch.embed_setup import FakeProvider, Setup, fails, target, values, vector
from turnout_server.core.cache_key import CacheKey
from turnout_server.core.failure import FailureKind
from turnout_server.dispatch.embed_cache import EmbedCaching


class DictCache:
    """A cache without bound or age; `asked` keeps the ages that were accepted."""

    def __init__(self) -> None:
        self.stored: dict[CacheKey, bytes] = {}
        self.asked: list[float | None] = []

    async def get_many(
        self, keys: Sequence[CacheKey], max_age_s: float | None = None
    ) -> list[bytes | None]:
        self.asked.append(max_age_s)
        return [self.stored.get(key) for key in keys]

    async def set_many(self, vectors: Sequence[tuple[CacheKey, bytes]]) -> None:
        self.stored.update(vectors)


class Cached(Setup):
    def __init__(self, provider: FakeProvider, targets: Any = None, **others: Any) -> None:
        self.cache = DictCache()
        providers = {"one": provider, **others}
        super().__init__(providers, targets or [target()], caching=EmbedCaching(self.cache))


def mode(mode: CacheMode.ValueType, **fields: Any) -> CacheOptions:
    return CacheOptions(mode=mode, **fields)


async def test_only_the_missing_texts_go_upstream() -> None:
    provider = FakeProvider()
    setup = Cached(provider)
    await setup.ask(["a", "b"])
    response = await setup.ask(["c", "b", "a", "b"])
    assert values(response) == [vector(text, 4) for text in "cbab"]
    assert [list(shard.texts) for shard in provider.shards] == [["a", "b"], ["c"]]
    assert (response.cache_hits, response.upstream_calls) == (3, 1)
    assert response.route.cache_status == CacheStatus.CACHE_STATUS_MISS
    assert response.usage.input_tokens == 7


async def test_a_whole_hit_calls_nobody_and_costs_nothing() -> None:
    provider = FakeProvider()
    setup = Cached(provider)
    await setup.ask(["a", "b"])
    response = await setup.ask(["b", "a"])
    assert len(provider.shards) == 1
    assert (response.usage.input_tokens, response.upstream_calls) == (0, 0)
    route = response.route
    assert (route.cache_status, route.attempts) == (CacheStatus.CACHE_STATUS_HIT, 0)
    assert (route.provider, route.model) == ("one", "m")
    assert [saved.cost_nano_usd for saved in setup.seen.saved] == [2000]


@pytest.mark.parametrize(
    ("asked", "reads", "writes"),
    [
        (CacheMode.CACHE_MODE_UNSPECIFIED, True, True),
        (CacheMode.CACHE_MODE_OFF, False, False),
        (CacheMode.CACHE_MODE_READ_WRITE, True, True),
        (CacheMode.CACHE_MODE_READ_ONLY, True, False),
        (CacheMode.CACHE_MODE_REFRESH, False, True),
    ],
)
async def test_modes_read_and_write_as_they_say(
    asked: CacheMode.ValueType, reads: bool, writes: bool
) -> None:
    setup = Cached(FakeProvider())
    await setup.ask(["known"])
    response = await setup.ask(["known", "new"], cache=mode(asked))
    assert response.cache_hits == int(reads)
    assert len(setup.cache.stored) == 1 + writes


async def test_shape_namespace_and_purpose_part_the_entries() -> None:
    setup = Cached(FakeProvider())
    await setup.ask(["a"])
    for fields in (
        {"dimensions": 3},
        {"input_type": 1},
        {"cache": mode(CacheMode.CACHE_MODE_READ_WRITE, namespace="other")},
    ):
        assert (await setup.ask(["a"], **fields)).cache_hits == 0


async def test_the_oldest_age_is_handed_on() -> None:
    setup = Cached(FakeProvider())
    options = CacheOptions()
    options.max_age.FromSeconds(60)
    await setup.ask(["a"], cache=options)
    await setup.ask(["a"])
    assert setup.cache.asked == [60.0, None]


async def test_a_damaged_entry_is_a_miss() -> None:
    setup = Cached(FakeProvider())
    await setup.ask(["a"])
    for damage in (b"", b"123", b"12345"):
        setup.cache.stored = dict.fromkeys(setup.cache.stored, damage)
        assert values(await setup.ask(["a"])) == [vector("a", 4)]


async def test_an_entry_of_another_length_is_not_mixed_with_fresh_vectors() -> None:
    setup = Cached(FakeProvider())
    await setup.ask(["a"])
    setup.cache.stored = dict.fromkeys(setup.cache.stored, bytes(40))
    response = await setup.ask(["a", "b"])
    assert values(response) == [vector("a", 4), vector("b", 4)]
    assert response.cache_hits == 0


async def test_a_fallback_to_another_model_takes_nothing_from_the_first_one_s_entries() -> None:
    first, second = FakeProvider(), FakeProvider()
    setup = Cached(first, [target("one"), target("two", "other")], two=second)
    await setup.ask(["a"])
    first.misbehave = fails(FailureKind.UNREACHABLE)
    response = await setup.ask(["a", "b"])
    assert values(response) == [vector(text, 4, "other") for text in "ab"]


async def test_vectors_of_a_fallback_are_not_kept_under_the_first_one_s_name() -> None:
    first = FakeProvider(misbehave=fails(FailureKind.UNREACHABLE, first=3))
    setup = Cached(first, [target("one"), target("two")], two=FakeProvider())
    assert (await setup.ask(["a"])).route.provider == "two"
    assert (await setup.ask(["a"])).cache_hits == 0
