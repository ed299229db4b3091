"""Turns of a conversation from what is at hand: text, bytes, dictionaries, the contract's own."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from turnout.v1.chat_service_pb2 import Tool
from turnout.v1.content_pb2 import (
    CacheBreakpoint,
    Media,
    Message,
    Part,
    Role,
    ToolCall,
    ToolResult,
)

PartLike = str | bytes | Part | Media | ToolCall | ToolResult
"""A piece of a turn. Bytes are an image or a PDF whose type their first bytes tell."""
Content = PartLike | Sequence[PartLike]
MessageLike = Message | Mapping[str, Any]
"""A turn: the contract's, or `{"role": "user", "content": …}`."""
Prompt = str | MessageLike | Sequence[MessageLike]
"""A conversation; a bare text is one turn of the user's."""
ToolLike = Tool | Mapping[str, Any]
"""A tool: the contract's, or `{"name": …, "description": …, "parameters": {JSON Schema}}`."""

_ROLES = {
    "system": Role.ROLE_SYSTEM,
    "user": Role.ROLE_USER,
    "assistant": Role.ROLE_ASSISTANT,
    "tool": Role.ROLE_TOOL,
}
_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"%PDF-": "application/pdf",
}


def system(*parts: PartLike) -> Message:
    """A turn of instructions."""
    return _turn(Role.ROLE_SYSTEM, parts)


def user(*parts: PartLike) -> Message:
    """A turn of the user's: text, images, documents."""
    return _turn(Role.ROLE_USER, parts)


def assistant(*parts: PartLike) -> Message:
    """A turn of the model's. `Answer.message()` gives one that was received."""
    return _turn(Role.ROLE_ASSISTANT, parts)


def tool_result(call: ToolCall | str, content: Content, *, is_error: bool = False) -> Message:
    """A turn with the result of a tool call, or of the call of this id."""
    call_id = call if isinstance(call, str) else call.id
    result = ToolResult(tool_call_id=call_id, is_error=is_error)
    if isinstance(content, str):
        result.text = content
    else:
        result.parts.extend(part(piece) for piece in _pieces(content))
    return Message(role=Role.ROLE_TOOL, parts=[Part(tool_result=result)])


def media(
    source: bytes | str, mime_type: str = "", *, filename: str = "", cached: bool = False
) -> Part:
    """An image, sound or document: its bytes, or an https address that the provider fetches.

    `cached` asks the provider to cache the prompt up to here. The type of bytes may be left out for
    PNG, JPEG, GIF, WebP and PDF; raises ValueError when it cannot be told.
    """
    found = Media(mime_type=mime_type, filename=filename)
    if isinstance(source, bytes):
        found.data = source
        found.mime_type = mime_type or _sniff(source)
    else:
        found.url = source
    return Part(media=found, cache_breakpoint=CacheBreakpoint() if cached else None)


def part(piece: PartLike) -> Part:
    """One piece of a turn."""
    match piece:
        case Part():
            return piece
        case str():
            return Part(text=piece)
        case bytes():
            return media(piece)
        case Media():
            return Part(media=piece)
        case ToolCall():
            return Part(tool_call=piece)
        case ToolResult():
            return Part(tool_result=piece)
    raise TypeError(f"not a part of a message: {type(piece).__name__}")


def conversation(prompt: Prompt) -> list[Message]:
    """The turns that a prompt stands for."""
    if isinstance(prompt, str):
        return [user(prompt)]
    if isinstance(prompt, Message | Mapping):
        return [message(prompt)]
    return [message(turn) for turn in prompt]


def message(turn: MessageLike) -> Message:
    """One turn. Raises ValueError for a key or role that there is not."""
    if isinstance(turn, Message):
        return turn
    unknown = turn.keys() - {"role", "content", "name"}
    if unknown:
        raise ValueError(f"a message has role, content and name, not {', '.join(sorted(unknown))}")
    role = _ROLES.get(turn.get("role", "user"))
    if role is None:
        raise ValueError(f"role must be one of {', '.join(_ROLES)}, not {turn['role']!r}")
    made = _turn(role, _pieces(turn.get("content", "")))
    made.name = turn.get("name", "")
    return made


def tool(described: ToolLike) -> Tool:
    """One tool. Raises ValueError for a key that there is not."""
    if isinstance(described, Tool):
        return described
    unknown = described.keys() - {"name", "description", "parameters", "strict"}
    if unknown:
        raise ValueError(
            f"a tool has name, description, parameters and strict, not {', '.join(sorted(unknown))}"
        )
    parameters = described.get("parameters")
    return Tool(
        name=described["name"],
        description=described.get("description", ""),
        parameters_json_schema=json_text(parameters) if parameters is not None else "",
        strict=described.get("strict", False),
    )


def json_text(value: str | Mapping[str, Any]) -> str:
    """JSON text: as given, or written from a mapping."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _turn(role: Role.ValueType, pieces: Iterable[PartLike]) -> Message:
    pieces = tuple(pieces)
    if len(pieces) == 1 and isinstance(pieces[0], str):
        return Message(role=role, text=pieces[0])
    return Message(role=role, parts=[part(piece) for piece in pieces])


def _pieces(content: Content) -> Sequence[PartLike]:
    """A sequence of pieces; text and bytes are one piece though Python lets them be iterated."""
    if isinstance(content, Sequence) and not isinstance(content, str | bytes):
        return content
    return (content,)


def _sniff(data: bytes) -> str:
    for magic, mime_type in _MAGIC.items():
        if data.startswith(magic):
            return mime_type
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    raise ValueError("the type of these bytes cannot be told: pass media(data, mime_type)")
