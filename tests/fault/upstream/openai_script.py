"""OpenAI chat completions: the wire's chunks, unary body, errors and nonsense."""

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

_CREATED_S = 1_700_000_000
_DONE = b"data: [DONE]\n\n"

_ODD_PAYLOADS: dict[str, bytes] = {
    "badjson": b'{"id":"chatcmpl-odd","choices":[{"index":0,"delta":{"content":',
    "nullchoices": b'{"id":"chatcmpl-odd","object":"chat.completion.chunk","choices":null}',
    "wrongtypes": (
        b'{"id":7,"object":[],"choices":[{"index":"zero","delta":{"content":42},'
        b'"message":{"content":42},"finish_reason":7}]}'
    ),
    "stringchoices": b'{"id":"chatcmpl-odd","choices":"nope"}',
    "nullevent": b"null",
    "numberevent": b"5",
    "emptydata": b"",
    "errevent_named": b'{"code":1305,"msg":"temporarily unable"}',
}
_ODD_NAMES = {"errevent_named": b"error"}
_UNKNOWN_EVENTS = (
    b'event: telemetry\ndata: {"object":"telemetry","ticks":3}\n\n'
    b'data: {"id":"chatcmpl-odd","object":"chat.completion.chunk","choices":[],"novel":{}}\n\n'
)


class OpenAIChat:
    """The wire `openai_chat`."""

    name: WireName = "openai_chat"

    def render(self, request: RecordedRequest, answer: Answer) -> Reply:
        """Chunks or one completion; usage is streamed only to those who ask for it."""
        if not request.is_streamed:
            return Reply.unary(encode_json(_completion(answer)))
        wants_usage = bool((request.body.get("stream_options") or {}).get("include_usage"))
        return Reply(
            content_type="text/event-stream",
            is_streamed=True,
            opening=(_delta(answer, {"role": "assistant", "content": ""}),),
            body=tuple(_body(answer)),
            finish=tuple(_finish(answer, wants_usage=wants_usage)),
            terminator=(_DONE,),
        )

    def refusal_body(self, refusal: Refusal) -> bytes:
        """`{"error": {...}}`."""
        error = {
            "message": refusal.message,
            "type": refusal.openai_type,
            "param": None,
            "code": refusal.openai_code,
        }
        return encode_json({"error": error})

    def error_event(self, refusal: Refusal) -> bytes:
        """An unnamed event that holds an error in place of choices."""
        return _event(self.refusal_body(refusal))

    def ping(self) -> bytes:
        """A comment, which is all this wire has."""
        return b": ping\n\n"

    def odd_event(self, name: str) -> bytes:
        """A chunk no client should have to read."""
        if name == "unknownevent":
            return _UNKNOWN_EVENTS
        prefix = b"event: %b\n" % _ODD_NAMES[name] if name in _ODD_NAMES else b""
        return prefix + _event(_ODD_PAYLOADS[name])

    def odd_body(self, name: str) -> bytes:
        """The same payload as a whole body."""
        return _ODD_PAYLOADS[name]


def _body(answer: Answer) -> Iterator[bytes]:
    for token in answer.thinking:
        yield _delta(answer, {"reasoning_content": token})
    text_field = "refusal" if answer.finish == "refusal" else "content"
    for token in answer.text:
        for index in range(answer.choice_count):
            yield _delta(answer, {text_field: token}, index=index)
    for step in answer.tool_steps:
        if step.kind != "end":
            yield _delta(answer, {"tool_calls": [_tool_delta(step)]})


def _finish(answer: Answer, *, wants_usage: bool) -> Iterator[bytes]:
    for index in range(answer.choice_count):
        yield _delta(answer, {}, index=index, finish=_finish_reason(answer))
    if wants_usage:
        for usage in answer.usages:
            yield _event(encode_json(_chunk(answer) | {"choices": [], "usage": _usage(usage)}))


def _tool_delta(step: ToolStep) -> dict[str, Any]:
    delta: dict[str, Any] = {"function": {"arguments": step.text}}
    if step.index is not None:
        delta["index"] = step.index
    if step.call_id:
        delta["id"] = step.call_id
    if step.kind == "begin":
        delta["type"] = "function"
        delta["function"]["name"] = step.name
    return delta


def _delta(
    answer: Answer, delta: dict[str, Any], *, index: int = 0, finish: str | None = None
) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _event(encode_json(_chunk(answer) | {"choices": [choice]}))


def _chunk(answer: Answer) -> dict[str, Any]:
    return {
        "id": answer.answer_id,
        "object": "chat.completion.chunk",
        "created": _CREATED_S,
        "model": answer.model,
    }


def _completion(answer: Answer) -> dict[str, Any]:
    text = "".join(answer.text)
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if answer.finish == "refusal":
        message |= {"content": None, "refusal": text}
    if answer.thinking:
        message["reasoning_content"] = "".join(answer.thinking)
    if calls := finished_calls(answer.tool_steps):
        message["tool_calls"] = [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
            for call_id, name, arguments in calls
        ]
    choices = [
        {"index": index, "message": message, "logprobs": None, "finish_reason": reason}
        for index, reason in enumerate([_finish_reason(answer)] * answer.choice_count)
    ]
    usage = {"usage": _usage(answer.usages[-1])} if answer.usages else {}
    return _chunk(answer) | {"object": "chat.completion", "choices": choices} | usage


def _finish_reason(answer: Answer) -> str:
    return "stop" if answer.finish == "refusal" else answer.finish


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def _event(payload: bytes) -> bytes:
    return b"data: %b\n\n" % payload
