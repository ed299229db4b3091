"""The stream's writer on a real connection: heartbeats, headers, and callers that do not read."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse

from turnout_server.rpc.writer import StreamWriter

Work = Callable[[StreamWriter], Awaitable[None]]
REQUEST_ID = (("x-request-id", "r"),)
EARLY_S = 0.04


@asynccontextmanager
async def stream(work: Work, **options: float) -> Any:
    """A call whose handler does `work`; gives the call and, when the handler is over, how."""
    ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    async def handle(_: ChatRequest, context: Any) -> None:
        error: BaseException | None = None
        try:
            with StreamWriter(context, REQUEST_ID, **options) as writer:
                await work(writer)
        except BaseException as caught:
            error = caught
            raise
        finally:
            ended.set_result(error)

    handler = grpc.unary_stream_rpc_method_handler(
        handle,
        request_deserializer=ChatRequest.FromString,
        response_serializer=ChatResponse.SerializeToString,
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t", {"S": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            method = channel.unary_stream(
                "/t/S",
                request_serializer=ChatRequest.SerializeToString,
                response_deserializer=ChatResponse.FromString,
            )
            yield method(ChatRequest(), timeout=10), ended
    finally:
        await server.stop(0)


def kinds(events: list[ChatResponse]) -> list[str | None]:
    return [event.WhichOneof("event") for event in events]


async def test_an_answer_after_a_heartbeat_is_whole() -> None:
    async def work(writer: StreamWriter) -> None:
        await asyncio.sleep(3 * EARLY_S)
        await writer.open((*REQUEST_ID, ("x-turnout-provider", "p")))
        await writer.write(ChatResponse(text_delta="late"))

    async with stream(work, heartbeat_after_s=EARLY_S) as (call, ended):
        events = [event async for event in call]
        assert set(kinds(events)) == {"heartbeat", "text_delta"}
        assert kinds(events)[-1] == "text_delta"
        assert ("x-request-id", "r") in tuple(await call.initial_metadata())
        assert await ended is None


async def test_headers_name_the_provider_when_no_heartbeat_went_ahead() -> None:
    async def work(writer: StreamWriter) -> None:
        await writer.open((*REQUEST_ID, ("x-turnout-provider", "p")))
        await writer.write(ChatResponse(text_delta="soon"))

    async with stream(work) as (call, _):
        assert ("x-turnout-provider", "p") in tuple(await call.initial_metadata())
        assert kinds([event async for event in call]) == ["text_delta"]


async def test_a_heartbeat_that_nobody_reads_ends_the_call() -> None:
    """A full window stops heartbeats as it stops text: the same clock ends both."""

    async def work(writer: StreamWriter) -> None:
        while len(full) < 2:  # until a write has waited for longer than it takes
            try:
                async with asyncio.timeout(EARLY_S / 4):
                    await writer.write(ChatResponse(text_delta="x" * (1 << 20)))
            except TimeoutError:
                full.append(True)
        await asyncio.Event().wait()

    full: list[bool] = []
    async with stream(work, heartbeat_after_s=EARLY_S, write_timeout_s=4 * EARLY_S) as (_, ended):
        error = await asyncio.wait_for(ended, 5)
        assert isinstance(error, asyncio.CancelledError)


@pytest.mark.parametrize("after_s", [0.0, EARLY_S, 1.2 * EARLY_S])
async def test_a_caller_who_leaves_among_heartbeats_is_no_bug(after_s: float) -> None:
    async def work(writer: StreamWriter) -> None:
        while True:
            await asyncio.sleep(EARLY_S * 1.1)
            await writer.write(ChatResponse(text_delta="x"))

    async with stream(work, heartbeat_after_s=EARLY_S) as (call, ended):
        await call.read()
        await asyncio.sleep(after_s)
        call.cancel()
        assert isinstance(await asyncio.wait_for(ended, 5), asyncio.CancelledError)
