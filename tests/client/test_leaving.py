"""Callers who leave, and iterables of texts that fail."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.client.smoke_case import CASES, calls_seen, chat_request
from turnout_client import AsyncClient, Cancelled, Client

TALKS_FOR_EVER = chat_request(next(case for case in CASES if case["name"] == "caller_cancels"))
VECTORS = "smoke:embeds_10000_texts"


@pytest.fixture
def client(smoke_server: dict[str, str]) -> Iterator[Client]:
    with Client(smoke_server["address"], api_key=smoke_server["api_key"]) as client:
        yield client


@pytest.fixture
async def async_client(smoke_server: dict[str, str]) -> AsyncIterator[AsyncClient]:
    address, api_key = smoke_server["address"], smoke_server["api_key"]
    async with AsyncClient(address, api_key=api_key) as client:
        yield client


def test_leaving_the_with_block_cancels_the_rest(
    client: Client, smoke_server: dict[str, str]
) -> None:
    request_id = str(uuid.uuid4())
    with client.chat(TALKS_FOR_EVER, request_id=request_id) as stream:
        assert next(stream) == "one "
    assert calls_seen(smoke_server, request_id)[0]["outcome"] == "cancelled"
    with pytest.raises(Cancelled):
        stream.collect()


async def test_cancelling_the_reading_task_cancels_the_call(
    async_client: AsyncClient, smoke_server: dict[str, str]
) -> None:
    request_id = str(uuid.uuid4())
    stream = async_client.chat(TALKS_FOR_EVER, request_id=request_id)
    assert await anext(stream) == "one "
    reading = asyncio.create_task(stream.collect())
    await asyncio.sleep(0.05)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    seen = await asyncio.to_thread(calls_seen, smoke_server, request_id)
    assert seen[0]["outcome"] == "cancelled"


async def test_a_stream_cancelled_elsewhere_raises_cancelled_and_not_cancellederror(
    async_client: AsyncClient,
) -> None:
    async with async_client.chat(TALKS_FOR_EVER) as stream:
        await anext(stream)
        stream.cancel()
        with pytest.raises(Cancelled):
            await stream.collect()


def broken_texts() -> Iterator[str]:
    yield from (f"text {number}" for number in range(100))
    raise OSError("the file went away")


def test_what_the_iterable_of_texts_raises_reaches_the_caller(client: Client) -> None:
    with pytest.raises(OSError, match="went away"):
        list(client.embed_all(VECTORS, broken_texts(), dimensions=4))


async def test_what_an_asynchronous_iterable_raises_reaches_the_caller(
    async_client: AsyncClient,
) -> None:
    async def texts() -> AsyncIterator[str]:
        for text in broken_texts():
            yield text

    with pytest.raises(OSError, match="went away"):
        async for _ in async_client.embed_all(VECTORS, texts(), dimensions=4):
            pass


def test_leaving_an_endless_embed_all_ends_it(client: Client, smoke_server: dict[str, str]) -> None:
    request_id = str(uuid.uuid4())
    endless = iter(lambda: "text 1", None)
    options: dict[str, Any] = {"dimensions": 4, "window": 64, "request_id": request_id}
    with client.embed_all(VECTORS, endless, **options) as done:
        next(done)
    seen = calls_seen(smoke_server, request_id)
    assert seen[0]["outcome"] == "cancelled"
    assert seen[0]["unanswered_items_at_most"] <= 64
