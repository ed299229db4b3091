"""What a catalogue row may say about this wire; the defaults are OpenAI's own ways."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one provider differs from the others on this wire. Every key is a key of its row.

    Fields of a request are named as the body names them before `rename`.
    """

    max_tokens_param: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    """What the limit on output tokens is called."""

    system_role: Literal["system", "developer"] = "system"
    """The role under which system messages go."""

    include_usage: bool = True
    """Ask for usage in a stream by `stream_options`; off where that is refused or never needed."""

    unsupported: tuple[str, ...] = ("top_k",)
    """Body fields that the provider refuses: dropped with a warning, or a failure when strict."""

    rename: Mapping[str, str] = field(default_factory=dict)
    """Body fields that the provider calls otherwise, for chat and embeddings."""

    extra_body: Mapping[str, object] = field(default_factory=dict)
    """Body fields that every chat request carries unless it sets them itself."""

    auth: Literal["bearer", "api-key"] = "bearer"
    """The header of the key: `authorization: Bearer …` or `api-key: …`."""

    end_user_param: Literal["user", "safety_identifier", ""] = "user"
    """Where the caller's end_user_id goes; empty where the provider has no such field."""

    max_stop_sequences: int = 4
    """How many stop sequences one request may have."""

    thinking_param: Literal["reasoning_effort", "reasoning", "thinking", "enable_thinking", ""] = (
        "reasoning_effort"
    )
    """How thinking is asked for: a word, OpenRouter's object, `{type: enabled}`, a boolean."""

    reasoning_field: Literal["reasoning_content", "reasoning", ""] = ""
    """Where earlier thinking is sent back in an assistant message; empty: it is not sent."""

    think_tags: bool = False
    """Thinking arrives inside the text, as `<think>…</think>` at its beginning."""

    strict_schema: bool = True
    """Ask that a JSON schema be followed to the letter (`strict`) in structured output."""

    base64_embeddings: bool = True
    """Ask for vectors as base64, a tenth of the cost of reading JSON numbers."""

    embed_batch: int = 2048
    """How many texts one embeddings call may have."""

    input_type_param: str = ""
    """The field that tells a query from a document in embeddings; empty: there is none."""

    input_types: Mapping[Literal["query", "document"], str] = field(
        default_factory=lambda: {"query": "query", "document": "document"}
    )
    """The provider's words for the two."""
