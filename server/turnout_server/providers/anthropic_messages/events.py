"""What the API sends, as far as we read it: a value of another type is a failure, never a surprise.

Every struct is flat over the kinds that it stands for, so that one pass over the bytes decodes an
event; members and kinds that are not named here are passed over.
"""

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
Index = Annotated[int, msgspec.Meta(ge=0, le=1 << 20)]


class OutputDetails(msgspec.Struct):
    """Parts of `output_tokens`."""

    thinking_tokens: Count | None = None


class WireUsage(msgspec.Struct):
    """Token counts so far; `input_tokens` leaves out what the cache took part in."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    output_tokens_details: OutputDetails | None = None


class WireBlock(msgspec.Struct):
    """A block of the answer, whole or at its start."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    citations: list[msgspec.Raw] | None = None
    caller: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    toolset_name: str | None = None


class WireMessage(msgspec.Struct):
    """An answer in one piece, or the head of a streamed one."""

    id: str = ""
    type: str = ""
    content: list[msgspec.Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: WireUsage | None = None
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    request_id: str | None = None


class WireDelta(msgspec.Struct):
    """A piece of a block, or what is known at the end of the message."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    signature: str = ""
    citation: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    stop_reason: str | None = None
    stop_sequence: str | None = None


class WireEvent(msgspec.Struct):
    """One event of a stream."""

    type: str = ""
    index: Index = 0
    message: WireMessage | None = None
    content_block: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    delta: WireDelta | None = None
    usage: WireUsage | None = None


class Kind(msgspec.Struct):
    """Only what an event or a block calls itself."""

    type: str = ""
