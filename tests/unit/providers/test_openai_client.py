"""The client over a real socket: what it sends, how it leaves, and what it never does."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse, FinishReason
from turnout.v1.content_pb2 import Message, Role

from tests.unit.providers.raw_upstream import RawUpstream, hanging, head, raw, serve, stream, whole
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.receipt import Receipt
from turnout_server.core.target import Attempt
from turnout_server.providers.openai_chat import client as openai_chat
from turnout_server.providers.openai_chat.client import Client
from turnout_server.providers.provider import ChatEvent, EmbedShard

REQUEST = ChatRequest(model="m", messages=[Message(role=Role.ROLE_USER, text="hi")])
TOKEN = b'{"choices":[{"delta":{"content":"a"}}]}'
END = b'{"choices":[{"delta":{},"finish_reason":"stop"}]}'
GOOD = stream(TOKEN, END, b"[DONE]")
BEGUN = head(content_type="text/event-stream") + b"data: " + TOKEN + b"\n\n"

Call = Callable[[Client, Attempt], Coroutine[Any, Any, Any]]


@asynccontextmanager
async def client_of(seen: RawUpstream, **options: object) -> AsyncIterator[Client]:
    client = Client(seen.endpoint(**options))  # type: ignore[arg-type]
    try:
        yield client
    finally:
        await client.aclose()


async def chat(client: Client, attempt: Attempt) -> list[ChatEvent]:
    return [event async for event in client.chat(REQUEST, attempt)]


async def complete(client: Client, attempt: Attempt) -> ChatResponse:
    return await client.complete(REQUEST, attempt)


async def embed(client: Client, attempt: Attempt) -> Any:
    return await client.embed(EmbedShard(["a"]), attempt)


def header(request: str, name: str) -> str | None:
    for line in request.split("\r\n"):
        found, _, value = line.partition(":")
        if found.lower() == name:
            return value.strip()
    return None


async def test_a_stream_begins_with_the_providers_request_id() -> None:
    answer = raw(GOOD.replace(b"\r\n", b"\r\nx-request-id: req-7\r\n", 1))
    async with serve(answer) as seen, client_of(seen) as client:
        first, text, finish = await chat(client, seen.attempt())
    assert first == Receipt("req-7")
    assert isinstance(text, ChatResponse)
    assert text.text_delta == "a"
    assert isinstance(finish, ChatResponse)
    assert finish.finish.reason == FinishReason.FINISH_REASON_STOP


async def test_each_attempt_sends_its_own_key_and_nothing_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serve(raw(GOOD)) as trap, serve(raw(GOOD)) as seen:
        for name, value in {
            "OPENAI_API_KEY": "sk-environment",
            "OPENAI_ADMIN_KEY": "sk-environment",
            "OPENAI_ORG_ID": "org-environment",
            "OPENAI_PROJECT_ID": "project-environment",
            "OPENAI_BASE_URL": trap.address,
            "OPENAI_CUSTOM_HEADERS": "x-environment: yes",
        }.items():
            monkeypatch.setenv(name, value)
        async with client_of(seen) as client:
            await chat(client, seen.attempt(key="one"))
            await chat(client, seen.attempt(key="two"))
            await chat(client, seen.attempt(key=None))
    assert trap.requests == []
    keys = [header(request, "authorization") for request in seen.requests]
    assert keys == ["Bearer one", "Bearer two", None]
    assert "environment" not in "".join(seen.requests)
    assert "stainless" not in "".join(seen.requests).lower()
    assert seen.connections == 1


async def test_a_key_may_go_under_its_own_header() -> None:
    async with serve(raw(GOOD)) as seen, client_of(seen, auth="api-key") as client:
        await chat(client, seen.attempt(key="azure"))
    assert header(seen.requests[0], "api-key") == "azure"
    assert header(seen.requests[0], "authorization") is None


@pytest.mark.parametrize("call", [chat, complete, embed])
async def test_nothing_is_tried_twice(call: Call) -> None:
    async with (
        serve(raw(whole(b"{}", 503, retry_after="0"))) as seen,
        client_of(seen) as client,
    ):
        with pytest.raises(ProviderFailure) as caught:
            await call(client, seen.attempt())
    assert caught.value.kind is FailureKind.OVERLOADED
    assert caught.value.retry_after_s == 0
    assert len(seen.requests) == 1


@pytest.mark.parametrize("call", [chat, complete, embed])
@pytest.mark.parametrize("answered", [b"", head(content_type="text/event-stream")])
async def test_a_cancelled_call_hangs_up(call: Call, answered: bytes) -> None:
    async with serve(hanging(answered)) as seen, client_of(seen) as client:
        calling = asyncio.create_task(call(client, seen.attempt()))
        while not seen.requests:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await asyncio.wait_for(seen.hung_up.wait(), 1)


async def test_a_caller_who_leaves_in_the_stream_hangs_up() -> None:
    async with serve(hanging(BEGUN)) as seen, client_of(seen) as client:
        events = client.chat(REQUEST, seen.attempt())
        assert isinstance(await anext(events), Receipt)
        await anext(events)
        await events.aclose()
        await asyncio.wait_for(seen.hung_up.wait(), 1)


async def test_a_caller_who_stops_at_finish_leaves_the_connection_usable() -> None:
    async with serve(raw(GOOD)) as seen, client_of(seen) as client:
        for _ in range(2):
            events = client.chat(REQUEST, seen.attempt())
            async for event in events:
                if isinstance(event, ChatResponse) and event.HasField("finish"):
                    break
            await events.aclose()
    assert seen.connections == 1


async def test_a_whole_answer_does_not_wait_for_a_done_that_never_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(openai_chat, "TAIL_WAIT_S", 0.05)
    whole_answer = BEGUN + b"data: " + END + b"\n\n"
    async with serve(hanging(whole_answer)) as seen, client_of(seen) as client:
        *_, finish = await chat(client, seen.attempt())
    assert isinstance(finish, ChatResponse)
    assert finish.finish.reason == FinishReason.FINISH_REASON_STOP


async def test_a_failure_carries_the_providers_request_id() -> None:
    answer = head(content_type="text/event-stream", x_request_id="req-9") + b"data: 5\n\n"
    async with serve(raw(answer)) as seen, client_of(seen) as client:
        with pytest.raises(ProviderFailure) as caught:
            await chat(client, seen.attempt())
    assert caught.value.provider_request_id == "req-9"


async def test_an_error_never_repeats_key_or_prompt() -> None:
    body = json.dumps({"error": {"message": "key canary-key, prompt hi", "code": "canary key"}})
    async with serve(raw(whole(body.encode(), 400))) as seen, client_of(seen) as client:
        with pytest.raises(ProviderFailure) as caught:
            await chat(client, seen.attempt(key="canary-key"))
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_an_endpoint_that_is_gone_is_unreachable() -> None:
    async with serve(raw()) as seen:
        attempt, endpoint = seen.attempt(), seen.endpoint()
    client = Client(endpoint)
    with pytest.raises(ProviderFailure) as caught:
        await complete(client, attempt)
    await client.aclose()
    assert caught.value.kind is FailureKind.UNREACHABLE
