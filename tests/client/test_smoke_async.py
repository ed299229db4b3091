"""Every smoke case through the asynchronous client, over a real port."""

import asyncio
import uuid
from datetime import datetime
from typing import Any

import pytest

from tests.client.conftest import trace_of
from tests.client.smoke_case import (
    CASES,
    USAGE_START,
    Outcome,
    call_options,
    calls_seen,
    chat_request,
    check,
    client_options,
    texts,
)
from turnout_client import AsyncClient, TurnoutError
from turnout_client.stream import AsyncChatStream


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_smoke_case_through_the_asynchronous_client(
    case: dict[str, Any], smoke_server: dict[str, str]
) -> None:
    request_id = str(uuid.uuid4())
    outcome = Outcome()
    options = client_options(case, smoke_server)
    async with AsyncClient(smoke_server["address"], **options) as client:
        try:
            with trace_of(case):
                await run(client, case, outcome, call_options(case, request_id))
        except TurnoutError as error:
            outcome.error = error
            outcome.answer = error.partial or outcome.answer
        seen = await asyncio.to_thread(calls_seen, smoke_server, request_id)
    check(case, outcome, request_id, seen)


async def run(
    client: AsyncClient, case: dict[str, Any], outcome: Outcome, options: dict[str, Any]
) -> None:
    asked = case["request"]
    match case["method"]:
        case "Chat":
            stream = client.chat(chat_request(case), **options)
            outcome.answer = await read(stream, case.get("client", {}).get("cancel_after_deltas"))
        case "CompleteChat":
            outcome.answer = await client.complete(chat_request(case), **options)
        case "Embed":
            vectors = await client.embed(
                asked["model"], texts(case), dimensions=asked["dimensions"], **options
            )
            outcome.vectors = dict(enumerate(vectors))
        case "EmbedStream":
            await embed_all(client, case, outcome, options)
        case "ListModels":
            outcome.names = [model.name for model in await client.models(**options)]
        case "GetModel":
            outcome.names = [(await client.model(asked["name"], **options)).name]
        case "ListProviders":
            outcome.names = [status.provider for status in await client.providers(**options)]
        case "WatchProviders":
            await watch(client, case, outcome, options)
        case "QueryUsage":
            rows = await client.usage(datetime.fromisoformat(USAGE_START), by=["model"], **options)
            outcome.names = [row.dimension_values[0] for row in rows]
        case "GetLimits":
            outcome.names = [limit.id for limit in await client.limits(**options)]


async def read(stream: AsyncChatStream, cancel_after: int | None) -> Any:
    if cancel_after is None:
        return await stream.collect()
    number = 0
    async for _ in stream:
        number += 1
        if number == cancel_after:
            stream.cancel()
    return stream.answer


async def embed_all(
    client: AsyncClient, case: dict[str, Any], outcome: Outcome, options: dict[str, Any]
) -> None:
    asked = case["request"]
    done = client.embed_all(asked["model"], texts(case), dimensions=asked["dimensions"], **options)
    async for position, vector, error in done:
        if vector is not None:
            outcome.vectors[position] = vector
        elif error is not None:
            outcome.failed[str(position)] = error.reason
    assert done.summary is not None
    assert done.summary.embedded_items == len(outcome.vectors)


async def watch(
    client: AsyncClient, case: dict[str, Any], outcome: Outcome, options: dict[str, Any]
) -> None:
    updates = client.watch_providers(**options)
    number = 0
    async for update in updates:
        outcome.names += [status.provider for status in update]
        number += 1
        if number == case["client"]["cancel_after_messages"]:
            await updates.aclose()
