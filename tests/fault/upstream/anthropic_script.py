"""Anthropic messages: the wire's events, unary body, errors and nonsense."""

import json
from collections.abc import Iterator
from typing import Any

from tests.fault.upstream.answer import (
    Answer,
    Refusal,
    Reply,
    ToolStep,
    Usage,
    encode_json,
    finished_calls,
)
from tests.fault.upstream.record import RecordedRequest, WireName

SIGNATURE = "c2lnbmF0dXJl"
"""The signature of every thinking block."""

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
}
_ODD_EVENTS: dict[str, tuple[bytes, bytes]] = {
    "badjson": (b"content_block_delta", b'{"type":"content_block_delta","index":0,"delta":{"te'),
    "nullchoices": (
        b"content_block_delta",
        b'{"type":"content_block_delta","index":0,"delta":null}',
    ),
    "wrongtypes": (
        b"content_block_delta",
        b'{"type":"content_block_delta","index":"zero","delta":{"type":"text_delta","text":42}}',
    ),
    "stringchoices": (
        b"content_block_delta",
        b'{"type":"content_block_delta","index":0,"delta":"nope"}',
    ),
    "nullevent": (b"content_block_delta", b"null"),
    "numberevent": (b"content_block_delta", b"5"),
    "emptydata": (b"content_block_delta", b""),
    "errevent_named": (b"error", b'{"detail":"temporarily unable"}'),
}
_ODD_BODIES: dict[str, bytes] = {
    "badjson": b'{"id":"msg_odd","type":"message","role":"assistant","content":[{"type":"te',
    "nullchoices": b'{"id":"msg_odd","type":"message","role":"assistant","content":null}',
    "wrongtypes": (
        b'{"id":7,"type":"message","role":"assistant","stop_reason":7,'
        b'"content":[{"type":"text","text":42}],"usage":"many"}'
    ),
    "stringchoices": b'{"id":"msg_odd","type":"message","role":"assistant","content":"nope"}',
    "nullevent": b"null",
    "numberevent": b"5",
    "emptydata": b"",
    "errevent_named": b'{"detail":"temporarily unable"}',
}
_UNKNOWN_EVENTS = (
    b'event: content_block_hint\ndata: {"type":"content_block_hint","ticks":3}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"hint_delta","hint":"x"}}\n\n'
)


class AnthropicMessages:
    """The wire `anthropic_messages`."""

    name: WireName = "anthropic_messages"

    def render(self, request: RecordedRequest, answer: Answer) -> Reply:
        """Events or one message; a block's start and stop travel with a neighbouring frame."""
        if answer.choice_count != 1:
            raise NotOnThisWire("several choices")
        if not request.is_streamed:
            return Reply.unary(encode_json(_message(answer)))
        blocks = _Blocks()
        body = tuple(blocks.frames(answer))
        return Reply(
            content_type="text/event-stream",
            is_streamed=True,
            opening=(_message_start(answer), self.ping()),
            body=body,
            finish=(blocks.pending, *_message_deltas(answer)),
            terminator=(_event("message_stop", {}),),
        )

    def refusal_body(self, refusal: Refusal) -> bytes:
        """`{"type": "error", "error": {...}}`."""
        error = {"type": refusal.anthropic_type, "message": refusal.message}
        return encode_json({"type": "error", "error": error, "request_id": "req_refused"})

    def error_event(self, refusal: Refusal) -> bytes:
        """An event named error."""
        return b"event: error\ndata: %b\n\n" % self.refusal_body(refusal)

    def ping(self) -> bytes:
        """The wire's ping event."""
        return _event("ping", {})

    def odd_event(self, name: str) -> bytes:
        """An event no client should have to read."""
        if name == "unknownevent":
            return _UNKNOWN_EVENTS
        return b"event: %b\ndata: %b\n\n" % _ODD_EVENTS[name]

    def odd_body(self, name: str) -> bytes:
        """The same nonsense as a whole message."""
        return _ODD_BODIES[name]


class NotOnThisWire(ValueError):
    """A test asked a wire for something its protocol cannot say."""


class _Blocks:
    """Numbers the content blocks; `pending` holds bytes that await the next frame."""

    def __init__(self) -> None:
        self.pending = b""
        self._next_index = 0

    def frames(self, answer: Answer) -> Iterator[bytes]:
        if answer.thinking:
            yield from self._block(
                {"type": "thinking", "thinking": "", "signature": ""},
                [{"type": "thinking_delta", "thinking": token} for token in answer.thinking],
                ending={"type": "signature_delta", "signature": SIGNATURE},
            )
        if answer.text:
            yield from self._block(
                {"type": "text", "text": ""},
                [{"type": "text_delta", "text": token} for token in answer.text],
            )
        for step in answer.tool_steps:
            self._add_tool_step(step)
            if step.kind == "arguments":
                yield self._take()

    def _block(
        self,
        start: dict[str, Any],
        deltas: list[dict[str, Any]],
        *,
        ending: dict[str, Any] | None = None,
    ) -> Iterator[bytes]:
        index = {"index": self._next_index}
        self._next_index += 1
        self.pending += _event("content_block_start", index | {"content_block": start})
        for delta in deltas:
            self.pending += _event("content_block_delta", index | {"delta": delta})
            yield self._take()
        if ending is not None:
            self.pending += _event("content_block_delta", index | {"delta": ending})
        self.pending += _event("content_block_stop", index)

    def _add_tool_step(self, step: ToolStep) -> None:
        index = {} if step.index is None else {"index": self._next_index + step.index}
        if step.call_id:
            block = {"type": "tool_use", "id": step.call_id, "name": step.name, "input": {}}
            self.pending += _event("content_block_start", index | {"content_block": block})
        if step.kind == "arguments":
            delta = {"type": "input_json_delta", "partial_json": step.text}
            self.pending += _event("content_block_delta", index | {"delta": delta})
        if step.kind == "end":
            self.pending += _event("content_block_stop", index)

    def _take(self) -> bytes:
        frame, self.pending = self.pending, b""
        return frame


def _message_start(answer: Answer) -> bytes:
    message = _empty_message(answer) | {"content": [], "stop_reason": None}
    if answer.usages:
        message["usage"] = {"input_tokens": answer.usages[0].input_tokens, "output_tokens": 1}
    return _event("message_start", {"message": message})


def _message_deltas(answer: Answer) -> list[bytes]:
    delta = {"delta": {"stop_reason": _STOP_REASONS[answer.finish], "stop_sequence": None}}
    if not answer.usages:
        return [_event("message_delta", delta)]
    return [
        _event("message_delta", delta | {"usage": {"output_tokens": usage.output_tokens}})
        for usage in answer.usages
    ]


def _message(answer: Answer) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if answer.thinking:
        thinking = "".join(answer.thinking)
        content.append({"type": "thinking", "thinking": thinking, "signature": SIGNATURE})
    if answer.text:
        content.append({"type": "text", "text": "".join(answer.text)})
    for call_id, name, arguments in finished_calls(answer.tool_steps):
        content.append(
            {"type": "tool_use", "id": call_id, "name": name, "input": _whole(arguments)}
        )
    message = _empty_message(answer) | {
        "content": content,
        "stop_reason": _STOP_REASONS[answer.finish],
    }
    return message | ({"usage": _usage(answer.usages[-1])} if answer.usages else {})


def _whole(arguments: str) -> Any:
    """This wire's unary answers hold objects, so arguments that were cut off arrive empty."""
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return {}


def _empty_message(answer: Answer) -> dict[str, Any]:
    return {
        "id": answer.answer_id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "stop_sequence": None,
    }


def _usage(usage: Usage) -> dict[str, int]:
    return {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}


def _event(kind: str, fields: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), encode_json({"type": kind} | fields))
