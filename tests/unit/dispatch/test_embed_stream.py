"""EmbedStream's engine: any number of items, within bounded memory."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from turnout.v1.embed_service_pb2 import EmbedItem, EmbedItems, EmbedOptions
from turnout.v1.errors_pb2 import ErrorReason

from tests.unit.dispatch.embed_setup import FakeProvider, Setup, alone, fails, target, vector
from turnout_server.core.call import Method
from turnout_server.core.errors import GatewayError
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.dispatch.embed_parallel import MAX_IN_FLIGHT
from turnout_server.dispatch.embed_stream import MAX_SPLITS
from turnout_server.providers.provider import EmbedShard

_R = ErrorReason


class Stream:
    """Runs one stream over an engine and keeps what it wrote."""

    def __init__(self, setup: Setup, *, write_s: float = 0.0, **options: Any) -> None:
        self.watch = setup.watch(method=Method.EMBED_STREAM)
        self.vectors: dict[int, bytes] = {}
        self.errors: dict[int, int] = {}
        self.message_bytes: list[int] = []
        self.end: Any = None
        self.read = self.writing = 0
        self._setup = setup
        self._write_s = write_s
        self._options = EmbedOptions(model="embed", **options)

    async def run(self, messages: Iterable[EmbedItems] | AsyncIterator[EmbedItems]) -> "Stream":
        await self._setup.embed.stream(
            self._options, self._requests(messages), self._write, self.watch
        )
        return self

    async def texts(self, texts: list[str], *, per_message: int = 50) -> "Stream":
        return await self.run(messages_of(texts, per_message))

    async def _requests(self, messages: Any) -> AsyncIterator[EmbedItems]:
        if hasattr(messages, "__aiter__"):
            async for message in messages:
                self.read += 1
                yield message
        else:
            for message in messages:
                self.read += 1
                yield message

    async def _write(self, response: Any) -> None:
        assert self.end is None
        self.writing += 1
        assert self.writing == 1
        await asyncio.sleep(self._write_s)
        self.writing -= 1
        self.message_bytes.append(response.ByteSize())
        if response.WhichOneof("payload") == "end":
            self.end = response.end
        for result in response.results.results:
            assert result.id not in self.vectors
            assert result.id not in self.errors
            if result.WhichOneof("outcome") == "embedding":
                self.vectors[result.id] = result.embedding.values
            else:
                self.errors[result.id] = result.error.reason


def messages_of(texts: list[str], per_message: int = 50) -> Iterable[EmbedItems]:
    for start in range(0, len(texts), per_message):
        part = texts[start : start + per_message]
        yield EmbedItems(items=[EmbedItem(id=start + i, text=t) for i, t in enumerate(part)])


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.text(max_size=3), max_size=60),
    per_message=st.integers(1, 20),
    max_inputs=st.integers(1, 9),
)
async def test_every_item_gets_its_own_vector_or_error_once(
    texts: list[str], per_message: int, max_inputs: int
) -> None:
    provider = FakeProvider()
    stream = await Stream(alone(provider, max_embed_inputs=max_inputs)).texts(
        texts, per_message=per_message
    )
    assert stream.vectors == {i: vector(t, 4) for i, t in enumerate(texts) if t}
    assert stream.errors == {
        i: _R.ERROR_REASON_INVALID_REQUEST for i, t in enumerate(texts) if not t
    }
    end = stream.end
    assert (end.embedded_items, end.failed_items) == (len(stream.vectors), len(stream.errors))
    assert end.upstream_calls == len(provider.shards)
    assert all(len(shard.texts) <= max_inputs for shard in provider.shards)
    assert stream.watch.embed_inputs == len(texts)


async def test_no_more_than_eight_shards_are_under_way() -> None:
    provider = FakeProvider(delay_s=0.002)
    await Stream(alone(provider, max_embed_inputs=2)).texts([str(i) for i in range(100)])
    assert provider.most_in_flight == MAX_IN_FLIGHT


async def test_a_caller_who_does_not_read_stops_the_reading() -> None:
    setup = alone(FakeProvider(), max_embed_inputs=10)
    stream = Stream(setup, write_s=60.0)
    task = asyncio.ensure_future(stream.texts(["x" * i for i in range(1, 2000)], per_message=10))
    await asyncio.sleep(0.1)
    assert stream.read <= MAX_IN_FLIGHT + 4
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert setup.health.in_flight() == 0


async def test_a_few_items_are_answered_before_more_are_sent() -> None:
    """A caller may wait for the results of one message before it sends the next."""
    stream = Stream(alone(FakeProvider()))

    async def one_by_one() -> AsyncIterator[EmbedItems]:
        for i in range(5):
            yield EmbedItems(items=[EmbedItem(id=i, text=f"text {i}")])
            async with asyncio.timeout(2):
                while i not in stream.vectors:
                    await asyncio.sleep(0.001)

    await stream.run(one_by_one())
    assert len(stream.vectors) == 5


async def test_messages_stay_under_a_mebibyte() -> None:
    provider = FakeProvider(3072)
    stream = await Stream(alone(provider)).texts([str(i) for i in range(300)], per_message=300)
    assert len(stream.vectors) == 300
    assert max(stream.message_bytes) < 1 << 20
    assert max(len(shard.texts) for shard in provider.shards) <= 170


async def test_equal_texts_of_a_shard_are_sent_once() -> None:
    provider = FakeProvider()
    stream = await Stream(alone(provider)).texts(["a", "b", "a", "a"])
    assert [shard.texts for shard in provider.shards] == [["a", "b"]]
    assert stream.vectors[3] == vector("a", 4)


async def test_a_text_too_long_is_an_error_of_its_own() -> None:
    stream = await Stream(alone(FakeProvider(), context_window=10)).texts(["a", "b" * 1000, "c"])
    assert sorted(stream.vectors) == [0, 2]
    assert stream.errors == {1: _R.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED}


def rejecting(*bad: str) -> FakeProvider:
    def misbehave(shard: EmbedShard, _: int) -> ProviderFailure | None:
        found = set(bad) & set(shard.texts)
        return ProviderFailure(FailureKind.REJECTED) if found else None

    return FakeProvider(misbehave=misbehave)


async def test_an_item_that_the_provider_rejects_does_not_hurt_its_neighbours() -> None:
    provider = rejecting("17", "63")
    stream = await Stream(alone(provider)).texts([str(i) for i in range(100)], per_message=100)
    rejected = _R.ERROR_REASON_PROVIDER_REJECTED
    assert stream.errors == {17: rejected, 63: rejected}
    assert len(stream.vectors) == 98


async def test_a_stream_that_is_rejected_throughout_is_not_asked_for_ever() -> None:
    provider = FakeProvider(misbehave=fails(FailureKind.REJECTED))
    texts = [str(i) for i in range(2000)]
    stream = await Stream(alone(provider, max_embed_inputs=50)).texts(texts)
    assert len(stream.errors) == 2000
    assert len(provider.shards) <= 2 * MAX_SPLITS + 40


async def test_a_shard_that_fails_for_good_is_errors_and_the_stream_goes_on() -> None:
    def misbehave(shard: EmbedShard, _: int) -> ProviderFailure | None:
        return ProviderFailure(FailureKind.ERROR) if "7" in shard.texts else None

    setup = alone(FakeProvider(misbehave=misbehave), max_embed_inputs=5)
    stream = await Stream(setup).texts([str(i) for i in range(20)], per_message=5)
    assert set(stream.errors.values()) == {_R.ERROR_REASON_PROVIDER_ERROR}
    assert len(stream.errors) == 5
    assert len(stream.vectors) == 15


async def test_the_first_answer_decides_the_model_of_the_whole_stream() -> None:
    broken = FakeProvider(misbehave=fails(FailureKind.UNREACHABLE, first=3))
    sound = FakeProvider()
    setup = Setup({"one": broken, "two": sound}, [target("one"), target("two", "other")])
    texts = [str(i) for i in range(500)]
    stream = await Stream(setup).texts(texts)
    assert stream.vectors == {i: vector(t, 4, "other") for i, t in enumerate(texts)}
    assert stream.end.route.model == "other"


async def test_usage_of_every_shard_is_booked() -> None:
    setup = alone(FakeProvider(), max_embed_inputs=10)
    stream = await Stream(setup).texts([str(i) for i in range(100)])
    assert stream.end.usage.input_tokens == 700
    assert stream.end.usage.cost_nano_usd == 700_000


@pytest.mark.parametrize("after_s", [0.0, 0.002, 0.01, 0.03])
async def test_cancel_releases_everything(after_s: float) -> None:
    provider = FakeProvider(delay_s=0.01)
    setup = alone(provider, max_embed_inputs=3)
    tasks = asyncio.all_tasks()
    run = Stream(setup).texts([str(i) for i in range(1000)])
    task = asyncio.ensure_future(run)
    await asyncio.sleep(after_s)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (provider.in_flight, setup.health.in_flight()) == (0, 0)
    assert asyncio.all_tasks() == tasks
    assert len(setup.seen.attempts) == len(provider.shards)


async def test_a_caller_s_mistake_ends_the_stream_when_what_is_under_way_is_done() -> None:
    async def broken() -> AsyncIterator[EmbedItems]:
        yield EmbedItems(items=[EmbedItem(id=1, text="a")])
        raise GatewayError(_R.ERROR_REASON_INVALID_REQUEST, "no items")

    setup = alone(FakeProvider(delay_s=0.01))
    stream = Stream(setup)
    with pytest.raises(GatewayError, match="no items"):
        await stream.run(broken())
    assert (len(stream.vectors), stream.end) == (1, None)
    assert setup.health.in_flight() == 0


async def test_an_unknown_model_fails_the_stream_before_it_reads() -> None:
    setup = alone(FakeProvider())
    stream = Stream(setup)
    stream._options.model = "nobody"
    with pytest.raises(GatewayError):
        await stream.texts(["a"])
    assert stream.read == 0


async def test_a_hundred_thousand_texts_hold_few_vectors_at_a_time() -> None:
    provider = FakeProvider(8)
    live = most = 0
    answer = provider.answer

    def counted(shard: EmbedShard, model: str) -> Any:
        nonlocal live, most
        live += len(shard.texts)
        most = max(most, live)
        return answer(shard, model)

    provider.answer = counted  # type: ignore[method-assign]
    stream = Stream(alone(provider, max_embed_inputs=512))
    write = stream._write

    async def written(response: Any) -> None:
        nonlocal live
        live -= len(response.results.results)
        await write(response)

    stream._write = written  # type: ignore[method-assign]
    texts = [str(i) for i in range(100_000)]
    await stream.texts(texts, per_message=1000)
    assert (stream.end.embedded_items, stream.end.failed_items) == (100_000, 0)
    assert most <= (MAX_IN_FLIGHT + 1) * 512
    assert len(provider.shards) <= 300
