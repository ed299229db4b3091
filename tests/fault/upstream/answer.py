"""An answer in neutral terms, the same one cut into frames by a wire, and what a wire must do."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from tests.fault.upstream.record import RecordedRequest, WireName

Finish = Literal["stop", "length", "tool_calls", "content_filter", "refusal"]

BAD_BYTE = "\ue0ff"
"""Stands in a token for a byte that is not UTF-8."""

_UNARY_SLICES = 8


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens an upstream reports."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class ToolStep:
    """One step of a streamed tool call; an index of None leaves the field out.

    `begin` opens call `call_id`, `arguments` adds text to the call at `index`, `end` closes it.
    A call_id on an `arguments` step contradicts the one it began with.
    """

    kind: Literal["begin", "arguments", "end"]
    index: int | None
    call_id: str = ""
    name: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model says, before any wire gives it a form."""

    model: str
    answer_id: str
    text: tuple[str, ...]
    thinking: tuple[str, ...] = ()
    tool_steps: tuple[ToolStep, ...] = ()
    finish: Finish = "stop"
    usages: tuple[Usage, ...] = ()
    choice_count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A wire's answer as the frames a script may delay, spoil or withhold.

    Streamed: `opening` before any output, one `body` frame per token, `finish` with the finish
    reason and usage, `terminator` the wire's last event. Unary: slices of the one JSON body.
    """

    content_type: str
    is_streamed: bool
    opening: tuple[bytes, ...] = ()
    body: tuple[bytes, ...] = ()
    finish: tuple[bytes, ...] = ()
    terminator: tuple[bytes, ...] = ()

    @property
    def frames(self) -> tuple[bytes, ...]:
        """Every frame in order."""
        return self.opening + self.body + self.finish + self.terminator

    @classmethod
    def unary(cls, body: bytes) -> "Reply":
        """One JSON body, cut into slices so that the same faults apply to it."""
        size_bytes = max(1, -(-len(body) // _UNARY_SLICES))
        slices = tuple(body[at : at + size_bytes] for at in range(0, len(body), size_bytes))
        return cls(
            content_type="application/json",
            is_streamed=False,
            body=slices[:-1],
            terminator=slices[-1:],
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer, in both dialects' words."""

    status: int
    openai_type: str
    openai_code: str | None
    anthropic_type: str
    message: str


class Wire(Protocol):
    """One protocol family's way to say an answer, an error and nonsense."""

    name: WireName

    def render(self, request: RecordedRequest, answer: Answer) -> Reply:
        """The answer, streamed or unary as the request wants it."""

    def refusal_body(self, refusal: Refusal) -> bytes:
        """The JSON body of an error."""

    def error_event(self, refusal: Refusal) -> bytes:
        """The same error as an event inside a stream."""

    def ping(self) -> bytes:
        """An event without content that keeps the connection alive."""

    def odd_event(self, name: str) -> bytes:
        """A malformed or unknown event, framed for a stream; KeyError when it has none."""

    def odd_body(self, name: str) -> bytes:
        """The same nonsense as the body of a unary answer."""


def encode_json(value: Any) -> bytes:
    """Compact JSON in UTF-8; lone surrogates are escaped, BAD_BYTE becomes byte 0xFF."""
    try:
        encoded = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        encoded = json.dumps(value, separators=(",", ":")).encode()
    return encoded.replace(BAD_BYTE.encode(), b"\xff")


def finished_calls(steps: Iterable[ToolStep]) -> list[tuple[str, str, str]]:
    """The (id, name, arguments) that the steps add up to, for unary answers."""
    calls: list[list[str]] = []
    position: dict[int | None, int] = {}
    for step in steps:
        if step.kind == "begin":
            position[step.index] = len(calls)
            calls.append([step.call_id, step.name, ""])
        elif step.kind == "arguments":
            calls[position.get(step.index, -1)][2] += step.text
    return [(call_id, name, arguments) for call_id, name, arguments in calls]
