"""What a request asks of a model, so that nobody is asked what it cannot do."""

from dataclasses import dataclass

from turnout.v1.chat_service_pb2 import ChatRequest, ResponseFormat, ThinkingOptions
from turnout.v1.content_pb2 import Media, Part
from turnout.v1.model_service_pb2 import Capability

BYTES_PER_TOKEN = 4
"""A rough mean over languages and code; real counts come from the provider's usage."""

_EFFORTS = (
    ThinkingOptions.EFFORT_LOW,
    ThinkingOptions.EFFORT_MEDIUM,
    ThinkingOptions.EFFORT_HIGH,
)


@dataclass(frozen=True, slots=True)
class Needs:
    """`fields` maps each capability needed to the request field that asks for it."""

    fields: dict[Capability.ValueType, str]
    prompt_tokens: int = 0
    output_tokens: int = 0


def needs_of_chat(request: ChatRequest, *, streamed: bool) -> Needs:
    """Every capability a target must have for this request, and a rough size of it."""
    fields: dict[Capability.ValueType, str] = {Capability.CAPABILITY_CHAT: "model"}
    if streamed:
        fields[Capability.CAPABILITY_STREAMING] = "model"
    if request.tools:
        fields[Capability.CAPABILITY_TOOLS] = "tools"
    if request.response_format.kind == ResponseFormat.KIND_JSON_SCHEMA:
        fields[Capability.CAPABILITY_JSON_SCHEMA] = "response_format.kind"
    if request.thinking.effort in _EFFORTS or request.thinking.budget_tokens:
        fields[Capability.CAPABILITY_THINKING] = "thinking"
    for m, message in enumerate(request.messages):
        for p, part in enumerate(message.parts):
            _add_media(fields, part, f"messages[{m}].parts[{p}].media")
    return Needs(fields, prompt_tokens(request), request.max_output_tokens)


def needs_of_embed() -> Needs:
    """What an embedding request asks of a target."""
    return Needs({Capability.CAPABILITY_EMBEDDINGS: "model"})


def prompt_tokens(request: ChatRequest) -> int:
    """Estimate of the prompt's tokens; media count by a flat fee, not by their bytes."""
    size_bytes = sum(len(tool.parameters_json_schema) for tool in request.tools)
    tokens = 0
    for message in request.messages:
        size_bytes += len(message.text)
        for part in message.parts:
            kind = part.WhichOneof("content")
            if kind == "text":
                size_bytes += len(part.text)
            elif kind == "media":
                tokens += _MEDIA_TOKENS
            elif kind is not None:
                size_bytes += part.ByteSize()
    return tokens + size_bytes // BYTES_PER_TOKEN + 4 * len(request.messages)


_MEDIA_TOKENS = 1000


def _add_media(fields: dict[Capability.ValueType, str], part: Part, path: str) -> None:
    kind = part.WhichOneof("content")
    if kind == "media":
        fields.setdefault(_capability_of(part.media), path)
    elif kind == "tool_result":
        for inner in part.tool_result.parts:
            _add_media(fields, inner, path.removesuffix("media") + "tool_result.parts")


def _capability_of(media: Media) -> Capability.ValueType:
    family = media.mime_type.partition("/")[0]
    if family == "audio":
        return Capability.CAPABILITY_AUDIO
    if family == "image" or not media.mime_type:
        return Capability.CAPABILITY_VISION
    return Capability.CAPABILITY_DOCUMENTS
