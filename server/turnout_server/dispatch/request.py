"""What a chat request asks of the flow: which events to show, how long and how often to try."""

from collections.abc import AsyncGenerator, Awaitable, Callable

from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse

from turnout_server.core.receipt import Receipt
from turnout_server.policy.attempts import Limits
from turnout_server.policy.targets import Ranking


def shown_events(request: ChatRequest) -> frozenset[str]:
    """Names of the events this caller sees; the first of them commits a stream."""
    shown = {"text_delta", "tool_call", "finish"}
    if request.thinking.include:
        shown.add("thinking_delta")
    if request.stream.tool_call_deltas:
        shown.add("tool_call_delta")
    return frozenset(shown)


def limits_of(request: ChatRequest, ranking: Ranking, deadline: float, *, unary: bool) -> Limits:
    """The caller's own limits where it gave any, else the alias's.

    `max_attempts` of a request caps everything. That of the configuration caps retries, so that a
    long chain of fallbacks is walked to its end.
    """
    routing = request.routing
    retries = ranking.alias.max_attempts - 1
    return Limits(
        deadline=deadline,
        retries=retries,
        attempts=routing.max_attempts or len(ranking.targets) + retries,
        first_output_s=routing.first_output_timeout.ToNanoseconds() / 1e9 or None,
        stall_s=routing.stall_timeout.ToNanoseconds() / 1e9 or None,
        unary=unary,
    )


def output_bytes(event: ChatResponse, kind: str | None) -> int:
    """Size of the output in one event, for estimates: a tool call counts by its deltas alone."""
    if kind == "text_delta":
        return len(event.text_delta)
    if kind == "thinking_delta":
        return len(event.thinking_delta)
    if kind == "tool_call_delta":
        return len(event.tool_call_delta.arguments_json_delta)
    return 0


async def whole(
    ask: Callable[[], Awaitable[ChatResponse]],
) -> AsyncGenerator[ChatResponse | Receipt, None]:
    """An answer that comes in one piece, as a stream of one event; nothing is asked before."""
    yield await ask()
