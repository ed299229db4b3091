"""Tool calls put together from their pieces, which may interleave and be named in several ways."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from turnout.v1.content_pb2 import ToolCall

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.providers.json_text import clean
from turnout_server.providers.openai_chat import chunks

_ANY = msgspec.json.Decoder()


@dataclass(slots=True)
class OpenCall:
    """A call under way: what has come of it so far."""

    part_index: int
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)
    state: bytes = b""
    whole: ToolCall | None = None

    def close(self, *, fallback_id: str) -> bool:
        """Nothing more comes: sets `whole`. Returns whether the arguments are a JSON object."""
        if not self.name:
            raise ProviderFailure(FailureKind.ERROR, "a tool call has no name")
        text = clean("".join(self.arguments))
        if text.strip() in {"", "null"}:
            text = "{}"
        self.whole = ToolCall(
            id=clean(self.id or fallback_id), name=clean(self.name), arguments_json=text
        )
        return _is_object(text)


class ToolCalls:
    """The calls of one answer, in the order in which they began."""

    __slots__ = ("_by_index", "_latest", "calls")

    def __init__(self) -> None:
        self.calls: list[OpenCall] = []
        self._by_index: dict[int, OpenCall] = {}
        self._latest: OpenCall | None = None

    def find(self, piece: chunks.ToolCall) -> OpenCall | None:
        """The call that a piece continues; None when it begins one.

        A known index continues its call, unless it names another id: some providers number every
        call 0. Without an index the id decides, and without both the piece follows the latest.
        """
        begins = piece.function is not None and bool(piece.function.name)
        if piece.index is None:
            same_id = next((call for call in self.calls if piece.id and call.id == piece.id), None)
            return same_id or (None if piece.id or begins else self._latest)
        call = self._by_index.get(piece.index)
        if call is None or not piece.id or not call.id or call.id == piece.id:
            return call
        if not begins:
            raise ProviderFailure(FailureKind.ERROR, "a tool call changes its id")
        return None

    def begin(self, piece: chunks.ToolCall, part_index: int) -> OpenCall:
        """Start a call at the part that it will be."""
        call = OpenCall(part_index)
        self.calls.append(call)
        if piece.index is not None:
            self._by_index[piece.index] = call
        return call

    def add(self, call: OpenCall, piece: chunks.ToolCall) -> tuple[str, str]:
        """Add a piece to its call; returns the name, when this piece brought it, and arguments."""
        if call.whole is not None:
            raise ProviderFailure(FailureKind.ERROR, "a tool call goes on after it ended")
        self._latest = call
        call.id = call.id or piece.id or ""
        if piece.extra_content and piece.extra_content != b"null":
            call.state = bytes(piece.extra_content)
        function = piece.function or _NO_FUNCTION
        name = function.name or ""
        if call.name and name and name != call.name:
            raise ProviderFailure(FailureKind.ERROR, "a tool call changes its name")
        fresh_name = "" if call.name else name
        call.name = call.name or name
        arguments = _text_of(function.arguments)
        if arguments:
            call.arguments.append(arguments)
        return fresh_name, arguments

    def still_open(self) -> Iterable[OpenCall]:
        """Calls that are not whole yet, in order."""
        return [call for call in self.calls if call.whole is None]


_NO_FUNCTION = chunks.Function()


def _text_of(arguments: str | dict[str, Any] | None) -> str:
    if isinstance(arguments, dict):
        return msgspec.json.encode(arguments).decode()
    return arguments or ""


def _is_object(text: str) -> bool:
    try:
        return isinstance(_ANY.decode(text), dict)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return False
