"""turnout.v1.EmbedService on the wire.

Answers are sent as the twins of the contract's messages: the same bytes, made without a Python
float for each number of a vector.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from turnout.internal.v1.embed_twins_pb2 import EmbedResponseTwin, EmbedStreamResponseTwin
from turnout.v1.embed_service_pb2 import (
    DESCRIPTOR,
    EmbedItems,
    EmbedOptions,
    EmbedRequest,
    EmbedStreamRequest,
)
from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.call import Method
from turnout_server.core.errors import GatewayError
from turnout_server.core.watch import Watch
from turnout_server.dispatch.embed import Embed
from turnout_server.rpc import status
from turnout_server.rpc.calls import Calls
from turnout_server.rpc.chat import allow_fallbacks, headers_of
from turnout_server.rpc.context import Context
from turnout_server.rpc.request_id import request_id
from turnout_server.rpc.validate_embed import violations_of, violations_of_options
from turnout_server.rpc.writer import StreamWriter

NAME = DESCRIPTOR.services_by_name["EmbedService"].full_name
OPTIONS_WITHIN_S = 30.0
"""A stream that has not said what it wants by then is holding a place for nothing."""
Requests = AsyncIterator[EmbedStreamRequest | None]


class EmbedService:
    """Embed and EmbedStream: one engine, for a batch or for any number of items."""

    def __init__(self, calls: Calls, embed: Embed) -> None:
        self._calls = calls
        self._embed = embed

    async def Embed(self, request: EmbedRequest, context: Context) -> EmbedResponseTwin | None:
        """Embed a batch: all of it, or none."""
        return await self._calls.serve(
            context,
            Method.EMBED,
            request,
            lambda: violations_of(request),
            lambda watch: self._answer(request, context, watch),
        )

    async def EmbedStream(self, requests: Requests, context: Context) -> None:
        """Embed items as they come; a coroutine that writes, as ChatService.Chat is."""
        try:
            options = await _options(requests)
        except GatewayError as error:
            status.fail(context, error, request_id(""))
            return
        await self._calls.serve(
            context,
            Method.EMBED_STREAM,
            options,
            lambda: violations_of_options(options),
            lambda watch: self._write(options, requests, context, watch),
        )

    async def _answer(
        self, request: EmbedRequest, context: Context, watch: Watch
    ) -> EmbedResponseTwin:
        allow_fallbacks(request, watch)
        response = await self._embed.embed(request, watch)
        await context.send_initial_metadata(headers_of(watch.route, watch))
        return response

    async def _write(
        self, options: EmbedOptions, requests: Requests, context: Context, watch: Watch
    ) -> None:
        allow_fallbacks(options, watch)
        headers_sent = False
        # The contract has no heartbeat for this stream: a caller who sends nothing gets nothing.
        with StreamWriter(context, (), heartbeat_after_s=math.inf) as writer:

            async def write(response: EmbedStreamResponseTwin) -> None:
                nonlocal headers_sent
                if not headers_sent:
                    headers_sent = True
                    await writer.open(headers_of(watch.route, watch))
                await writer.write(response)

            await self._embed.stream(options, _items(requests), write, watch)


async def _options(requests: Requests) -> EmbedOptions:
    """The first message of a stream, which must hold the options."""
    try:
        async with asyncio.timeout(OPTIONS_WITHIN_S):
            first = await anext(requests, None)
    except TimeoutError:
        raise _misused("no options came within 30 s") from None
    if first is None or first.WhichOneof("payload") != "options":
        raise _misused("the first message must hold options")
    return first.options


async def _items(requests: Requests) -> AsyncIterator[EmbedItems]:
    async for request in requests:
        if request is None or request.WhichOneof("payload") != "items":
            raise _misused("every message after the first must hold items")
        yield request.items


def _misused(public: str) -> GatewayError:
    return GatewayError(ErrorReason.ERROR_REASON_INVALID_REQUEST, public)


def _read(raw: bytes) -> EmbedStreamRequest | None:
    """None for bytes that are no message: an exception here would reach the caller as it is."""
    try:
        return EmbedStreamRequest.FromString(raw)
    except DecodeError:
        return None


def add_embed_service(servicer: EmbedService, server: grpc.aio.Server) -> None:
    """Add the service as the generated function would, but for the twins' serializers."""
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Embed": grpc.unary_unary_rpc_method_handler(
            servicer.Embed,
            request_deserializer=EmbedRequest.FromString,
            response_serializer=EmbedResponseTwin.SerializeToString,
        ),
        "EmbedStream": grpc.stream_stream_rpc_method_handler(
            servicer.EmbedStream,
            request_deserializer=_read,
            response_serializer=EmbedStreamResponseTwin.SerializeToString,
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, handlers),))
    server.add_registered_method_handlers(NAME, handlers)
