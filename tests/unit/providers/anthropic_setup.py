"""Requests, targets and streams for the tests of the Messages wire."""

import json
from typing import Any

from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse
from turnout.v1.content_pb2 import Message, Part, ProviderState, Role, ToolCall, ToolResult
from turnout.v1.model_service_pb2 import Capability

from turnout_server.core.failure import ProviderFailure
from turnout_server.core.receipt import Receipt
from turnout_server.core.target import Attempt, Endpoint, Key, ModelCard, Secret, Target
from turnout_server.providers.anthropic_messages.decode import StreamDecoder
from turnout_server.providers.anthropic_messages.encode import Encoded, encode
from turnout_server.providers.anthropic_messages.options import Options
from turnout_server.providers.provider import ChatEvent

OLD_MODEL = "claude-sonnet-4-5"
NEW_MODEL = "claude-opus-5"
HELLO = Message(role=Role.ROLE_USER, text="Hello")


def target(
    model: str = OLD_MODEL,
    *,
    base_url: str = "http://127.0.0.1:1",
    max_output_tokens: int | None = 8192,
    options: dict[str, object] | None = None,
    headers: dict[str, str] | None = None,
) -> Target:
    endpoint = Endpoint(
        name="claude",
        row="anthropic",
        wire="anthropic_messages",
        base_url=base_url,
        options=options or {},
        headers=headers or {},
    )
    card = ModelCard(model, frozenset(Capability.values()), max_output_tokens=max_output_tokens)
    return Target(endpoint, card)


def attempt(
    to: Target, *, secret: str | None = "sk-ant-test", strip_state: bool = False
) -> Attempt:
    key = Key("test", Secret(secret)) if secret is not None else None
    return Attempt(1, to, key, first_output_s=5, stall_s=5, strip_state=strip_state)


def encoded(request: ChatRequest, to: Target | None = None, **how: Any) -> Encoded:
    return encode(request, to or target(), Options(), stream=how.pop("stream", False), **how)


def body(request: ChatRequest, to: Target | None = None, **how: Any) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(encoded(request, to, **how).body)
    return decoded


def warned(request: ChatRequest, to: Target | None = None, **how: Any) -> list[tuple[int, str]]:
    return [(w.kind, w.field) for w in encoded(request, to, **how).warnings]


def talk(*messages: Message) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = body(ChatRequest(messages=messages))["messages"]
    return turns


def user(*parts: Part) -> Message:
    return Message(role=Role.ROLE_USER, parts=parts)


def assistant(*parts: Part) -> Message:
    return Message(role=Role.ROLE_ASSISTANT, parts=parts)


def results(*parts: Part) -> Message:
    return Message(role=Role.ROLE_TOOL, parts=parts)


def call(call_id: str, arguments: str = "{}", name: str = "look_up") -> Part:
    return Part(tool_call=ToolCall(id=call_id, name=name, arguments_json=arguments))


def result(call_id: str, text: str = "", *, is_error: bool = False) -> Part:
    return Part(tool_result=ToolResult(tool_call_id=call_id, text=text, is_error=is_error))


def thinking(text: str, signature: bytes = b"", *, owner: str = "anthropic") -> Part:
    part = Part()
    part.thinking.text = text
    if signature:
        part.provider_state.CopyFrom(ProviderState(provider=owner, data=signature))
    return part


def sse(*events: dict[str, Any]) -> bytes:
    return "".join(
        f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n"
        for event in events
    ).encode()


def start(index: int = 0, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int = 0, **piece: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": piece}


def stop(index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def text_block(text: str, index: int = 0) -> list[dict[str, Any]]:
    return [
        start(index, type="text", text=""),
        delta(index, type="text_delta", text=text),
        stop(index),
    ]


def opening(**usage: int) -> dict[str, Any]:
    counts = usage or {"input_tokens": 10, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": []}
    return {"type": "message_start", "message": {**message, "stop_reason": None, "usage": counts}}


def closing(reason: str | None = "end_turn", **usage: int) -> list[dict[str, Any]]:
    ending = {"stop_reason": reason, "stop_sequence": None}
    counts = usage or {"output_tokens": 7}
    return [
        {"type": "message_delta", "delta": ending, "usage": counts},
        {"type": "message_stop"},
    ]


def decode(*reads: bytes) -> list[ChatEvent]:
    """Every event of a stream that ends well."""
    events, failure = decode_to_end(*reads)
    if failure is not None:
        raise failure
    return events


def decode_to_end(*reads: bytes) -> tuple[list[ChatEvent], ProviderFailure | None]:
    decoder = StreamDecoder("anthropic", request_id="req_1")
    events = [event for read in reads for event in decoder.feed(read)]
    try:
        decoder.close()
    except ProviderFailure as failure:
        return events, failure
    return events, None


def responses(events: list[ChatEvent]) -> list[ChatResponse]:
    return [event for event in events if not isinstance(event, Receipt)]
