"""Bytes of an answer to events: sans I/O, the same for every way the bytes may be cut.

StreamDecoder     reads of an event stream in, events out; `close` demands the terminal event
decode_message    an answer in one piece to the same `finish`
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec
from turnout.v1.chat_service_pb2 import (
    ChatResponse,
    Finish,
    FinishReason,
    ToolCallDelta,
)
from turnout.v1.chat_service_pb2 import Warning as WarningMessage
from turnout.v1.content_pb2 import Message, Role
from turnout.v1.routing_pb2 import Route
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.receipt import Receipt
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
    WireUsage,
)
from turnout_server.providers.anthropic_messages.failures import failure_of
from turnout_server.providers.json_text import read_json
from turnout_server.providers.provider import ChatEvent
from turnout_server.providers.sse import SseDecoder, SseEvent

_REASONS = {
    "end_turn": FinishReason.FINISH_REASON_STOP,
    "stop_sequence": FinishReason.FINISH_REASON_STOP_SEQUENCE,
    "max_tokens": FinishReason.FINISH_REASON_MAX_TOKENS,
    "model_context_window_exceeded": FinishReason.FINISH_REASON_CONTEXT_LIMIT,
    "tool_use": FinishReason.FINISH_REASON_TOOL_CALLS,
    "refusal": FinishReason.FINISH_REASON_REFUSAL,
    "pause_turn": FinishReason.FINISH_REASON_PAUSED,
    "content_filter": FinishReason.FINISH_REASON_CONTENT_FILTER,
}
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
        self._answer = _Answer(provider, request_id, warnings)
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
            raise _contradiction("a block that is none")
        block = self._answer.open(event.index, event.content_block)
        if block.kind == TOOL_USE:
            self._joined.tool_delta(block.part_index, ToolCallDelta(id=block.id, name=block.name))
        elif block.kind in {TEXT, THINKING}:
            self._joined.text(block.kind, block.part_index, block.text)

    def _delta(self, index: int, delta: WireDelta) -> None:
        match delta.type:
            case "text_delta":
                block = self._answer.block(index, TEXT)
                block.add_text(delta.text)
                self._joined.text(TEXT, block.part_index, delta.text)
            case "thinking_delta":
                block = self._answer.block(index, THINKING)
                block.add_text(delta.thinking)
                self._joined.text(THINKING, block.part_index, delta.thinking)
            case "input_json_delta":
                block = self._answer.block(index)
                block.add_input(delta.partial_json)
                if block.kind == TOOL_USE:
                    self._joined.text(TOOL_USE, block.part_index, delta.partial_json)
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
    answer = _Answer(provider, request_id, warnings)
    message = read_json(body, _message_decoder)
    if message.type == "error" or message.error is not msgspec.UNSET:
        raise failure_of(body, status=0, request_id=request_id)
    if message.content is None:
        raise ProviderFailure(FailureKind.ERROR, "an answer without content")
    answer.begin(message)
    for index, raw in enumerate(message.content):
        answer.open(index, raw).open = False
    return answer.finish()


class _Answer:
    """What is known of one answer so far."""

    def __init__(self, provider: str, request_id: str, warnings: Sequence[WarningMessage]) -> None:
        self._provider = provider
        self.request_id = request_id
        self._warnings = warnings
        self._id = ""
        self._stop_reason = ""
        self._stop_sequence = ""
        self._usage: WireUsage | None = None
        self._blocks: dict[int, AnswerBlock] = {}

    def begin(self, message: WireMessage) -> None:
        """The head of the answer."""
        self._id = message.id
        self._stop(message.stop_reason, message.stop_sequence)
        self._count(message.usage)

    def note(self, delta: WireDelta, usage: WireUsage | None) -> None:
        """What is known at the end of the answer."""
        self._stop(delta.stop_reason, delta.stop_sequence)
        self._count(usage)

    def open(self, index: int, raw: msgspec.Raw) -> AnswerBlock:
        """Begin a block; its place among the parts is its place among the blocks."""
        if index in self._blocks:
            raise _contradiction("two blocks of one index")
        block = self._blocks[index] = AnswerBlock(raw, part_index=len(self._blocks))
        return block

    @property
    def has_begun(self) -> bool:
        """Whether any block of the answer has come."""
        return bool(self._blocks)

    @property
    def stopped(self) -> bool:
        """Whether the model has stopped: what it says after that is no part of the answer."""
        return bool(self._stop_reason)

    def block(self, index: int, kind: str = "") -> AnswerBlock:
        """The open block of that index, of that kind where one is named."""
        block = self._blocks.get(index)
        if block is None or not block.open:
            raise _contradiction("a piece of a block that is not open")
        if kind and block.kind != kind:
            raise _contradiction("a piece that does not fit its block")
        return block

    def open_blocks(self) -> list[AnswerBlock]:
        """Blocks that the answer ended inside."""
        return [block for block in self._blocks.values() if block.open]

    def receipt(self, *, output_counted: bool = True) -> Receipt:
        """The request's id, and usage as far as it is counted.

        The count of output in an answer's head is a placeholder: a stream that dies is better
        booked by an estimate than by it.
        """
        if self._usage is None:
            return Receipt(self.request_id)
        usage = self._counted()
        if not output_counted:
            usage.ClearField("output_tokens")
        return Receipt(self.request_id, usage)

    def finish(self) -> ChatResponse:
        """The last event. An answer of nothing without a reason is a failure: none came."""
        if not self._stop_reason and not self._blocks:
            raise ProviderFailure(FailureKind.ERROR, "an answer without content or stop_reason")
        finish = Finish(
            reason=_REASONS.get(self._stop_reason, FinishReason.FINISH_REASON_OTHER),
            raw_reason=self._stop_reason,
            stop_sequence=self._stop_sequence,
            usage=self._counted(),
            route=Route(provider_request_id=self.request_id),
            response_id=self._id,
            message=Message(
                role=Role.ROLE_ASSISTANT,
                parts=[block.part(self._provider) for block in self._blocks.values()],
            ),
            warnings=self._warnings,
        )
        return ChatResponse(finish=finish)

    def _stop(self, reason: str | None, sequence: str | None) -> None:
        self._stop_reason = reason or self._stop_reason
        self._stop_sequence = sequence or self._stop_sequence

    def _count(self, usage: WireUsage | None) -> None:
        """Counts are cumulative: a later one replaces an earlier, and is never added to it."""
        if usage is None or self._usage is None:
            self._usage = usage or self._usage
            return
        for name in usage.__struct_fields__:
            if (value := getattr(usage, name)) is not None:
                setattr(self._usage, name, value)

    def _counted(self) -> Usage:
        usage = self._usage
        if usage is None:
            return Usage(estimated=True)
        read = usage.cache_read_input_tokens or 0
        written = usage.cache_creation_input_tokens or 0
        details = usage.output_tokens_details
        return Usage(
            input_tokens=(usage.input_tokens or 0) + read + written,
            output_tokens=usage.output_tokens or 0,
            cache_read_input_tokens=read,
            cache_write_input_tokens=written,
            thinking_tokens=(details.thinking_tokens if details else None) or 0,
        )


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
        raise _contradiction("an event that lacks its content")
    return value


def _contradiction(detail: str) -> ProviderFailure:
    return ProviderFailure(FailureKind.ERROR, f"a malformed answer: {detail}")
