"""A kept answer, and its replay as a stream."""

from collections.abc import Iterator
from dataclasses import dataclass

from turnout.v1.chat_service_pb2 import ChatResponse, Finish, ToolCallDelta
from turnout.v1.content_pb2 import Message, Part
from turnout.v1.routing_pb2 import CacheStatus
from turnout.v1.usage_pb2 import Usage


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A whole answer: its `finish` with the message, which holds every part that was said.

    `finish` is as the first caller got it, with what it cost then; `age_s` says how long ago.
    """

    finish: Finish
    age_s: float

    @property
    def saved(self) -> Usage:
        """What the answer cost the first time."""
        return self.finish.usage

    def replay(self) -> Iterator[ChatResponse]:
        """Every event of the answer, `finish` last, each part in one piece.

        What the caller did not ask for is among them. The last event says that the cache answered,
        at no cost.
        """
        for index, part in enumerate(_parts(self.finish.message)):
            for event in _events(part):
                event.part_index = index
                yield event
        yield ChatResponse(finish=self._finish())

    def _finish(self) -> Finish:
        finish = Finish()
        finish.CopyFrom(self.finish)
        finish.usage.CopyFrom(Usage(cost_nano_usd=0))
        finish.ClearField("time_to_first_output")
        finish.route.cache_status = CacheStatus.CACHE_STATUS_HIT
        finish.route.attempts = 0
        return finish


def _parts(message: Message) -> list[Part]:
    return list(message.parts) or ([Part(text=message.text)] if message.text else [])


def _events(part: Part) -> Iterator[ChatResponse]:
    kind = part.WhichOneof("content")
    if kind == "text":
        yield ChatResponse(text_delta=part.text)
    elif kind == "thinking" and part.thinking.text:
        yield ChatResponse(thinking_delta=part.thinking.text)
    elif kind == "tool_call":
        call = part.tool_call
        delta = ToolCallDelta(id=call.id, name=call.name, arguments_json_delta=call.arguments_json)
        yield ChatResponse(tool_call_delta=delta)
        yield ChatResponse(tool_call=call)
