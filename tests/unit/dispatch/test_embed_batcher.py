"""Micro-batching: who waits for whom, who pays, and who is hurt by whom."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.usage_pb2 import Usage

from tests.unit.dispatch.embed_setup import FakeProvider, Setup, fails, target, values, vector
from turnout_server.core.errors import GatewayError
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.dispatch.batcher import SMALL_TEXTS, BatchSettings
from turnout_server.dispatch.shared_watch import divide_usage
from turnout_server.providers.provider import EmbedShard


def batching(provider: FakeProvider, *, max_batch: int = 256, **card: Any) -> Setup:
    settings = BatchSettings(window_s=0.005, max_batch=max_batch)
    return Setup({"one": provider}, [target(**card)], batching=settings)


def texts_of(provider: FakeProvider) -> list[list[str]]:
    return [list(shard.texts) for shard in provider.shards]


async def start(setup: Setup, *texts: str, **fields: Any) -> "asyncio.Task[Any]":
    """Begin a call and let it reach the provider or its batch."""
    task = asyncio.ensure_future(setup.ask(texts, **fields))
    await asyncio.sleep(0.001)
    return task


async def test_two_hundred_calls_at_once_become_a_few_upstream() -> None:
    provider = FakeProvider(delay_s=0.02)
    setup = batching(provider)
    responses = await asyncio.gather(*(setup.ask([f"text {i}"]) for i in range(200)))
    for i, response in enumerate(responses):
        assert values(response) == [vector(f"text {i}", 4)]
    assert len(provider.shards) == 2
    assert sum(response.upstream_calls for response in responses) == 2


async def test_every_token_of_a_batch_is_booked_once() -> None:
    provider = FakeProvider(delay_s=0.01)
    setup = batching(provider)
    responses = await asyncio.gather(*(setup.ask(["x" * (i + 1)]) for i in range(100)))
    assert sum(r.usage.input_tokens for r in responses) == 700
    assert sum(a.usage.input_tokens for a in setup.seen.attempts if a.usage) == 700


async def test_nobody_waits_when_nothing_is_under_way() -> None:
    provider = FakeProvider()
    setup = Setup({"one": provider}, [target()], batching=BatchSettings(window_s=60.0))
    async with asyncio.timeout(5):
        for i in range(5):
            await setup.ask([str(i)])
    assert len(provider.shards) == 5


async def test_who_gathers_goes_as_soon_as_the_call_under_way_ends() -> None:
    provider = FakeProvider(delay_s=0.01)
    setup = Setup({"one": provider}, [target()], batching=BatchSettings(window_s=60.0))
    async with asyncio.timeout(5):
        await asyncio.gather(*(setup.ask([str(i)]) for i in range(9)))
    assert [len(texts) for texts in texts_of(provider)] == [1, 8]


async def test_equal_texts_of_different_calls_are_sent_once() -> None:
    provider = FakeProvider(delay_s=0.01)
    setup = batching(provider)
    first = await start(setup, "busy")
    responses = await asyncio.gather(*(setup.ask(["same", str(i % 2)]) for i in range(10)))
    assert texts_of(provider) == [["busy"], ["same", "0", "1"]]
    assert values(responses[3]) == [vector("same", 4), vector("1", 4)]
    await first


async def test_a_batch_keeps_to_its_own_limit_and_the_target_s() -> None:
    for setup_of in (
        lambda p: batching(p, max_batch=8),
        lambda p: batching(p, max_embed_inputs=8),
    ):
        provider = FakeProvider(delay_s=0.005)
        setup = setup_of(provider)
        await asyncio.gather(*(setup.ask([f"{i}a", f"{i}b", f"{i}c"]) for i in range(20)))
        assert max(map(len, texts_of(provider))) == 6


async def test_calls_of_different_shape_never_share_a_batch() -> None:
    provider = FakeProvider(delay_s=0.01)
    setup = batching(provider)
    calls = [setup.ask([str(i)], dimensions=2 + i % 3, input_type=i % 2) for i in range(30)]
    for i, response in enumerate(await asyncio.gather(*calls)):
        assert values(response) == [vector(str(i), 2 + i % 3)]
    assert len(provider.shards) == 12


async def test_a_call_of_many_texts_goes_alone() -> None:
    provider = FakeProvider(delay_s=0.01)
    setup = batching(provider)
    many = [str(i) for i in range(SMALL_TEXTS + 1)]
    first = await start(setup, "busy")
    await asyncio.gather(setup.ask(many), setup.ask(["small"]))
    assert sorted(map(len, texts_of(provider))) == [1, 1, len(many)]
    await first


@pytest.mark.parametrize("leaver", [0, 1, 4])
@pytest.mark.parametrize("wait_s", [0.0, 0.008])
async def test_one_caller_s_cancel_harms_no_other(leaver: int, wait_s: float) -> None:
    """Whether it leaves while calls gather or while their batch is under way."""
    provider = FakeProvider(delay_s=0.01)
    setup = batching(provider)
    first = await start(setup, "busy")
    calls = [asyncio.ensure_future(setup.ask([str(i)])) for i in range(5)]
    await asyncio.sleep(wait_s)
    calls[leaver].cancel()
    for i, call in enumerate(calls):
        if i == leaver:
            with pytest.raises(asyncio.CancelledError):
                await call
        else:
            assert values(await call) == [vector(str(i), 4)]
    await first
    assert (provider.in_flight, setup.health.in_flight()) == (0, 0)


@pytest.mark.parametrize("wait_s", [0.0, 0.003, 0.008])
async def test_the_last_to_leave_ends_the_batch(wait_s: float) -> None:
    provider = FakeProvider(delay_s=0.02)
    setup = batching(provider)
    calls = [asyncio.ensure_future(setup.ask([str(i)])) for i in range(6)]
    await asyncio.sleep(wait_s)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (provider.in_flight, setup.health.in_flight()) == (0, 0)
    assert values(await setup.ask(["next"])) == [vector("next", 4)]


async def test_a_failure_is_shared_with_the_batch_and_counts_once() -> None:
    """Ten callers of one failed call must not open the circuit of five failures."""
    provider = FakeProvider(delay_s=0.005, misbehave=fails(FailureKind.ERROR, first=2))
    setup = batching(provider)
    responses = await asyncio.gather(*(setup.ask([str(i)]) for i in range(10)))
    assert [values(r) for r in responses] == [[vector(str(i), 4)] for i in range(10)]
    assert len(provider.shards) == 4
    assert sum(response.upstream_calls for response in responses) == 4


async def test_a_failure_for_good_is_told_to_each_of_the_batch() -> None:
    provider = FakeProvider(delay_s=0.005, misbehave=fails(FailureKind.AUTH))
    setup = batching(provider)
    results = await asyncio.gather(*(setup.ask([str(i)]) for i in range(5)), return_exceptions=True)
    for result in results:
        assert isinstance(result, GatewayError)
        assert result.reason == ErrorReason.ERROR_REASON_PROVIDER_AUTH_FAILED
        assert [told.provider for told in result.attempts] == ["one"]


async def test_who_leaves_a_batch_under_way_pays_for_its_own_texts() -> None:
    provider = FakeProvider(delay_s=0.1)
    setup = batching(provider)
    first = await start(setup, "busy")
    stays, leaves = await start(setup, "s" * 40), await start(setup, "l" * 40)
    await first
    leaves.cancel()
    await stays
    booked = [(str(a.outcome), a.usage.input_tokens) for a in setup.seen.attempts if a.usage]
    assert booked == [("ok", 7), ("cancelled", 10), ("ok", 7)]


async def test_a_text_at_fault_fails_its_own_call_only() -> None:
    def misbehave(shard: EmbedShard, _: int) -> ProviderFailure | None:
        return ProviderFailure(FailureKind.REJECTED) if "bad" in shard.texts else None

    provider = FakeProvider(delay_s=0.005, misbehave=misbehave)
    setup = batching(provider)
    texts = ["busy", "a", "bad", "b"]
    results = await asyncio.gather(*(setup.ask([t]) for t in texts), return_exceptions=True)
    assert isinstance(results[2], GatewayError)
    assert results[2].reason == ErrorReason.ERROR_REASON_PROVIDER_REJECTED
    for i in (0, 1, 3):
        assert values(results[i]) == [vector(texts[i], 4)]


async def test_waiting_callers_take_no_place_at_a_provider_with_few() -> None:
    provider = FakeProvider(delay_s=0.01)
    setup = batching(provider, concurrency=3)
    responses = await asyncio.gather(*(setup.ask([str(i)]) for i in range(50)))
    assert [values(r) for r in responses] == [[vector(str(i), 4)] for i in range(50)]


counts = st.integers(0, 10**9)


@given(
    usage=st.builds(
        Usage,
        input_tokens=counts,
        output_tokens=counts,
        cache_read_input_tokens=counts,
        estimated=st.booleans(),
    ),
    weights=st.lists(st.integers(1, 10**6), min_size=1, max_size=50),
)
def test_parts_of_usage_sum_up_to_the_whole(usage: Usage, weights: list[int]) -> None:
    parts = divide_usage(usage, weights)
    for name in ("input_tokens", "output_tokens", "cache_read_input_tokens"):
        numbers = [getattr(part, name) for part in parts]
        assert sum(numbers) == getattr(usage, name)
        fair = [getattr(usage, name) * weight / sum(weights) for weight in weights]
        assert all(abs(n - f) <= 1 for n, f in zip(numbers, fair, strict=True))
    assert all(part.estimated == usage.estimated for part in parts)
