"""A conversation as this wire wants it: one object a message, each tool result one of its own."""

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from turnout.v1.content_pb2 import Media, Message, Part, Role, ToolCall, ToolResult

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.providers.adjustments import Adjustments
from turnout_server.providers.openai_chat.options import Options

Json = dict[str, Any]

_AUDIO_FORMATS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}


class MessageEncoder:
    """Encodes the messages of one request for one provider.

    `state_owner` is whose opaque state is sent back; with None, nobody's is.
    """

    def __init__(self, options: Options, notes: Adjustments, *, state_owner: str | None) -> None:
        self._options = options
        self._notes = notes
        self._state_owner = state_owner

    def encode(self, messages: Sequence[Message]) -> list[Json]:
        """Raises ProviderFailure, naming the field, for what this wire cannot say."""
        encoded: list[Json] = []
        for index, message in enumerate(messages):
            path = f"messages[{index}]"
            if message.role == Role.ROLE_ASSISTANT:
                encoded.append(_named(self._assistant(message, path), message))
            else:
                encoded += self._turn(message, path)
        return encoded

    def _turn(self, message: Message, path: str) -> Iterator[Json]:
        role = self._options.system_role if message.role == Role.ROLE_SYSTEM else "user"
        if message.text:
            yield _named({"role": role, "content": message.text}, message)
            return
        content: list[Json] = []
        for index, part in enumerate(message.parts):
            part_path = f"{path}.parts[{index}]"
            if part.HasField("provider_state"):
                self._owns(part, part_path)
            kind = part.WhichOneof("content")
            if kind == "tool_result":
                yield self._tool_result(part.tool_result, f"{part_path}.tool_result", content)
            elif kind == "text":
                content.append({"type": "text", "text": part.text})
            elif kind == "media":
                content.append(_media(part.media, f"{part_path}.media"))
            else:
                raise _cannot(part_path, f"no {kind} in a message of this role")
        if content:
            yield _named({"role": role, "content": _joined(content)}, message)
        elif not message.parts:
            yield _named({"role": role, "content": ""}, message)

    def _tool_result(self, result: ToolResult, path: str, beside: list[Json]) -> Json:
        """One tool message; pictures and files go to `beside`, for it holds only text."""
        texts = [result.text] if result.text else []
        for index, part in enumerate(result.parts):
            if part.WhichOneof("content") == "text":
                texts.append(part.text)
                continue
            media_path = f"{path}.parts[{index}].media"
            self._notes.emulated(media_path, "a tool's media follow in a message of the user")
            beside.append(_media(part.media, media_path))
        text = "\n".join(texts)
        if result.is_error:
            self._notes.emulated(f"{path}.is_error", "the text begins with 'Error: '")
            text = f"Error: {text}"
        return {"role": "tool", "tool_call_id": result.tool_call_id, "content": text}

    def _assistant(self, message: Message, path: str) -> Json:
        texts = [message.text] if message.text else []
        thinking: list[str] = []
        calls: list[Json] = []
        for index, part in enumerate(message.parts):
            part_path = f"{path}.parts[{index}]"
            kind = part.WhichOneof("content")
            state = self._owns(part, part_path)
            if kind == "text":
                texts.append(part.text)
            elif kind == "thinking":
                thinking.append(part.thinking.text)
            elif kind == "tool_call":
                calls.append(_tool_call(part.tool_call, state))
            elif kind is not None:
                raise _cannot(part_path, f"no {kind} in a message of the assistant")
        text = "".join(texts)
        encoded: Json = {"role": "assistant", "content": text or (None if calls else "")}
        if calls:
            encoded["tool_calls"] = calls
        if self._options.reasoning_field and any(thinking):
            encoded[self._options.reasoning_field] = "".join(thinking)
        return encoded

    def _owns(self, part: Part, path: str) -> bytes:
        """The state of a part when this provider made it; else a warning, and nothing."""
        if not part.HasField("provider_state"):
            return b""
        if part.provider_state.provider != self._state_owner:
            self._notes.state_stripped(f"{path}.provider_state")
            return b""
        return part.provider_state.data


def _named(encoded: Json, message: Message) -> Json:
    if message.name:
        encoded["name"] = message.name
    return encoded


def _joined(content: list[Json]) -> str | list[Json]:
    """Plain text as a string, which every server takes; anything else as a list of parts."""
    if all(part["type"] == "text" for part in content):
        return "\n".join(part["text"] for part in content)
    return content


def _tool_call(call: ToolCall, state: bytes) -> Json:
    encoded: Json = {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments_json or "{}"},
    }
    if state:
        encoded["extra_content"] = msgspec.Raw(state)
    return encoded


def _media(media: Media, path: str) -> Json:
    source = media.WhichOneof("source")
    family, _, subtype = media.mime_type.partition("/")
    if source == "file_id":
        return {"type": "file", "file": {"file_id": media.file_id}}
    if family == "image" or (source == "url" and not family):
        url = media.url if source == "url" else _data_url(media)
        return {"type": "image_url", "image_url": {"url": url}}
    if source == "url":
        raise _cannot(f"{path}.url", f"no {media.mime_type} by its address")
    if family == "audio":
        return _audio(media, path)
    if family == "text":
        return {"type": "text", "text": media.data.decode("utf-8", "replace")}
    if family == "video":
        raise _cannot(path, "no video")
    filename = media.filename or f"document.{subtype}"
    return {"type": "file", "file": {"filename": filename, "file_data": _data_url(media)}}


def _audio(media: Media, path: str) -> Json:
    audio_format = _AUDIO_FORMATS.get(media.mime_type)
    if audio_format is None:
        raise _cannot(path, f"no {media.mime_type}, only WAV and MP3")
    data = base64.b64encode(media.data).decode("ascii")
    return {"type": "input_audio", "input_audio": {"data": data, "format": audio_format}}


def _data_url(media: Media) -> str:
    return f"data:{media.mime_type};base64,{base64.b64encode(media.data).decode('ascii')}"


def _cannot(path: str, why: str) -> ProviderFailure:
    return ProviderFailure(FailureKind.CAPABILITY, f"this wire carries {why}", field=path)
