"""The outermost interceptor: a message that cannot be read, and what a bug may show of itself.

Without it grpc answers both with UNKNOWN and the text of the exception, secrets and paths included
(measured; docs/adr). Nothing here wraps a stream.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc
import structlog
from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.errors import GatewayError
from turnout_server.rpc import status
from turnout_server.rpc.context import Context, Handler

_log = structlog.get_logger(__name__)


ABORT_TIMEOUT_S = 0.5
_UNREADABLE = object()
"""Stands for a message whose bytes are not what the method takes."""


class Guard(grpc.aio.ServerInterceptor):
    """Turns unreadable requests into INVALID_ARGUMENT and uncaught errors into a bare INTERNAL."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Replace the method's deserializer and wrap its call, once per RPC."""
        try:
            handler = await continuation(handler_call_details)
        except Exception as bug:  # noqa: BLE001  grpc would show the caller an interceptor's bug
            return _failing(bug)
        if handler is None or not handler_call_details.method.startswith("/turnout."):
            return handler
        if handler.request_streaming:
            return _masked_stream(handler)
        behaviour = handler.unary_stream or handler.unary_unary
        name = "unary_stream" if handler.response_streaming else "unary_unary"
        guarded = _guarded(behaviour)
        return handler._replace(  # type: ignore[attr-defined,no-any-return]
            request_deserializer=_safe(handler.request_deserializer),
            **{name: guarded if handler.response_streaming else _ending(guarded)},
        )


def _safe(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    if deserialize is None:
        return None

    def read(raw: bytes) -> Any:
        try:
            return deserialize(raw)
        except Exception:  # noqa: BLE001  whatever a hostile message provokes
            return _UNREADABLE

    return read


def _failing(bug: Exception) -> Handler:
    """A handler for a method of any shape: it reads nothing and says INTERNAL."""

    async def fail(_: Any, context: Context) -> None:
        mask(context, bug)

    return grpc.stream_stream_rpc_method_handler(fail)


def _guarded(behaviour: Any) -> Any:
    async def guarded(request: Any, context: Context) -> Any:
        try:
            check_readable(request)
        except GatewayError as error:
            status.fail(context, error, "")
            return None
        try:
            return await behaviour(request, context)
        except Exception as bug:  # noqa: BLE001  the last wall before the wire
            mask(context, bug)
            return None

    return guarded


def _ending(behaviour: Any) -> Any:
    """End a failed unary call by its status alone.

    A handler that returns without an answer has grpc send an empty message first, and that commits
    the call: client libraries would not retry it (measured). The wait is bounded for callers that
    do not read.
    """

    async def ending(request: Any, context: Context) -> Any:
        answer = await behaviour(request, context)
        if answer is not None:
            return answer
        with suppress(TimeoutError):
            async with asyncio.timeout(ABORT_TIMEOUT_S):
                await context.abort(context.code(), context.details(), context.trailing_metadata())
        return None

    return ending


def _masked_stream(handler: Handler) -> Handler:
    """For methods with a request stream, whose messages their own handler reads one by one."""
    behaviour: Any = handler.stream_stream or handler.stream_unary
    name = "stream_stream" if handler.response_streaming else "stream_unary"

    async def guarded(requests: Any, context: Context) -> Any:
        try:
            return await behaviour(requests, context)
        except Exception as bug:  # noqa: BLE001  the last wall before the wire
            mask(context, bug)
            return None

    return handler._replace(  # type: ignore[attr-defined,no-any-return]
        request_deserializer=_safe(handler.request_deserializer), **{name: guarded}
    )


def check_readable(request: Any) -> None:
    """Raise INVALID_REQUEST for a message that could not be read; a stream asks this of each."""
    if request is _UNREADABLE:
        raise GatewayError(
            ErrorReason.ERROR_REASON_INVALID_REQUEST,
            "the message is not a valid protobuf message of this method",
        )


def readable(deserialize: Callable[[bytes], Any] | None, raw: bytes) -> Any:
    """Decode one message for whoever took it as bytes; raises INVALID_REQUEST."""
    safe = _safe(deserialize)
    request = raw if safe is None else safe(raw)
    check_readable(request)
    return request


def mask(context: Context, bug: Exception, request_id: str = "") -> None:
    """Log a bug of ours and tell the caller nothing of it but that it is ours."""
    _log.error("a bug of ours ended a call", request_id=request_id, exc_info=bug)
    status.fail(
        context,
        GatewayError(ErrorReason.ERROR_REASON_INTERNAL, "internal error"),
        request_id,
    )
