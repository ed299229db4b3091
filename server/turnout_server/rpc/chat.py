"""turnout.v1.ChatService on the wire."""

from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from turnout.v1.chat_service_pb2 import (
    ChatRequest,
    ChatResponse,
    CompleteChatResponse,
    Finish,
)
from turnout.v1.chat_service_pb2_grpc import ChatServiceServicer
from turnout.v1.routing_pb2 import CacheStatus, Route

from turnout_server.core.call import Method
from turnout_server.core.errors import Violation
from turnout_server.core.watch import Watch
from turnout_server.dispatch.chat import Chat
from turnout_server.rpc.access import hold_to_ceiling
from turnout_server.rpc.calls import Calls, allow_model
from turnout_server.rpc.context import Context
from turnout_server.rpc.identity import caller
from turnout_server.rpc.validate_chat import violations_of
from turnout_server.rpc.writer import StreamWriter


class ChatService(ChatServiceServicer):
    """Chat and CompleteChat: one engine, answered event by event or at once."""

    def __init__(self, calls: Calls, chat: Chat) -> None:
        self._calls = calls
        self._chat = chat

    async def Chat(self, request: ChatRequest, context: Context) -> None:  # type: ignore[override]
        """Write the events of one answer.

        A coroutine that writes, not a generator: grpc closes a generator late on cancel.
        """
        await self._calls.serve(
            context,
            Method.CHAT,
            request,
            lambda: _check(request),
            lambda watch: self._write(request, context, watch),
        )

    async def CompleteChat(  # type: ignore[override]
        self, request: ChatRequest, context: Context
    ) -> CompleteChatResponse | None:
        """The same answer in one message."""
        return await self._calls.serve(
            context,
            Method.COMPLETE_CHAT,
            request,
            lambda: _check(request),
            lambda watch: self._complete(request, context, watch),
        )

    async def _write(self, request: ChatRequest, context: Context, watch: Watch) -> Finish:
        allow_fallbacks(request, watch)
        progress = request.stream.progress
        finish = Finish()
        with StreamWriter(context, headers_of(Route(), watch)) as writer:
            async with aclosing(self._chat.stream(request, watch)) as events:
                async for event in events:
                    kind = event.WhichOneof("event")
                    told = progress or kind not in _PROGRESS
                    if kind == "route" or (told and kind == "attempt_failed"):
                        await writer.open(headers_of(event.route, watch))
                    if told:
                        await writer.write(event)
                    if kind == "finish":
                        finish = event.finish
        return finish

    async def _complete(
        self, request: ChatRequest, context: Context, watch: Watch
    ) -> CompleteChatResponse:
        allow_fallbacks(request, watch)
        answer = CompleteChatResponse()
        async with aclosing(self._chat.stream(request, watch, unary=True)) as events:
            async for event in events:
                if event.WhichOneof("event") == "route":
                    await context.send_initial_metadata(headers_of(event.route, watch))
                elif event.WhichOneof("event") == "finish":
                    answer = completed(event)
        return answer


_PROGRESS = ("route", "attempt_failed")


def _check(request: ChatRequest) -> list[Violation]:
    """Every rule the request breaks: the contract's, and then the caller's own."""
    return [*violations_of(request), *hold_to_ceiling(request, caller.get().max_output_tokens)]


def allow_fallbacks(request: Any, watch: Watch) -> None:
    """Refuse fallback models that the caller's key does not allow."""
    for model in request.routing.fallback_models:
        allow_model(watch.call, model)


def completed(event: ChatResponse) -> CompleteChatResponse:
    """The unary answer that one `finish` with its message stands for."""
    parts = event.finish.message.parts
    return CompleteChatResponse(
        text="".join(part.text for part in parts if part.WhichOneof("content") == "text")
        or event.finish.message.text,
        tool_calls=[p.tool_call for p in parts if p.WhichOneof("content") == "tool_call"],
        finish=event.finish,
    )


_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
"""A caller names models as it likes; a header cannot hold the rest, which is percent-encoded."""


def headers_of(route: Route, watch: Watch) -> tuple[tuple[str, str], ...]:
    """The initial metadata: the request id and, once it is known, who answers."""
    request_id = ("x-request-id", watch.call.request_id)
    if not route.provider:
        return (request_id,)
    return (
        request_id,
        ("x-turnout-provider", route.provider),
        ("x-turnout-model", quote(route.model, safe=_PRINTABLE)),
        ("x-turnout-cache", CacheStatus.Name(route.cache_status).removeprefix("CACHE_STATUS_")),
    )
