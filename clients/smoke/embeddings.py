"""Vectors that tell which text they belong to: the first number is the text's own."""

import asyncio
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict
from turnout.v1.embed_service_pb2 import (
    Embedding,
    EmbedItem,
    EmbedItemResult,
    EmbedItemResults,
    EmbedRequest,
    EmbedResponse,
    EmbedStreamEnd,
    EmbedStreamResponse,
    ItemError,
)
from turnout.v1.routing_pb2 import Route
from turnout.v1.usage_pb2 import Usage

from report import SeenCall

ROUTE = Route(provider="scripted", model="vectors", attempts=1)


def embed(request: EmbedRequest) -> EmbedResponse:
    """One vector a text."""
    return EmbedResponse(
        embeddings=[_vector(text, request.dimensions) for text in request.texts],
        dimensions=request.dimensions,
        usage=Usage(input_tokens=2 * len(request.texts)),
        route=ROUTE,
        upstream_calls=1,
    )


async def embed_stream(
    script: dict[str, Any],
    options: Any,
    context: grpc.aio.ServicerContext[Any, Any],
    call: SeenCall,
) -> None:
    """Answer items as they come; notes the most that were ever unanswered."""
    waiting: list[EmbedItem] = []
    arrived = asyncio.Event()
    all_sent = asyncio.Event()

    async def read() -> None:
        while (message := await context.read()) is not grpc.aio.EOF:
            waiting.extend(message.items.items)
            call.unanswered_items_at_most = max(call.unanswered_items_at_most, len(waiting))
            arrived.set()
        all_sent.set()
        arrived.set()

    failing = script.get("fail_texts", {})
    done = EmbedStreamEnd(route=ROUTE)
    reader = asyncio.create_task(read())
    try:
        await arrived.wait()
        # Long enough for a caller without a window to send all it has.
        await asyncio.sleep(script.get("first_answer_after_ms", 0) / 1000)
        while waiting or not all_sent.is_set():
            arrived.clear()
            batch = waiting[: script.get("answer_at_most", 100)]
            results = [_result(item, options.dimensions, failing) for item in batch]
            if script.get("reverse"):
                results.reverse()
            if results:
                answer = EmbedStreamResponse(results=EmbedItemResults(results=results))
                await context.write(answer)
            del waiting[: len(batch)]
            done.failed_items += sum(result.HasField("error") for result in results)
            done.embedded_items += sum(result.HasField("embedding") for result in results)
            if not waiting and not all_sent.is_set():
                await arrived.wait()
    finally:
        reader.cancel()
    done.upstream_calls = 1
    done.usage.input_tokens = 2 * done.embedded_items
    await context.write(EmbedStreamResponse(end=done))


def _result(item: EmbedItem, dimensions: int, failing: dict[str, Any]) -> EmbedItemResult:
    if item.text in failing:
        return EmbedItemResult(id=item.id, error=ParseDict(failing[item.text], ItemError()))
    return EmbedItemResult(id=item.id, embedding=_vector(item.text, dimensions))


def _vector(text: str, dimensions: int) -> Embedding:
    """`text 17` → [17, 0.5, 0.5, …]."""
    return Embedding(values=[float(text.rsplit(maxsplit=1)[-1])] + [0.5] * (dimensions - 1))
