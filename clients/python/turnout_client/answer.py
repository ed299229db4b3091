"""What a stream of events adds up to. No I/O: both clients feed it, and so can a test."""

from dataclasses import dataclass
from typing import Self

from turnout.v1 import chat_service_pb2
from turnout.v1.chat_service_pb2 import ChatResponse, CompleteChatResponse, Finish, FinishReason
from turnout.v1.content_pb2 import Message, Part, Role, ToolCall
from turnout.v1.routing_pb2 import Route
from turnout.v1.usage_pb2 import Usage

_OUTPUT = ("text_delta", "thinking_delta", "tool_call", "tool_call_delta")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, or as much of it as there is: `finish` is None until it has ended.

    `generation` above 0 means that the gateway started over that often; what was voided is gone.
    """

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish | None = None
    generation: int = 0

    @property
    def finish_reason(self) -> str:
        """`STOP`, `MAX_TOKENS`, `TOOL_CALLS` …; "" when the answer has not ended."""
        if self.finish is None:
            return ""
        return FinishReason.Name(self.finish.reason).removeprefix("FINISH_REASON_")

    @property
    def usage(self) -> Usage | None:
        """Tokens and cost; None when the answer has not ended."""
        return self.finish.usage if self.finish is not None else None

    @property
    def route(self) -> Route | None:
        """Who answered; None when the answer has not ended."""
        return self.finish.route if self.finish is not None else None

    @property
    def warnings(self) -> tuple[chat_service_pb2.Warning, ...]:
        """What was changed in the request to suit the target."""
        return tuple(self.finish.warnings) if self.finish is not None else ()

    def message(self) -> Message:
        """The answer as the assistant's turn, to be sent back with what comes next.

        With thinking or signatures only `final_message=True` gives a turn that providers accept.
        """
        if self.finish is not None and self.finish.HasField("message"):
            return self.finish.message
        parts = [Part(text=self.text)] if self.text else []
        parts += [Part(tool_call=call) for call in self.tool_calls]
        return Message(role=Role.ROLE_ASSISTANT, parts=parts)

    @classmethod
    def of(cls, response: CompleteChatResponse) -> Self:
        """The unary answer."""
        parts = response.finish.message.parts
        return cls(
            text=response.text,
            thinking="".join(part.thinking.text for part in parts),
            tool_calls=tuple(response.tool_calls),
            finish=response.finish,
        )


class Assembly:
    """Adds up the events of one stream."""

    __slots__ = ("_open", "_text", "_thinking", "_tools", "finish", "generation", "started")

    def __init__(self) -> None:
        self.started = False
        """Whether there was output, voided or not."""
        self._clear(0)

    def _clear(self, generation: int) -> None:
        self.generation = generation
        self.finish: Finish | None = None
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._tools: dict[str, ToolCall] = {}
        self._open: dict[int, str] = {}

    def feed(self, event: ChatResponse) -> Answer | None:
        """Add an event. Returns what it voids, when it begins a new generation."""
        voided = None
        if event.generation > self.generation:
            voided = self.answer()
            self._clear(event.generation)
        kind = event.WhichOneof("event")
        self.started = self.started or kind in _OUTPUT
        match kind:
            case "text_delta":
                self._text.append(event.text_delta)
            case "thinking_delta":
                self._thinking.append(event.thinking_delta)
            case "tool_call_delta":
                self._piece(event)
            case "tool_call":
                self._tools[event.tool_call.id or str(event.part_index)] = event.tool_call
            case "finish":
                self.finish = event.finish
        return voided

    def _piece(self, event: ChatResponse) -> None:
        """Pieces of parallel calls interleave; only a call's first piece has its id."""
        piece = event.tool_call_delta
        if piece.id or event.part_index not in self._open:
            self._open[event.part_index] = piece.id or str(event.part_index)
        call = self._tools.setdefault(self._open[event.part_index], ToolCall(id=piece.id))
        call.name = call.name or piece.name
        call.arguments_json += piece.arguments_json_delta

    def answer(self) -> Answer:
        """All that is known by now. An unfinished tool call's JSON is cut where it stands."""
        return Answer(
            text="".join(self._text),
            thinking="".join(self._thinking),
            tool_calls=tuple(self._tools.values()),
            finish=self.finish,
            generation=self.generation,
        )
