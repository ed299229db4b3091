"""A batch of texts, from the admitted request to its vectors."""

import asyncio
import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from turnout.v1.embed_service_pb2 import EmbeddingEncoding, EmbedRequest
from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.routing_pb2 import CacheStatus, RoutingOptions

from tests.unit.dispatch.embed_setup import (
    FakeProvider,
    Setup,
    alone,
    fails,
    target,
    values,
    vector,
)
from turnout_server.core.errors import GatewayError
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.watch import AttemptOutcome
from turnout_server.dispatch.embed_parallel import MAX_IN_FLIGHT
from turnout_server.providers.provider import EmbedShard, Vectors


def vectors_of(texts: list[str], model: str = "m", dimensions: int = 4) -> list[bytes]:
    return [vector(text, dimensions, model) for text in texts]


def reason_of(error: pytest.ExceptionInfo[GatewayError]) -> str:
    return ErrorReason.Name(error.value.reason).removeprefix("ERROR_REASON_")


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=40),
    max_inputs=st.integers(1, 7),
)
async def test_vectors_keep_the_order_of_the_texts_and_each_text_is_sent_once(
    texts: list[str], max_inputs: int
) -> None:
    provider = FakeProvider()
    response = await alone(provider, max_embed_inputs=max_inputs).ask(texts)
    assert values(response) == vectors_of(texts)
    sent = [text for shard in provider.shards for text in shard.texts]
    assert sorted(sent) == sorted(set(texts))
    assert all(len(shard.texts) <= max_inputs for shard in provider.shards)
    assert response.upstream_calls == len(provider.shards)
    assert response.usage.input_tokens == 7 * len(sent)


async def test_shards_go_in_parallel_but_no_more_than_eight_at_once() -> None:
    provider = FakeProvider(delay_s=0.002)
    await alone(provider, max_embed_inputs=1).ask([str(i) for i in range(40)])
    assert provider.most_in_flight == MAX_IN_FLIGHT


async def test_response_says_who_embedded_and_what_it_cost() -> None:
    setup = alone(FakeProvider())
    response = await setup.ask(["a", "b"], input_type=EmbedRequest.INPUT_TYPE_QUERY)
    assert (response.dimensions, response.upstream_calls, response.cache_hits) == (4, 1, 0)
    assert (response.usage.input_tokens, response.usage.cost_nano_usd) == (14, 14_000)
    route = response.route
    assert (route.provider, route.model, route.attempts) == ("one", "m", 1)
    assert route.provider_request_id == "call-1"
    assert route.cache_status == CacheStatus.CACHE_STATUS_BYPASS


async def test_only_the_failing_shard_is_retried() -> None:
    def misbehave(shard: EmbedShard, call: int) -> ProviderFailure | None:
        return ProviderFailure(FailureKind.ERROR) if "3" in shard.texts and call <= 6 else None

    provider = FakeProvider(misbehave=misbehave)
    texts = [str(i) for i in range(6)]
    response = await alone(provider, max_embed_inputs=1).ask(texts)
    assert values(response) == vectors_of(texts)
    assert len(provider.shards) == 7
    assert response.route.attempts == 2


async def test_a_shard_falls_back_to_another_endpoint_of_the_same_model() -> None:
    broken, sound = FakeProvider(misbehave=fails(FailureKind.UNREACHABLE)), FakeProvider()
    setup = Setup({"one": broken, "two": sound}, [target("one"), target("two")])
    response = await setup.ask(["a"])
    assert values(response) == vectors_of(["a"])
    assert response.route.provider == "two"


async def test_vectors_of_two_models_never_mix() -> None:
    """The shard that fails takes all the others along to the next model."""

    def misbehave(shard: EmbedShard, _: int) -> ProviderFailure | None:
        return ProviderFailure(FailureKind.ERROR) if "3" in shard.texts else None

    half_broken, sound = FakeProvider(misbehave=misbehave), FakeProvider()
    targets = [target("one", "m", max_embed_inputs=1), target("two", "other", max_embed_inputs=4)]
    setup = Setup({"one": half_broken, "two": sound}, targets)
    texts = [str(i) for i in range(6)]
    response = await setup.ask(texts)
    assert values(response) == vectors_of(texts, "other")
    assert [len(shard.texts) for shard in sound.shards] == [4, 2]
    assert (response.route.provider, response.route.model) == ("two", "other")
    paid = sum(a.usage.input_tokens for a in setup.seen.attempts if a.usage)
    assert response.usage.input_tokens == paid


async def test_a_hanging_model_leaves_time_for_the_next_one() -> None:
    hanging, sound = FakeProvider(delay_s=60), FakeProvider()
    setup = Setup({"one": hanging, "two": sound}, [target("one"), target("two", "other")])
    response = await setup.ask(["a"], timeout_s=0.4)
    assert response.route.provider == "two"


async def test_a_resting_model_is_passed_over_without_a_probe() -> None:
    broken, sound = FakeProvider(misbehave=fails(FailureKind.OVERLOADED)), FakeProvider()
    setup = Setup({"one": broken, "two": sound}, [target("one"), target("two", "other")])
    for _ in range(6):
        await setup.ask(["a"])
    calls = len(broken.shards)
    await setup.ask(["a"])
    assert len(broken.shards) == calls


async def test_when_every_model_rests_one_still_gets_a_probe() -> None:
    broken = FakeProvider(misbehave=fails(FailureKind.OVERLOADED, first=12))
    setup = Setup({"one": broken}, [target("one"), target("one", "other")])
    for _ in range(8):
        with pytest.raises(GatewayError):
            await setup.ask(["a"])
    broken.misbehave = lambda _shard, _call: None
    setup.later_s = 2.0
    assert (await setup.ask(["a"])).dimensions == 4


async def test_more_shards_than_a_provider_takes_at_once_wait_for_their_turn() -> None:
    provider = FakeProvider(delay_s=0.002)
    texts = [str(i) for i in range(20)]
    response = await alone(provider, max_embed_inputs=1, concurrency=3).ask(texts)
    assert values(response) == vectors_of(texts)
    assert provider.most_in_flight == 3


async def test_failure_of_one_shard_fails_the_call_and_ends_the_others() -> None:
    def misbehave(shard: EmbedShard, _: int) -> ProviderFailure | None:
        return ProviderFailure(FailureKind.REJECTED) if "0" in shard.texts else None

    provider = FakeProvider(misbehave=misbehave)
    setup = alone(provider, max_embed_inputs=1)
    with pytest.raises(GatewayError) as error:
        await setup.ask([str(i) for i in range(30)])
    assert reason_of(error) == "PROVIDER_REJECTED"
    assert (provider.in_flight, setup.health.in_flight()) == (0, 0)
    assert len(provider.shards) <= 2 * MAX_IN_FLIGHT


@pytest.mark.parametrize(("shards", "wait_s"), [(1, 0.0), (5, 0.001), (30, 0.003), (30, 0.02)])
async def test_cancel_releases_everything_and_books_what_was_sent(
    shards: int, wait_s: float
) -> None:
    provider = FakeProvider(delay_s=0.01)
    setup = alone(provider, max_embed_inputs=1)
    call = asyncio.ensure_future(setup.ask([str(i) for i in range(shards)]))
    await asyncio.sleep(wait_s)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (provider.in_flight, setup.health.in_flight()) == (0, 0)
    assert len(setup.seen.attempts) == len(provider.shards)
    assert all(attempt.usage for attempt in setup.seen.attempts)


def answering(change: Any) -> FakeProvider:
    provider = FakeProvider()
    provider.misbehave = lambda shard, _: change(provider.answer(shard, "m"))
    return provider


@pytest.mark.parametrize(
    "change",
    [
        lambda v: Vectors(v.packed[:-1], v.dimensions, v.usage),
        lambda v: Vectors([*v.packed, v.packed[0]], v.dimensions, v.usage),
        lambda v: Vectors([p[:-4] for p in v.packed], v.dimensions, v.usage),
        lambda v: Vectors([p[:-4] for p in v.packed], v.dimensions - 1, v.usage),
        lambda v: Vectors([b"" for _ in v.packed], 0, v.usage),
    ],
    ids=["fewer", "more", "shorter than said", "other dimensions", "empty"],
)
async def test_misshapen_answers_are_failures_and_are_booked(change: Any) -> None:
    setup = alone(answering(change))
    with pytest.raises(GatewayError) as error:
        await setup.ask(["a", "b"], dimensions=4)
    assert reason_of(error) == "PROVIDER_ERROR"
    assert all(a.outcome is AttemptOutcome.FAILED for a in setup.seen.attempts)
    assert [a.usage.input_tokens for a in setup.seen.attempts if a.usage] == [14] * 3


async def test_shards_of_unequal_dimensions_are_refused() -> None:
    provider = FakeProvider()

    def misbehave(shard: EmbedShard, call: int) -> Vectors:
        provider.dimensions = 4 if call == 1 else 5
        return provider.answer(shard, "m")

    provider.misbehave = misbehave
    with pytest.raises(GatewayError) as error:
        await alone(provider, max_embed_inputs=1).ask(["a", "b"])
    assert reason_of(error) == "PROVIDER_ERROR"


async def test_an_answer_too_large_is_refused_before_anything_is_spent() -> None:
    provider = FakeProvider(1536)
    setup = alone(provider, embedding_dimensions=(1536, 512))
    texts = [str(i) for i in range(598)]
    with pytest.raises(GatewayError) as error:
        await setup.ask(texts)
    assert reason_of(error) == "TOO_LARGE"
    assert "EmbedStream" in error.value.public
    assert not provider.shards
    assert len((await setup.ask(texts[:597])).embeddings) == 597
    assert (await setup.ask(texts, dimensions=512)).dimensions == 512


async def test_an_unknown_length_is_learned_from_the_first_answer() -> None:
    provider = FakeProvider(4096)
    setup = alone(provider)
    texts = [str(i) for i in range(300)]
    for _ in range(2):
        with pytest.raises(GatewayError):
            await setup.ask(texts)
    assert len(provider.shards) == 1


async def test_dimensions_the_model_does_not_offer_are_invalid() -> None:
    with pytest.raises(GatewayError) as error:
        await alone(FakeProvider(), embedding_dimensions=(8, 4)).ask(["a"], dimensions=5)
    assert reason_of(error) == "INVALID_REQUEST"
    assert [v.field for v in error.value.violations] == ["dimensions"]
    assert error.value.violations[0].description == "must be 0 or one of 4, 8"


async def test_texts_too_long_for_every_target_are_all_named() -> None:
    provider = FakeProvider()
    with pytest.raises(GatewayError) as error:
        await alone(provider, context_window=10).ask(["a", "b" * 1000, "c", "d" * 1000])
    assert reason_of(error) == "CONTEXT_LENGTH_EXCEEDED"
    assert [v.field for v in error.value.violations] == ["texts[1]", "texts[3]"]
    assert not provider.shards


async def test_a_provider_s_index_is_told_in_the_caller_s_order() -> None:
    def misbehave(shard: EmbedShard, _: int) -> ProviderFailure | None:
        at = shard.texts.index("bad") if "bad" in shard.texts else -1
        return ProviderFailure(FailureKind.REJECTED, field=f"input[{at}]") if at >= 0 else None

    setup = alone(FakeProvider(misbehave=misbehave), max_embed_inputs=3)
    with pytest.raises(GatewayError) as error:
        await setup.ask(["a", "a", "b", "c", "d", "bad", "e"])
    assert [v.field for v in error.value.violations] == ["texts[5]"]


async def test_a_batch_that_the_provider_finds_too_large_is_halved() -> None:
    def misbehave(shard: EmbedShard, _: int) -> ProviderFailure | None:
        return ProviderFailure(FailureKind.TOO_LARGE) if len(shard.texts) > 3 else None

    provider = FakeProvider(misbehave=misbehave)
    texts = [str(i) for i in range(10)]
    assert values(await alone(provider).ask(texts)) == vectors_of(texts)


async def test_max_attempts_caps_tries_over_all_models() -> None:
    broken = FakeProvider(misbehave=fails(FailureKind.ERROR))
    setup = Setup({"one": broken, "two": broken}, [target("one"), target("two", "other")])
    with pytest.raises(GatewayError) as error:
        await setup.ask(["a"], routing=RoutingOptions(max_attempts=2))
    assert len(broken.shards) == len(error.value.attempts) == 2
    assert [told.attempt for told in error.value.attempts] == [1, 2]


async def test_disable_fallback_asks_the_first_target_only() -> None:
    broken, sound = FakeProvider(misbehave=fails(FailureKind.AUTH)), FakeProvider()
    setup = Setup({"one": broken, "two": sound}, [target("one"), target("two")])
    with pytest.raises(GatewayError) as error:
        await setup.ask(["a"], routing=RoutingOptions(disable_fallback=True))
    assert reason_of(error) == "PROVIDER_AUTH_FAILED"
    assert not sound.shards


async def test_encodings_are_made_from_the_same_vectors() -> None:
    setup = alone(FakeProvider(8))
    wanted = struct.unpack("<8f", vector("a", 8))

    async def ask(encoding: EmbeddingEncoding.ValueType) -> Any:
        return (await setup.ask(["a"], encoding=encoding)).embeddings[0]

    half = await ask(EmbeddingEncoding.EMBEDDING_ENCODING_FLOAT16)
    small = await ask(EmbeddingEncoding.EMBEDDING_ENCODING_INT8)
    bits = await ask(EmbeddingEncoding.EMBEDDING_ENCODING_BINARY)
    assert struct.unpack("<8e", half.packed) == pytest.approx(wanted, rel=1e-3, abs=1e-7)
    peak = max(map(abs, wanted))
    assert [
        math.isclose(n * small.scale, w, abs_tol=peak / 250)
        for n, w in zip(struct.unpack("8b", small.packed), wanted, strict=True)
    ] == [True] * 8
    assert bits.packed == bytes([int("".join("1" if w > 0 else "0" for w in wanted), 2)])
