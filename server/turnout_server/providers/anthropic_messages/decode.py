"""Bytes of an answer to events: sans I/O, the same for every way the bytes may be cut.

StreamDecoder     reads of an event stream in, events out; `close` demands the terminal event
decode_message    an answer in one piece to the same `finish`
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from turnout.v1.chat_service_pb2 import ChatResponse, ToolCallDelta
from turnout.v1.chat_service_pb2 import Warning as WarningMessage

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.providers.anthropic_messages.answer import Answer, contradiction
from turnout_server.providers.anthropic_messages.blocks import (
    TEXT,
    THINKING,
    TOOL_USE,
    AnswerBlock,
)
from turnout_server.providers.anthropic_messages.events import (
    Kind,
    WireDelta,
    WireEvent,
    WireMessage,
)
from turnout_server.providers.anthropic_messages.failures import failure_of
from turnout_server.providers.json_text import read_json
from turnout_server.providers.provider import ChatEvent
from turnout_server.providers.sse import SseDecoder, SseEvent

_KNOWN = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    }
)
_event_decoder = msgspec.json.Decoder(WireEvent)
_kind_decoder = msgspec.json.Decoder(Kind)
_message_decoder = msgspec.json.Decoder(WireMessage)
_T = TypeVar("_T")


class StreamDecoder:
    """Decodes one streamed answer. Feed it until it is `over`, then `close` it.

    `complete` says that the terminal event was seen. `provider` is the owner written on opaque
    state; `request_id` goes into every receipt.
    """

    def __init__(
        self, provider: str, *, request_id: str = "", warnings: Sequence[WarningMessage] = ()
    ) -> None:
        self.complete = False
        self._failure: ProviderFailure | None = None
        self._sse = SseDecoder()
        self._answer = Answer(provider, request_id, warnings)
        self._joined = _Joined()

    @property
    def over(self) -> bool:
        """Whether nothing more is to come: the terminal event was seen, or something went wrong."""
        return self.complete or self._failure is not None

    def feed(self, read: bytes) -> list[ChatEvent]:
        """The events that one read completed; deltas of one part are one event.

        Never raises: what came before a failure in the same read is output like any other. Once
        the answer is over, everything is passed over.
        """
        if self.over:
            return []
        try:
            for event in self._sse.feed(read):
                self._take(event)
                if self.complete:
                    break
        except ProviderFailure as failure:
            self._failure = failure
        return self._joined.take()

    def close(self) -> None:
        """Raises ProviderFailure unless the answer has come to its own end.

        That is an error inside the stream, anything malformed, or bytes that ended too early.
        """
        if self._failure is not None:
            raise self._failure
        if not self.complete:
            raise ProviderFailure(FailureKind.ERROR, "the stream ended without message_stop")

    def _take(self, sse: SseEvent) -> None:
        if sse.name == b"error":
            self._error(sse.data)
            return
        try:
            event = read_json(sse.data, _event_decoder)
        except ProviderFailure:
            # Only events that we rely on must have the shape that we know.
            if sse.data == b"[DONE]" or read_json(sse.data, _kind_decoder).type not in _KNOWN:
                return
            raise
        kind = event.type or sse.name.decode("utf-8", "replace")
        if kind.startswith("content_block") and self._answer.stopped:
            return
        match kind:
            case "content_block_delta":
                self._delta(event.index, _required(event.delta))
            case "content_block_start":
                self._begin_block(event)
            case "content_block_stop":
                self._end_block(self._answer.block(event.index))
            case "message_start":
                self._answer.begin(_required(event.message))
                self._joined.add(self._answer.receipt(output_counted=False))
            case "message_delta":
                self._answer.note(_required(event.delta), event.usage)
                self._joined.add(self._answer.receipt())
            case "message_stop":
                self._finish()
            case "error":
                self._error(sse.data)

    def _error(self, body: bytes) -> None:
        failure = failure_of(body, status=0, request_id=self._answer.request_id)
        if failure.kind is not FailureKind.PROMPT_BLOCKED or not self._answer.has_begun:
            raise failure
        # The filter that blocks a prompt also cuts answers short; then it is how they end.
        self._answer.note(WireDelta(stop_reason="content_filter"), None)
        self._finish()

    def _begin_block(self, event: WireEvent) -> None:
        if event.content_block is msgspec.UNSET:
            raise contradiction("a block that is none")
        block = self._answer.open(event.index, event.content_block)
        if block.kind == TOOL_USE:
            self._joined.tool_delta(block.part_index, ToolCallDelta(id=block.id, name=block.name))
        elif block.kind in {TEXT, THINKING}:
            self._joined.text(block.kind, block.part_index, block.text)

    def _delta(self, index: int, delta: WireDelta) -> None:
        match delta.type:
            case "text_delta":
                block = self._answer.block(index, TEXT)
                self._joined.text(TEXT, block.part_index, block.add_text(delta.text))
            case "thinking_delta":
                block = self._answer.block(index, THINKING)
                self._joined.text(THINKING, block.part_index, block.add_text(delta.thinking))
            case "input_json_delta":
                block = self._answer.block(index)
                piece = block.add_input(delta.partial_json)
                if block.kind == TOOL_USE:
                    self._joined.text(TOOL_USE, block.part_index, piece)
            case "signature_delta":
                self._answer.block(index, THINKING).add_signature(delta.signature)
            case "citations_delta":
                if delta.citation is not msgspec.UNSET:
                    self._answer.block(index, TEXT).add_citation(delta.citation)

    def _end_block(self, block: AnswerBlock) -> None:
        block.open = False
        if block.kind == TOOL_USE:
            self._joined.add(ChatResponse(tool_call=block.tool_call(), part_index=block.part_index))

    def _finish(self) -> None:
        for block in self._answer.open_blocks():
            self._end_block(block)
        self._joined.add(self._answer.finish())
        self.complete = True


def decode_message(
    body: bytes,
    provider: str,
    *,
    request_id: str = "",
    warnings: Sequence[WarningMessage] = (),
) -> ChatResponse:
    """The `finish` of an answer in one piece; raises ProviderFailure when it is none."""
    answer = Answer(provider, request_id, warnings)
    message = read_json(body, _message_decoder)
    if message.type == "error" or message.error is not msgspec.UNSET:
        raise failure_of(body, status=0, request_id=request_id)
    if message.content is None:
        raise ProviderFailure(FailureKind.ERROR, "an answer without content")
    answer.begin(message)
    for index, raw in enumerate(message.content):
        answer.open(index, raw).open = False
    return answer.finish()


class _Joined:
    """Events of one read: pieces of one part that follow each other become one event."""

    def __init__(self) -> None:
        self._events: list[ChatEvent] = []
        self._kind = ""
        self._part_index = 0
        self._pieces: list[str] = []

    def text(self, kind: str, part_index: int, piece: str) -> None:
        """More text, thinking or arguments of a part."""
        if not piece:
            return
        if kind != self._kind or part_index != self._part_index:
            self._flush()
            self._kind = kind
            self._part_index = part_index
        self._pieces.append(piece)

    def tool_delta(self, part_index: int, delta: ToolCallDelta) -> None:
        """The first piece of a tool call."""
        self.add(ChatResponse(tool_call_delta=delta, part_index=part_index))

    def add(self, event: ChatEvent) -> None:
        """An event that is not joined."""
        self._flush()
        self._events.append(event)

    def take(self) -> list[ChatEvent]:
        """All events so far; what comes next begins anew."""
        self._flush()
        events = self._events
        self._events = []
        return events

    def _flush(self) -> None:
        if not self._pieces:
            return
        text = "".join(self._pieces)
        self._pieces.clear()
        if self._kind == TEXT:
            event = ChatResponse(text_delta=text, part_index=self._part_index)
        elif self._kind == THINKING:
            event = ChatResponse(thinking_delta=text, part_index=self._part_index)
        else:
            delta = ToolCallDelta(arguments_json_delta=text)
            event = ChatResponse(tool_call_delta=delta, part_index=self._part_index)
        self._events.append(event)


def _required(value: _T | None) -> _T:
    if value is None:
        raise contradiction("an event that lacks its content")
    return value
