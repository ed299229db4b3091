"""A conversation as this API wants it: system blocks apart, turns that alternate, results first."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from turnout.v1.content_pb2 import CacheBreakpoint, Message, Part, Role

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.providers.adjustments import Adjustments
from turnout_server.providers.anthropic_messages.media import Block, encode_media
from turnout_server.providers.json_text import members_of, require_object

_FIVE_MINUTES_S = 300
_HOUR_S = 3600
_BAD_IN_ID = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(slots=True)
class Conversation:
    """The encoded conversation: leading system blocks, and turns of user and assistant."""

    system: list[Block] = field(default_factory=list)
    turns: list[Block] = field(default_factory=list)

    def say(self, role: str, blocks: list[Block]) -> None:
        """Add to the last turn when it has the same role, else begin a new one."""
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["content"] += blocks
        else:
            self.turns.append({"role": role, "content": blocks})

    @property
    def last_role(self) -> str:
        """Who spoke last; empty at the beginning."""
        return str(self.turns[-1]["role"]) if self.turns else ""


class TurnEncoder:
    """Encodes the messages of one request for one provider.

    `provider` owns the state that may be replayed; `keep_state` off strips that too. With
    `system_turns`, a later system message stays one where the API's rules of placement allow it.
    """

    def __init__(
        self, notes: Adjustments, *, provider: str, keep_state: bool, system_turns: bool
    ) -> None:
        self._notes = notes
        self._provider = provider
        self._keep_state = keep_state
        self._system_turns = system_turns

    def encode(self, messages: Sequence[Message]) -> Conversation:
        """Raises ProviderFailure, naming the field, for what this wire cannot say."""
        talk = Conversation()
        for index, message in enumerate(messages):
            path = f"messages[{index}]"
            if message.name:
                self._notes.dropped(f"{path}.name", "the API has no names of speakers")
            if message.role == Role.ROLE_SYSTEM:
                self._add_system(talk, message, path, messages[index + 1 :])
            elif message.role == Role.ROLE_ASSISTANT:
                talk.say("assistant", self._blocks(message, path))
            elif blocks := self._blocks(message, path):
                talk.say("user", blocks)
        _put_results_first(talk.turns)
        _trim_end(talk.turns)
        if not any(turn["role"] == "user" for turn in talk.turns):
            raise ProviderFailure(
                FailureKind.CAPABILITY, "messages: the API wants a user turn", field="messages"
            )
        return talk

    def _add_system(
        self, talk: Conversation, message: Message, path: str, following: Sequence[Message]
    ) -> None:
        blocks = self._blocks(message, path)
        if not blocks:
            return
        if not talk.turns:
            talk.system += blocks
        elif talk.last_role == "system" or (
            self._system_turns and talk.last_role == "user" and _answer_follows(following)
        ):
            talk.say("system", blocks)
        else:
            self._notes.emulated(path, "a later system turn is sent inside the user's")
            for block in blocks:
                block["text"] = f"<system>\n{block['text']}\n</system>"
            talk.say("user", blocks)

    def _blocks(self, message: Message, path: str) -> list[Block]:
        if message.text:
            return _text_block(message.text)
        blocks: list[Block] = []
        for index, part in enumerate(message.parts):
            field_path = f"{path}.parts[{index}]"
            encoded = list(self._part(part, message.role, field_path))
            blocks += encoded
            if part.HasField("cache_breakpoint"):
                # A blank part is not sent; what it marked ends with the part before it.
                self._mark(blocks, part.cache_breakpoint, f"{field_path}.cache_breakpoint")
        return blocks

    def _part(self, part: Part, role: Role.ValueType, path: str) -> Iterator[Block]:
        state = self._state(part, path)
        kind = part.WhichOneof("content")
        if kind == "text":
            for block in _text_block(part.text):
                yield block | _extra_members(state)
        elif kind == "media" and role in {Role.ROLE_USER, Role.ROLE_TOOL}:
            yield encode_media(part.media, f"{path}.media")
        elif kind == "tool_call" and role == Role.ROLE_ASSISTANT:
            call = part.tool_call
            yield {
                "type": "tool_use",
                "id": _safe_id(call.id),
                "name": call.name,
                "input": _arguments(call.arguments_json, f"{path}.tool_call.arguments_json"),
                **_extra_members(state),
            }
        elif kind == "tool_result" and role in {Role.ROLE_USER, Role.ROLE_TOOL}:
            yield self._tool_result(part, path)
        elif kind == "thinking" and role == Role.ROLE_ASSISTANT:
            yield from self._thinking(part, state, path)
        elif kind is None and role == Role.ROLE_ASSISTANT:
            yield from _opaque_block(state)
        else:
            raise ProviderFailure(
                FailureKind.CAPABILITY, f"{path}: not taken in a turn of this role", field=path
            )

    def _state(self, part: Part, path: str) -> bytes:
        if not part.HasField("provider_state"):
            return b""
        if self._keep_state and part.provider_state.provider == self._provider:
            return part.provider_state.data
        self._notes.state_stripped(path)
        return b""

    def _thinking(self, part: Part, state: bytes, path: str) -> Iterator[Block]:
        try:
            sealed = state.decode()
        except UnicodeDecodeError:
            sealed = ""
        if not sealed:
            # The API takes thinking back only under the signature that it gave.
            if not part.HasField("provider_state"):
                self._notes.state_stripped(path)
        elif part.thinking.redacted:
            yield {"type": "redacted_thinking", "data": sealed}
        else:
            yield {"type": "thinking", "thinking": part.thinking.text, "signature": sealed}

    def _tool_result(self, part: Part, path: str) -> Block:
        result = part.tool_result
        block: Block = {"type": "tool_result", "tool_use_id": _safe_id(result.tool_call_id)}
        if result.parts:
            content: list[Block] = []
            for index, piece in enumerate(result.parts):
                piece_path = f"{path}.tool_result.parts[{index}]"
                if piece.WhichOneof("content") not in {"text", "media"}:
                    raise ProviderFailure(
                        FailureKind.CAPABILITY,
                        f"{piece_path}: a tool's result is text, images and documents",
                        field=piece_path,
                    )
                content += self._part(piece, Role.ROLE_TOOL, piece_path)
            block["content"] = content
        elif result.text:
            block["content"] = result.text
        if result.is_error:
            block["is_error"] = True
        return block

    def _mark(self, blocks: list[Block], mark: CacheBreakpoint, path: str) -> None:
        if not blocks or blocks[-1]["type"] in {"thinking", "redacted_thinking"}:
            self._notes.dropped(path, "a breakpoint stands on text, media, tool calls and results")
            return
        control: dict[str, Any] = {"type": "ephemeral"}
        if mark.ttl_seconds:
            control["ttl"] = "5m" if mark.ttl_seconds <= _FIVE_MINUTES_S else "1h"
            if mark.ttl_seconds not in {_FIVE_MINUTES_S, _HOUR_S}:
                self._notes.clamped(
                    f"{path}.ttl_seconds", f"a cached prompt is kept for {control['ttl']}"
                )
        blocks[-1]["cache_control"] = control


def _text_block(text: str) -> list[Block]:
    # A block of blanks alone is refused with a 400; leaving it out changes nothing.
    return [{"type": "text", "text": text}] if text.strip() else []


def _opaque_block(state: bytes) -> Iterator[Block]:
    """A block of a server's tool, exactly as it came."""
    members = members_of(state) if state else None
    if members and "type" in members:
        yield {**members, "type": msgspec.json.decode(members["type"])}


def _extra_members(state: bytes) -> Block:
    return dict(members_of(state) or {}) if state else {}


def _arguments(text: str, path: str) -> msgspec.Raw:
    if not text.strip():
        return msgspec.Raw(b"{}")
    require_object(text, path)
    return msgspec.Raw(text.encode())


def _safe_id(tool_call_id: str) -> str:
    # Other providers' ids may hold characters that are refused here; both ends change alike.
    return _BAD_IN_ID.sub("_", tool_call_id)


def _answer_follows(following: Sequence[Message]) -> bool:
    for message in following:
        if message.role != Role.ROLE_SYSTEM:
            return message.role == Role.ROLE_ASSISTANT
    return True


def _put_results_first(turns: list[Block]) -> None:
    for turn in turns:
        if turn["role"] == "user":
            turn["content"].sort(key=lambda block: block["type"] != "tool_result")


def _trim_end(turns: list[Block]) -> None:
    """A last turn of the assistant is continued: it may be neither empty nor end in blanks."""
    if not turns or turns[-1]["role"] != "assistant":
        return
    content = turns[-1]["content"]
    if not content:
        turns.pop()
    elif content[-1]["type"] == "text":
        content[-1]["text"] = content[-1]["text"].rstrip()
