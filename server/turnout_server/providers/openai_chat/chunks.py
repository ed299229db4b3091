"""The shapes of this wire's answers that we rely on; whatever else they hold is skipped unread.

A wrong type is a failure of the provider here, once, and never an AttributeError further in.
"""

from typing import Any

import msgspec


class Function(msgspec.Struct):
    """Name and arguments of a tool call; some providers send arguments as an object."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCall(msgspec.Struct):
    """A tool call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None
    # What Gemini wants back with the call, such as its thought signature.
    extra_content: msgspec.Raw = msgspec.Raw()


class ContentPart(msgspec.Struct):
    """A piece of content where it is a list: Mistral's thinking models send it so."""

    type: str = ""
    text: str | None = None
    thinking: "str | list[ContentPart] | None" = None


class Delta(msgspec.Struct):
    """What a chunk adds to a message; a whole message has the same fields."""

    content: str | list[ContentPart] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None


class Choice(msgspec.Struct):
    """One of the alternatives; we ask for one and read index 0."""

    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    # vLLM: the stop sequence that matched, or the id of a token.
    stop_reason: str | int | None = None


class PromptDetails(msgspec.Struct):
    """Shares of the prompt's tokens."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct):
    """Shares of the answer's tokens."""

    reasoning_tokens: int | None = None


class TokenCounts(msgspec.Struct):
    """Usage as it is counted upstream; the cache has three places, by provider."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None


class Completion(msgspec.Struct):
    """A chunk of a stream, or a whole answer."""

    id: str | None = None
    choices: list[Choice] = []
    usage: TokenCounts | None = None
    error: msgspec.Raw = msgspec.Raw()


class Vector(msgspec.Struct):
    """One embedding: base64 of little-endian floats, or JSON numbers."""

    embedding: str | list[float]
    index: int | None = None


class VectorList(msgspec.Struct):
    """An answer of the embeddings endpoint."""

    data: list[Vector] = []
    usage: TokenCounts | None = None
    error: msgspec.Raw = msgspec.Raw()
