"""What a wire gave against what a case wants: a want says only what it cares for."""

from collections.abc import Iterable, Sequence
from typing import Any

from google.protobuf.message import Message
from turnout.v1.chat_service_pb2 import ChatResponse


def joined(events: Iterable[ChatResponse]) -> list[ChatResponse]:
    """The events with neighbouring deltas of one part made one, however they were cut."""
    result: list[ChatResponse] = []
    for event in events:
        last = result[-1] if result else None
        kind = event.WhichOneof("event")
        if last is None or not _continues(event, last, kind):
            result.append(ChatResponse.FromString(event.SerializeToString()))
        elif kind == "text_delta":
            last.text_delta += event.text_delta
        elif kind == "thinking_delta":
            last.thinking_delta += event.thinking_delta
        else:
            last.tool_call_delta.arguments_json_delta += event.tool_call_delta.arguments_json_delta
    return result


def differences(want: Message, got: Message, path: str = "") -> list[str]:
    """Fields set in `want` that `got` has otherwise; lists are compared whole."""
    found: list[str] = []
    for descriptor, wanted in want.ListFields():
        name = f"{path}.{descriptor.name}" if path else descriptor.name
        value = getattr(got, descriptor.name)
        if descriptor.is_repeated:
            found += _list_differences(wanted, value, name)
        elif isinstance(wanted, Message):
            if not got.HasField(descriptor.name):
                found.append(f"{name}: missing")
            found += differences(wanted, value, name)
        elif wanted != value:
            found.append(f"{name}: wanted {wanted!r}, got {value!r}")
    return found


def _list_differences(wanted: Sequence[Any], got: Sequence[Any], name: str) -> list[str]:
    if len(wanted) != len(got):
        return [f"{name}: wanted {len(wanted)} items, got {len(got)}: {list(got)}"]
    found: list[str] = []
    for index, (one, other) in enumerate(zip(wanted, got, strict=True)):
        item = f"{name}[{index}]"
        if isinstance(one, Message):
            kind, other_kind = _kind(one), _kind(other)
            if kind != other_kind:
                found.append(f"{item}: wanted {kind}, got {other_kind}")
            found += differences(one, other, item)
        elif one != other:
            found.append(f"{item}: wanted {one!r}, got {other!r}")
    return found


def event_differences(want: Sequence[ChatResponse], got: Sequence[ChatResponse]) -> list[str]:
    """As `differences`, over the events of a stream; a part of 0 is meant when none is set."""
    found = _list_differences(want, got, "events")
    for index, (one, other) in enumerate(zip(want, got, strict=False)):
        if one.part_index != other.part_index and one.WhichOneof("event") != "finish":
            found.append(f"events[{index}]: wanted part {one.part_index}, got {other.part_index}")
    return found


def _kind(message: Message) -> str | None:
    oneofs = message.DESCRIPTOR.oneofs
    return message.WhichOneof(oneofs[0].name) if oneofs else None


def _continues(event: ChatResponse, last: ChatResponse, kind: str | None) -> bool:
    if kind != last.WhichOneof("event") or event.part_index != last.part_index:
        return False
    if kind == "tool_call_delta":
        return not event.tool_call_delta.id and not event.tool_call_delta.name
    return kind in {"text_delta", "thinking_delta"}
