"""Embeddings through the port: what callers of Embed and EmbedStream see."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from turnout.v1.embed_service_pb2 import (
    EmbedItem,
    EmbedItems,
    EmbedOptions,
    EmbedRequest,
    EmbedResponse,
    EmbedStreamRequest,
    EmbedStreamResponse,
)
from turnout.v1.embed_service_pb2_grpc import EmbedServiceStub
from turnout.v1.routing_pb2 import RoutingOptions

from tests.rpc.serving import TWO_PROVIDERS, Failed, Serving, failed, serve

ALIAS = (
    TWO_PROVIDERS
    + """
models:
  vectors: {targets: ["first/fail:UNREACHABLE", "second/say:hi"]}
"""
)


async def embed(serving: Serving, texts: Sequence[str], **fields: Any) -> EmbedResponse | Failed:
    request = EmbedRequest(**{"model": "first/say:hi", "texts": texts, **fields})
    stub: Any = EmbedServiceStub(serving.channel)
    try:
        response = await stub.Embed(request, timeout=10)
    except grpc.aio.AioRpcError as error:
        return failed(error)
    assert isinstance(response, EmbedResponse)
    return response


def stream(serving: Serving, requests: Any, **options: Any) -> Any:
    stub: Any = EmbedServiceStub(serving.channel)
    return stub.EmbedStream(requests, **{"timeout": 10, **options})


async def answers(call: Any) -> list[EmbedStreamResponse] | Failed:
    responses: list[EmbedStreamResponse] = []
    try:
        async for response in call:
            responses.append(response)  # noqa: PERF401  what came before an error counts too
    except grpc.aio.AioRpcError as error:
        return failed(error)
    return responses


def options(model: str = "first/say:hi", **fields: Any) -> EmbedStreamRequest:
    return EmbedStreamRequest(options=EmbedOptions(model=model, **fields))


def items(*texts: str, start: int = 0) -> EmbedStreamRequest:
    numbered = enumerate(texts, start)
    return EmbedStreamRequest(
        items=EmbedItems(items=[EmbedItem(id=i, text=text) for i, text in numbered])
    )


async def test_a_batch_comes_back_in_the_order_of_its_texts(serving: Serving) -> None:
    response = await embed(serving, ["one", "two words", "one"])
    assert isinstance(response, EmbedResponse)
    first, second, third = (list(one.values) for one in response.embeddings)
    assert first == third != second
    assert (response.dimensions, len(first)) == (8, 8)
    assert (response.usage.input_tokens, response.upstream_calls) == (3, 1)
    assert (response.route.provider, response.route.attempts) == ("first", 1)


async def test_usage_is_on_record_once(serving: Serving) -> None:
    await embed(serving, ["one", "two words"])
    (call,) = serving.seen.calls
    assert (call.code, call.usage.input_tokens) == ("OK", 3)
    assert (call.embed_inputs, call.upstream_calls) == (2, 1)


async def test_headers_name_the_provider(serving: Serving) -> None:
    stub: Any = EmbedServiceStub(serving.channel)
    request = EmbedRequest(model="first/say:hi", texts=["a"])
    call = stub.Embed(request, metadata=(("x-request-id", "mine-1"),))
    headers = dict(await call.initial_metadata())
    assert headers["x-request-id"] == "mine-1"
    assert (headers["x-turnout-provider"], headers["x-turnout-cache"]) == ("first", "BYPASS")
    await call


async def test_every_violation_is_told_at_once(serving: Serving) -> None:
    told = await embed(serving, ["a", "", "b", ""], model="", encoding=9, labels={"": "x"})
    assert isinstance(told, Failed)
    assert told.code == grpc.StatusCode.INVALID_ARGUMENT
    fields = [violation.field for violation in told.bad_request.field_violations]
    assert fields == ["texts[1]", "texts[3]", "model", "encoding", "labels"]
    assert serving.provider("first").calls.total() == 0


async def test_more_than_2048_texts_are_refused(serving: Serving) -> None:
    told = await embed(serving, ["a"] * 2049)
    assert isinstance(told, Failed)
    assert (told.code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


async def test_an_answer_too_large_is_refused_before_it_is_paid(serving: Serving) -> None:
    told = await embed(serving, [str(i) for i in range(598)], dimensions=1536)
    assert isinstance(told, Failed)
    assert (told.code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "TOO_LARGE")
    assert serving.provider("first").calls.total() == 0
    whole = await embed(serving, [str(i) for i in range(597)], dimensions=1536)
    assert isinstance(whole, EmbedResponse)
    assert whole.ByteSize() < 4 << 20


async def test_an_alias_falls_back_without_the_caller_seeing_it(tmp_path: Path) -> None:
    async with serve(tmp_path, ALIAS) as serving:
        response = await embed(serving, ["a"], model="vectors")
        assert isinstance(response, EmbedResponse)
        assert (response.route.provider, response.route.attempts >= 2) == ("second", True)


async def test_unknown_model_and_failing_provider_have_their_status(serving: Serving) -> None:
    unknown = await embed(serving, ["a"], model="nobody")
    broken = await embed(serving, ["a"], model="first/fail:RATE_LIMITED:60")
    assert isinstance(unknown, Failed)
    assert isinstance(broken, Failed)
    assert (unknown.code, unknown.reason) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert broken.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert [told.provider for told in broken.detail.attempts] == ["first"]


async def test_deadline_ends_a_hanging_batch(serving: Serving) -> None:
    stub: Any = EmbedServiceStub(serving.channel)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.Embed(EmbedRequest(model="first/hang", texts=["a"]), timeout=0.1)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_cancel_of_a_batch_releases_everything(serving: Serving) -> None:
    stub: Any = EmbedServiceStub(serving.channel)
    call = stub.Embed(EmbedRequest(model="first/hang", texts=["a"]))
    await asyncio.sleep(0.02)
    call.cancel()
    await serving.idle()
    assert [record.code for record in serving.seen.calls] == ["CANCELLED"]
    assert [record.outcome for record in serving.seen.attempts] == ["cancelled"]


async def test_calls_at_once_share_upstream_calls(serving: Serving) -> None:
    model = "first/wait:30"
    calls = [embed(serving, [f"text {i}"], model=model) for i in range(200)]
    responses = await asyncio.gather(*calls)
    assert all(isinstance(response, EmbedResponse) for response in responses)
    assert serving.provider("first").calls[model] <= 20
    booked = sum(record.usage.input_tokens for record in serving.seen.calls)
    assert booked == 400


async def test_a_stream_answers_each_item_and_ends(serving: Serving) -> None:
    requests = [options(), items("a", "", "b"), items("a", "c", start=3)]
    responses = await answers(stream(serving, requests))
    assert not isinstance(responses, Failed)
    results = {r.id: r for response in responses for r in response.results.results}
    assert sorted(results) == [0, 1, 2, 3, 4]
    assert list(results[0].embedding.values) == list(results[3].embedding.values)
    assert results[1].error.message == "must not be empty"
    assert [response.WhichOneof("payload") for response in responses].count("end") == 1
    end = responses[-1].end
    assert (end.embedded_items, end.failed_items) == (4, 1)
    assert end.route.provider == "first"
    assert [call.embed_inputs for call in serving.seen.calls] == [5]


async def test_a_stream_without_items_just_ends(serving: Serving) -> None:
    responses = await answers(stream(serving, [options()]))
    assert not isinstance(responses, Failed)
    assert [response.WhichOneof("payload") for response in responses] == ["end"]


@pytest.mark.parametrize(
    "requests",
    [
        [],
        [items("a")],
        [options(), options()],
        [options(), items("a"), EmbedStreamRequest()],
        [options(model="", dimensions=1 << 20)],
    ],
    ids=["nothing", "items first", "options twice", "empty message", "bad options"],
)
async def test_a_stream_out_of_order_is_invalid(serving: Serving, requests: Any) -> None:
    told = await answers(stream(serving, requests))
    assert isinstance(told, Failed)
    assert told.code == grpc.StatusCode.INVALID_ARGUMENT
    assert told.reason == "INVALID_REQUEST"


async def test_bytes_that_are_no_message_are_invalid_in_a_stream_too(serving: Serving) -> None:
    raw = serving.channel.stream_stream("/turnout.v1.EmbedService/EmbedStream")
    for requests in ([b"\xff\xff\xff"], [options().SerializeToString(), b"\xff\xff\xff"]):
        told = await answers(raw(requests, timeout=10))
        assert isinstance(told, Failed)
        assert told.code == grpc.StatusCode.INVALID_ARGUMENT


async def test_provider_failure_is_each_item_s_error_and_the_stream_is_ok(
    serving: Serving,
) -> None:
    responses = await answers(stream(serving, [options("first/fail:AUTH"), items("a", "b")]))
    assert not isinstance(responses, Failed)
    assert responses[-1].end.failed_items == 2


async def test_fallback_models_serve_streams_too(serving: Serving) -> None:
    routing = RoutingOptions(fallback_models=["second/say:hi"])
    request = options("first/fail:UNREACHABLE", routing=routing)
    responses = await answers(stream(serving, [request, items("a", "b")]))
    assert not isinstance(responses, Failed)
    assert responses[-1].end.route.provider == "second"


async def test_cancel_of_a_stream_releases_everything(serving: Serving) -> None:
    async def endless() -> AsyncIterator[EmbedStreamRequest]:
        yield options("first/wait:5")
        for i in range(10_000):
            yield items(*map(str, range(50)), start=50 * i)

    call = stream(serving, endless())
    async for _ in call:
        break
    call.cancel()
    await serving.idle()
    assert [record.code for record in serving.seen.calls] == ["CANCELLED"]


async def test_reading_stops_while_a_caller_does_not_read(serving: Serving) -> None:
    sent = 0

    async def eager() -> AsyncIterator[EmbedStreamRequest]:
        nonlocal sent
        yield options(dimensions=1024)
        for i in range(2000):
            sent += 1
            yield items(*(f"{50 * i + j} " * 400 for j in range(50)), start=50 * i)

    call = stream(serving, eager())
    await call.initial_metadata()
    await asyncio.sleep(0.5)
    stalled = sent
    assert stalled < 200
    call.cancel()
    await serving.idle()
    assert [record.code for record in serving.seen.calls] == ["CANCELLED"]
