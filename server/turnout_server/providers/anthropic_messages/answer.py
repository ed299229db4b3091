"""One answer while it arrives: blocks by index, counts that replace each other, and its end."""

from collections.abc import Iterator, Sequence

import msgspec
from turnout.v1.chat_service_pb2 import ChatResponse, Finish, FinishReason
from turnout.v1.chat_service_pb2 import Warning as WarningMessage
from turnout.v1.content_pb2 import Message, Role
from turnout.v1.routing_pb2 import Route
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.receipt import Receipt
from turnout_server.providers.anthropic_messages.blocks import TOOL_USE, AnswerBlock
from turnout_server.providers.anthropic_messages.events import WireDelta, WireMessage, WireUsage
from turnout_server.providers.json_text import members_of

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


class Answer:
    """What is known of one answer so far."""

    def __init__(self, provider: str, request_id: str, warnings: Sequence[WarningMessage]) -> None:
        self._provider = provider
        self.request_id = request_id
        # What the model says after it has stopped is no part of the answer.
        self.stopped = False
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
        self.stopped = self.stopped or bool(delta.stop_reason)
        self._count(usage)

    def open(self, index: int, raw: msgspec.Raw) -> AnswerBlock:
        """Begin a block; its place among the parts is its place among the blocks."""
        if index in self._blocks:
            raise contradiction("two blocks of one index")
        block = self._blocks[index] = AnswerBlock(raw, part_index=len(self._blocks))
        return block

    @property
    def has_begun(self) -> bool:
        """Whether any block of the answer has come."""
        return bool(self._blocks)

    def block(self, index: int, kind: str = "") -> AnswerBlock:
        """The open block of that index, of that kind where one is named."""
        block = self._blocks.get(index)
        if block is None or not block.open:
            raise contradiction("a piece of a block that is not open")
        if kind and block.kind != kind:
            raise contradiction("a piece that does not fit its block")
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
            warnings=[*self._warnings, *self._cut_arguments()],
        )
        return ChatResponse(finish=finish)

    def _cut_arguments(self) -> Iterator[WarningMessage]:
        for block in self._blocks.values():
            if block.kind == TOOL_USE and members_of(block.arguments) is None:
                yield WarningMessage(
                    kind=WarningMessage.KIND_CLAMPED,
                    field=f"message.parts[{block.part_index}].tool_call.arguments_json",
                    message="the arguments are no JSON object: the answer was cut in them",
                )

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


def contradiction(detail: str) -> ProviderFailure:
    """What the answer says cannot be true together."""
    return ProviderFailure(FailureKind.ERROR, f"a malformed answer: {detail}")
