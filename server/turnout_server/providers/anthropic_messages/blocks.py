"""Blocks of an answer, put together from their pieces and turned into parts of a message."""

from typing import Any

import msgspec
from turnout.v1.content_pb2 import Part, ProviderState, Thinking, ToolCall

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.providers.anthropic_messages.events import Kind, WireBlock
from turnout_server.providers.json_text import Members, clean, read_json

TEXT = "text"
THINKING = "thinking"
REDACTED = "redacted_thinking"
TOOL_USE = "tool_use"

_decoder = msgspec.json.Decoder(WireBlock)
_kind_decoder = msgspec.json.Decoder(Kind)
_members_decoder: msgspec.json.Decoder[Members] = msgspec.json.Decoder(Members)


class AnswerBlock:
    """One block. What a caller need not understand is kept to be replayed: see `part`."""

    __slots__ = (
        "_citations",
        "_input",
        "_signature",
        "_start",
        "_text",
        "kind",
        "open",
        "part_index",
        "raw",
    )

    def __init__(self, raw: msgspec.Raw, *, part_index: int) -> None:
        self.raw = raw
        self.part_index = part_index
        self.open = True
        self.kind = read_json(raw, _kind_decoder).type
        # Of a block that we do not know, nothing is read but its kind.
        known = self.kind in {TEXT, THINKING, REDACTED, TOOL_USE}
        self._start = read_json(raw, _decoder) if known else WireBlock()
        self._text = [clean(self._start.text or self._start.thinking or "")]
        self._signature = [self._start.signature or ""]
        self._input: list[str] = []
        self._citations = list(self._start.citations or ())
        if self.kind == TOOL_USE and not (self._start.id and self._start.name):
            raise ProviderFailure(FailureKind.ERROR, "a tool call without an id or a name")

    @property
    def id(self) -> str:
        """Id of the tool call."""
        return clean(self._start.id or "")

    @property
    def name(self) -> str:
        """Name of the tool."""
        return clean(self._start.name or "")

    @property
    def text(self) -> str:
        """The text or the thinking."""
        return "".join(self._text)

    @property
    def arguments(self) -> str:
        """The arguments' JSON text exactly as it was written; `{}` when none was."""
        written = "".join(self._input)
        if not written.strip() and self._start.input is not msgspec.UNSET:
            # Whole answers, and some servers' streams, have the arguments in the block itself.
            written = bytes(self._start.input).decode("utf-8", "replace")
        return written if written.strip() not in {"", "null"} else "{}"

    def add_text(self, piece: str) -> str:
        """More of the text or the thinking; returns it as it may be shown."""
        piece = clean(piece)
        self._text.append(piece)
        return piece

    def add_signature(self, piece: str) -> None:
        """More of the thinking's signature."""
        self._signature.append(piece)

    def add_input(self, piece: str) -> str:
        """More of a tool's arguments; returns it as it may be shown."""
        piece = clean(piece)
        self._input.append(piece)
        return piece

    def add_citation(self, citation: msgspec.Raw) -> None:
        """One more source of the text."""
        self._citations.append(citation)

    def tool_call(self) -> ToolCall:
        """The whole call."""
        return ToolCall(id=self.id, name=self.name, arguments_json=self.arguments)

    def part(self, provider: str) -> Part:
        """The block as a part.

        Its opaque state is the signature of thinking, the data of redacted thinking, the members
        beside the usual ones of text and tool calls as a JSON object, and the whole block, without
        other content, for blocks of servers' tools and blocks that we do not know.
        """
        part = Part()
        state = b""
        if self.kind == TEXT:
            part.text = self.text
            state = _object({"citations": self._citations or None})
        elif self.kind == THINKING:
            part.thinking.CopyFrom(Thinking(text=self.text))
            state = "".join(self._signature).encode()
        elif self.kind == REDACTED:
            part.thinking.CopyFrom(Thinking(redacted=True))
            state = (self._start.data or "").encode()
        elif self.kind == TOOL_USE:
            part.tool_call.CopyFrom(self.tool_call())
            state = _object(
                {"caller": _indirect(self._start), "toolset_name": self._start.toolset_name}
            )
        else:
            state = self._whole()
        if state:
            part.provider_state.CopyFrom(ProviderState(provider=provider, data=state))
        return part

    def _whole(self) -> bytes:
        if not self._input:
            return bytes(self.raw)
        members = read_json(self.raw, _members_decoder)
        return msgspec.json.encode({**members, "input": msgspec.Raw(self.arguments.encode())})


def _object(members: dict[str, Any]) -> bytes:
    kept = {name: value for name, value in members.items() if value is not None}
    return msgspec.json.encode(kept) if kept else b""


def _indirect(start: WireBlock) -> msgspec.Raw | None:
    # A call that the model makes itself is the usual case, and needs no word on replay.
    if start.caller is msgspec.UNSET or msgspec.json.decode(start.caller) in (
        None,
        {"type": "direct"},
    ):
        return None
    return start.caller
