"""The seam between the router and every provider: two methods, and a third to hang up."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse
from turnout.v1.embed_service_pb2 import EmbedRequest
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.receipt import Receipt
from turnout_server.core.target import Attempt

ChatEvent = ChatResponse | Receipt


@dataclass(frozen=True, slots=True)
class EmbedShard:
    """Texts for one upstream call. `dimensions` of 0 means the model's own."""

    texts: Sequence[str]
    dimensions: int = 0
    input_type: EmbedRequest.InputType.ValueType = EmbedRequest.INPUT_TYPE_UNSPECIFIED


@dataclass(frozen=True, slots=True)
class Vectors:
    """What a shard became: one little-endian float32 vector a text, in the shard's order."""

    packed: list[bytes]
    dimensions: int
    usage: Usage
    provider_request_id: str = ""


class Provider(Protocol):
    """One endpoint's client. It makes one upstream call per method call and never retries.

    Every upstream fault comes out as `ProviderFailure`; anything else raised is a bug of ours.
    Timers on output are the caller's business; the provider owns only the connect timeout.
    """

    def chat(self, request: ChatRequest, attempt: Attempt) -> AsyncGenerator[ChatEvent, None]:
        """Stream one answer: deltas and complete tool calls, then exactly one `finish`, last.

        Deltas of one part that one read brought are one event. `finish` always carries reason,
        raw_reason, usage (without cost), response_id, warnings, and `message` with every part in
        order, opaque state included; the router removes what the caller did not ask for. Tool
        calls come both as deltas and, when they are whole, as `tool_call`. Closing the generator
        closes the upstream connection at once. The request is never changed.
        """
        ...

    async def complete(self, request: ChatRequest, attempt: Attempt) -> ChatResponse:
        """Ask for the answer in one piece; returns the same `finish` that `chat` ends with."""
        ...

    async def embed(self, shard: EmbedShard, attempt: Attempt) -> Vectors:
        """Embed one shard; a vector that is missing, misshapen or not finite is a failure."""
        ...

    async def aclose(self) -> None:
        """Close every pooled connection."""
        ...
