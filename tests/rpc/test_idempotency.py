"""Idempotency keys through the port (fault 87): one call, one bill, the same reply."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from turnout.v1.chat_service_pb2 import ChatRequest
from turnout.v1.embed_service_pb2 import EmbedRequest
from turnout.v1.embed_service_pb2_grpc import EmbedServiceStub
from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.routing_pb2 import CacheStatus

from tests.redis.server import RedisServer
from tests.rpc.serving import TWO_PROVIDERS, Failed, Serving, chat, kept_running, serve, text_of
from tests.rpc.tenants import PEPPER, TOKEN_NANO_USD, auth, priced, tenant

SAY = "first/say:yes"


@pytest.fixture(params=["memory", "redis"])
async def serving(
    request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer
) -> AsyncIterator[Serving]:
    store = f"cache: {{backend: {request.param}, url: '{redis_server.url}'}}\n"
    config, environ = TWO_PROVIDERS + store + auth(tmp_path), {"PEPPER": PEPPER}
    async with (
        serve(tmp_path, config, adapt=priced, environ=environ) as serving,
        kept_running(serving.gateway),
    ):
        yield serving
        await serving.idle()


def keyed(key: str = "k1", name: str = "acme") -> dict[str, Any]:
    return {"metadata": tenant(name, ("idempotency-key", key))}


async def test_the_same_call_again_gets_the_reply_again_at_no_cost(serving: Serving) -> None:
    request = chat("first/think:hm|say:yes|call:look:{}")
    first, again = [await serving.ask(request, **keyed()) for _ in range(2)]
    assert not isinstance(first, Failed)
    assert not isinstance(again, Failed)
    kinds = [event.WhichOneof("event") for event in again]
    assert kinds == ["text_delta", "tool_call", "finish"]
    assert text_of(again) == text_of(first) == "yes"
    assert again[-1].finish.response_id == first[-1].finish.response_id
    assert again[-1].finish.route.cache_status == CacheStatus.CACHE_STATUS_HIT
    assert not again[-1].finish.HasField("message")
    assert serving.provider("first").calls.total() == 1
    costs = [call.usage.cost_nano_usd for call in serving.seen.calls]
    assert costs == [4 * TOKEN_NANO_USD, 0]
    assert serving.seen.calls[1].saved_nano_usd == 4 * TOKEN_NANO_USD


async def test_a_unary_reply_is_given_again(serving: Serving) -> None:
    answers = [await serving.chat.CompleteChat(chat(SAY), **keyed()) for _ in range(2)]
    assert [answer.text for answer in answers] == ["yes", "yes"]
    assert answers[0].finish.message == answers[1].finish.message
    assert serving.provider("first").calls.total() == 1


async def test_vectors_are_given_again(serving: Serving) -> None:
    stub: Any = EmbedServiceStub(serving.channel)
    request = EmbedRequest(model="first/say:v", texts=["one", "two words"])
    first, again = [await stub.Embed(request, **keyed()) for _ in range(2)]
    assert list(again.embeddings) == list(first.embeddings)
    assert (again.dimensions, again.upstream_calls, again.cache_hits) == (8, 0, 2)
    assert (first.usage.cost_nano_usd, again.usage.cost_nano_usd) == (3 * TOKEN_NANO_USD, 0)
    assert serving.provider("first").calls.total() == 1


async def test_a_key_with_another_request_is_refused(serving: Serving) -> None:
    await serving.ask(chat(SAY), **keyed())
    other = await serving.ask(chat("first/say:no"), **keyed())
    assert isinstance(other, Failed)
    assert other.code is grpc.StatusCode.INVALID_ARGUMENT
    (violation,) = other.bad_request.field_violations
    assert violation.field == "idempotency-key"
    assert serving.provider("first").calls.total() == 1


async def test_a_second_call_while_the_first_runs_is_told_to_come_again(serving: Serving) -> None:
    request = chat("first/wait:300|say:yes")
    first = asyncio.ensure_future(serving.ask(request, **keyed()))
    await asyncio.sleep(0.1)
    second = await serving.ask(request, **keyed())
    assert isinstance(second, Failed)
    assert (second.code, second.reason) == (grpc.StatusCode.ABORTED, "DUPLICATE_REQUEST")
    assert second.detail.retry_delay.ToMilliseconds() > 0
    assert text_of(await first) == "yes"
    assert text_of(await serving.ask(request, **keyed())) == "yes"
    assert serving.provider("first").calls.total() == 1


@pytest.mark.parametrize("script", ["fail:AUTH", "say:part|fail:OVERLOADED"])
async def test_a_call_that_failed_may_be_made_again(serving: Serving, script: str) -> None:
    request = chat(f"first/{script}")
    for _ in range(2):
        assert isinstance(await serving.ask(request, **keyed()), Failed)
    assert all(r.reason != ErrorReason.ERROR_REASON_DUPLICATE_REQUEST for r in serving.seen.calls)


async def test_a_call_that_was_left_may_be_made_again(serving: Serving) -> None:
    request = chat("first/wait:200|say:yes")
    left = asyncio.ensure_future(serving.ask(request, **keyed()))
    await asyncio.sleep(0.1)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    await serving.idle()
    assert text_of(await serving.ask(request, **keyed())) == "yes"
    assert serving.provider("first").calls.total() == 2


async def test_keys_are_each_tenants_and_each_methods_own(serving: Serving) -> None:
    request: ChatRequest = chat(SAY)
    await serving.ask(request, **keyed())
    await serving.ask(request, **keyed(name="beta"))
    await serving.ask(request, **keyed("k2"))
    await serving.chat.CompleteChat(request, **keyed())
    assert serving.provider("first").calls.total() == 4


async def test_with_the_store_away_the_call_is_simply_made(
    tmp_path: Path, own_server: RedisServer
) -> None:
    store = f"cache: {{backend: redis, url: '{own_server.url}'}}\n"
    config, environ = TWO_PROVIDERS + store + auth(tmp_path), {"PEPPER": PEPPER}
    async with (
        serve(tmp_path, config, environ=environ) as serving,
        kept_running(serving.gateway),
    ):
        own_server.kill()
        assert text_of(await serving.ask(chat(SAY), **keyed())) == "yes"
