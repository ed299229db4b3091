"""One answer as it grows: from its pieces to events, and at its end to `finish`."""

from typing import NamedTuple

from turnout.v1.chat_service_pb2 import ChatResponse, Finish, FinishReason, ToolCallDelta
from turnout.v1.chat_service_pb2 import Warning as WarningMessage
from turnout.v1.content_pb2 import Message, Part, ProviderState, Role, Thinking
from turnout.v1.routing_pb2 import Route
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.providers.json_text import clean
from turnout_server.providers.openai_chat import chunks
from turnout_server.providers.openai_chat.think_tags import ThinkTags
from turnout_server.providers.openai_chat.tool_calls import ToolCalls
from turnout_server.providers.openai_chat.usage import estimated_usage

_REASONS = {
    "stop": FinishReason.FINISH_REASON_STOP,
    "eos": FinishReason.FINISH_REASON_STOP,
    "end_turn": FinishReason.FINISH_REASON_STOP,
    "stop_sequence": FinishReason.FINISH_REASON_STOP_SEQUENCE,
    "length": FinishReason.FINISH_REASON_MAX_TOKENS,
    "max_tokens": FinishReason.FINISH_REASON_MAX_TOKENS,
    "tool_calls": FinishReason.FINISH_REASON_TOOL_CALLS,
    "function_call": FinishReason.FINISH_REASON_TOOL_CALLS,
    "content_filter": FinishReason.FINISH_REASON_CONTENT_FILTER,
    "sensitive": FinishReason.FINISH_REASON_CONTENT_FILTER,
    "refusal": FinishReason.FINISH_REASON_REFUSAL,
    "model_length": FinishReason.FINISH_REASON_CONTEXT_LIMIT,
    "model_context_window_exceeded": FinishReason.FINISH_REASON_CONTEXT_LIMIT,
}
_FAILED = {
    "error": FailureKind.ERROR,
    "network_error": FailureKind.ERROR,
    "insufficient_system_resource": FailureKind.OVERLOADED,
}
"""Words in the place of a finish reason that say that there is no answer."""


class _Block(NamedTuple):
    """A part of the answer that is text of one kind."""

    thinking: bool
    part_index: int
    pieces: list[str]


class Assembly:
    """Takes an answer's pieces in order; `take_events` gives what they made since the last call.

    A part begins when the kind of output changes, and each tool call is a part of its own. Pieces
    of one part are joined into one event.
    """

    def __init__(self, *, provider: str, prompt_bytes: int, think_tags: bool = False) -> None:
        self._provider = provider
        self._prompt_bytes = prompt_bytes
        self._tags = ThinkTags() if think_tags else None
        self._events: list[ChatResponse] = []
        self._blocks: list[_Block] = []
        self._block: _Block | None = None
        self._joined_from = 0
        self._parts = 0
        self._tools = ToolCalls()
        self._warnings: list[WarningMessage] = []
        self._refused = False
        self._stop_sequence = ""
        self._raw_reason: str | None = None
        self.response_id = ""
        self.usage: Usage | None = None

    @property
    def has_reason(self) -> bool:
        """Whether the provider has said why the answer ended; nothing more is output after it."""
        return self._raw_reason is not None

    @property
    def has_output(self) -> bool:
        """Whether anything was output."""
        return self._parts > 0

    def add(self, delta: chunks.Delta) -> None:
        """Take one piece of the answer; after the finish reason it is left out."""
        if self._raw_reason is not None:
            return
        thinking = delta.reasoning_content or delta.reasoning
        if thinking:
            self._add_text(thinking, thinking=True)
        content = delta.content
        if content:
            if isinstance(content, str):
                self._add_content(content)
            else:
                self._add_parts(content)
        if delta.refusal:
            self._refused = True
            self._add_text(delta.refusal, thinking=False)
        if delta.tool_calls:
            for piece in delta.tool_calls:
                self._add_tool_piece(piece)

    def end(self, raw_reason: str, stop_reason: str | int | None = None) -> None:
        """The provider said why the answer ended; only usage may still come."""
        if self._raw_reason is not None:
            return
        if raw_reason in _FAILED:
            raise ProviderFailure(_FAILED[raw_reason], f"the answer ended by {raw_reason}")
        if self._tags is not None:
            thinking, text = self._tags.rest()
            self._add_text(thinking, thinking=True)
            self._add_text(text, thinking=False)
        self._raw_reason = raw_reason
        if isinstance(stop_reason, str):
            self._stop_sequence = clean(stop_reason)
        self._close_calls()

    def take_events(self) -> list[ChatResponse]:
        """Events since the last call, with the pieces of each part joined."""
        self._flush_block()
        events, self._events = self._events, []
        return events

    def finish(
        self, warnings: list[WarningMessage], *, provider_request_id: str = ""
    ) -> ChatResponse:
        """The last event. `warnings` are the request's; the answer's own are added."""
        return ChatResponse(
            finish=Finish(
                reason=self._reason(),
                raw_reason=clean(self._raw_reason or ""),
                stop_sequence=self._stop_sequence,
                usage=self.usage or self.estimate(),
                route=Route(provider_request_id=provider_request_id),
                response_id=self.response_id,
                message=self._message(),
                warnings=[*warnings, *self._warnings],
            )
        )

    def estimate(self) -> Usage:
        """Usage by bytes, for an answer whose provider does not count."""
        pieces = [piece for block in self._blocks for piece in block.pieces]
        pieces += [piece for call in self._tools.calls for piece in call.arguments]
        return estimated_usage(self._prompt_bytes, len("".join(pieces).encode()))

    def _add_content(self, text: str) -> None:
        if self._tags is None:
            self._add_text(text, thinking=False)
            return
        thinking, text = self._tags.split(text)
        self._add_text(thinking, thinking=True)
        self._add_text(text, thinking=False)

    def _add_parts(self, parts: list[chunks.ContentPart]) -> None:
        for part in parts:
            if isinstance(part.thinking, str):
                self._add_text(part.thinking, thinking=True)
            elif part.thinking:
                for inner in part.thinking:
                    self._add_text(inner.text or "", thinking=True)
            if part.text:
                self._add_content(part.text)

    def _add_text(self, text: str, *, thinking: bool) -> None:
        if not text:
            return
        block = self._block
        if block is None or block.thinking is not thinking:
            self._flush_block()
            # Parts never go back: whatever calls came before this text are whole.
            self._close_calls()
            block = self._block = _Block(thinking, self._next_part(), [])
            self._joined_from = 0
            self._blocks.append(block)
        block.pieces.append(clean(text))

    def _flush_block(self) -> None:
        block = self._block
        if block is None or self._joined_from == len(block.pieces):
            return
        fresh = block.pieces[self._joined_from :]
        text = fresh[0] if len(fresh) == 1 else "".join(fresh)
        if block.thinking:
            event = ChatResponse(thinking_delta=text, part_index=block.part_index)
        else:
            event = ChatResponse(text_delta=text, part_index=block.part_index)
        self._events.append(event)
        self._joined_from = len(block.pieces)

    def _add_tool_piece(self, piece: chunks.ToolCall) -> None:
        call = self._tools.find(piece)
        if call is None:
            self._flush_block()
            self._block, self._joined_from = None, 0
            call = self._tools.begin(piece, self._next_part())
        began = not call.id
        name, arguments = self._tools.add(call, piece)
        fresh_id = call.id if began else ""
        if not (fresh_id or name or arguments):
            return
        arguments = clean(arguments)
        last = self._events[-1] if self._events else None
        if last is not None and last.part_index == call.part_index and not (fresh_id or name):
            last.tool_call_delta.arguments_json_delta += arguments
            return
        delta = ToolCallDelta(id=clean(fresh_id), name=clean(name), arguments_json_delta=arguments)
        self._events.append(ChatResponse(tool_call_delta=delta, part_index=call.part_index))

    def _close_calls(self) -> None:
        for call in self._tools.still_open():
            is_object = call.close(fallback_id=f"call_{self.response_id[-12:]}_{call.part_index}")
            if not is_object:
                self._warnings.append(
                    WarningMessage(
                        kind=WarningMessage.KIND_CLAMPED,
                        field=f"message.parts[{call.part_index}].tool_call.arguments_json",
                        message="the arguments are no JSON object: the answer was cut in them",
                    )
                )
            self._events.append(ChatResponse(tool_call=call.whole, part_index=call.part_index))

    def _next_part(self) -> int:
        self._parts += 1
        return self._parts - 1

    def _reason(self) -> FinishReason.ValueType:
        reason = _REASONS.get(self._raw_reason or "", FinishReason.FINISH_REASON_OTHER)
        if reason != FinishReason.FINISH_REASON_STOP:
            return reason
        if self._refused:
            return FinishReason.FINISH_REASON_REFUSAL
        if self._tools.calls:
            # A forced call ends by "stop" at OpenAI, and every call does at some others.
            return FinishReason.FINISH_REASON_TOOL_CALLS
        return FinishReason.FINISH_REASON_STOP_SEQUENCE if self._stop_sequence else reason

    def _message(self) -> Message:
        parts: dict[int, Part] = {}
        for block in self._blocks:
            text = "".join(block.pieces)
            part = Part(thinking=Thinking(text=text)) if block.thinking else Part(text=text)
            parts[block.part_index] = part
        for call in self._tools.calls:
            part = Part(tool_call=call.whole)
            if call.state:
                state = ProviderState(provider=self._provider, data=call.state)
                part.provider_state.CopyFrom(state)
            parts[call.part_index] = part
        return Message(role=Role.ROLE_ASSISTANT, parts=[parts[index] for index in sorted(parts)])
