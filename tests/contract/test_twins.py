"""Messages that the server sends in place of the contract's, with the same bytes on the wire."""

import struct

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st
from turnout.internal.v1 import embed_twins_pb2 as twins
from turnout.v1 import embed_service_pb2 as embed
from turnout.v1 import errors_pb2, routing_pb2, usage_pb2

uint32s = st.integers(0, 2**32 - 1)
vectors = st.lists(st.floats(width=32), max_size=40)
usages = st.builds(
    usage_pb2.Usage, input_tokens=st.integers(0, 2**62), cost_nano_usd=st.none() | st.integers(0, 9)
)
routes = st.builds(routing_pb2.Route, provider=st.text(), model=st.text(), attempts=uint32s)
embeddings = st.builds(
    embed.Embedding, values=vectors, packed=st.binary(), scale=st.floats(width=32)
)
item_errors = st.builds(
    embed.ItemError, reason=st.sampled_from(errors_pb2.ErrorReason.values()), message=st.text()
)


def twin_embedding(real: embed.Embedding) -> twins.EmbeddingTwin:
    floats = struct.pack(f"<{len(real.values)}f", *real.values)
    return twins.EmbeddingTwin(values=floats, packed=real.packed, scale=real.scale)


def twin_result(real: embed.EmbedItemResult) -> twins.EmbedItemResultTwin:
    if real.WhichOneof("outcome") == "embedding":
        return twins.EmbedItemResultTwin(id=real.id, embedding=twin_embedding(real.embedding))
    return twins.EmbedItemResultTwin(id=real.id, error=real.error)


results = st.builds(embed.EmbedItemResult, id=st.integers(0, 2**64 - 1), embedding=embeddings) | (
    st.builds(embed.EmbedItemResult, id=st.integers(0, 2**64 - 1), error=item_errors)
)


@given(embeddings)
def test_embedding_and_its_twin_are_the_same_bytes(real: embed.Embedding) -> None:
    assert twin_embedding(real).SerializeToString() == real.SerializeToString()


@given(st.lists(embeddings, max_size=4), usages, routes, uint32s, uint32s)
def test_embed_response_and_its_twin_are_the_same_bytes(
    real: list[embed.Embedding],
    usage: usage_pb2.Usage,
    route: routing_pb2.Route,
    upstream_calls: int,
    cache_hits: int,
) -> None:
    wanted = embed.EmbedResponse(
        embeddings=real,
        dimensions=384,
        usage=usage,
        route=route,
        upstream_calls=upstream_calls,
        cache_hits=cache_hits,
    )
    sent = twins.EmbedResponseTwin(
        embeddings=[twin_embedding(each) for each in real],
        dimensions=384,
        usage=usage,
        route=route,
        upstream_calls=upstream_calls,
        cache_hits=cache_hits,
    )
    assert sent.SerializeToString() == wanted.SerializeToString()


@given(st.lists(results, max_size=4))
def test_stream_results_and_their_twins_are_the_same_bytes(
    real: list[embed.EmbedItemResult],
) -> None:
    sent = twins.EmbedStreamResponseTwin(
        results=twins.EmbedItemResultsTwin(results=[twin_result(each) for each in real])
    )
    wanted = embed.EmbedStreamResponse(results=embed.EmbedItemResults(results=real))
    assert sent.SerializeToString() == wanted.SerializeToString()


def test_stream_end_stands_in_the_twin_as_it_is() -> None:
    end = embed.EmbedStreamEnd(embedded_items=3, usage=usage_pb2.Usage(input_tokens=9))
    sent = twins.EmbedStreamResponseTwin(end=end)
    assert sent.SerializeToString() == embed.EmbedStreamResponse(end=end).SerializeToString()


def describe(message: Descriptor) -> dict[int, tuple[object, ...]]:
    """Describe what decides the wire format of each field, but for a twin's packed floats."""
    fields: dict[int, tuple[object, ...]] = {}
    for field in message.fields:
        floats = field.full_name in (
            "turnout.v1.Embedding.values",
            "turnout.internal.v1.EmbeddingTwin.values",
        )
        holds = field.message_type.name.removesuffix("Twin") if field.message_type else ""
        oneof = field.containing_oneof.name if field.containing_oneof else ""
        kind = "floats" if floats else (field.type, field.is_repeated)
        fields[field.number] = (field.name, kind, holds, oneof)
    return fields


@pytest.mark.parametrize("name", twins.DESCRIPTOR.message_types_by_name)
def test_a_twin_has_every_field_of_its_message(name: str) -> None:
    twin = twins.DESCRIPTOR.message_types_by_name[name]
    real = embed.DESCRIPTOR.message_types_by_name[name.removesuffix("Twin")]
    assert describe(twin) == describe(real)


def test_a_twin_holds_its_floats_as_bytes() -> None:
    values = twins.EmbeddingTwin.DESCRIPTOR.fields_by_name["values"]
    assert values.type == FieldDescriptor.TYPE_BYTES
