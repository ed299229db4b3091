"""Embeddings over this wire: texts to a body, and vectors back as packed floats.

Packed floats are little-endian, as every machine that this runs on has them in memory.
"""

import binascii
import math
from array import array

import msgspec
from turnout.v1.embed_service_pb2 import EmbedRequest

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.target import Target
from turnout_server.providers.json_text import read_json
from turnout_server.providers.openai_chat.chunks import Vector, VectorList
from turnout_server.providers.openai_chat.failures import stated_failure
from turnout_server.providers.openai_chat.messages import Json
from turnout_server.providers.openai_chat.options import Options
from turnout_server.providers.openai_chat.usage import estimated_usage, usage_of
from turnout_server.providers.provider import EmbedShard, Vectors

_VECTOR_LIST = msgspec.json.Decoder(VectorList)
_FLOAT_BYTES = 4
_INPUT_TYPES = {
    EmbedRequest.INPUT_TYPE_QUERY: "query",
    EmbedRequest.INPUT_TYPE_DOCUMENT: "document",
}


def encode_embed(shard: EmbedShard, target: Target, options: Options) -> bytes:
    """The body of POST /embeddings for one shard."""
    if len(shard.texts) > options.embed_batch:
        raise ProviderFailure(
            FailureKind.TOO_LARGE, f"over {options.embed_batch} texts in a call", field="texts"
        )
    body: Json = {"model": target.model, "input": list(shard.texts)}
    if options.base64_embeddings:
        body["encoding_format"] = "base64"
    if shard.dimensions:
        body["dimensions"] = shard.dimensions
    kind = _INPUT_TYPES.get(shard.input_type)
    if kind and options.input_type_param:
        body[options.input_type_param] = options.input_types.get(kind, kind)  # type: ignore[call-overload]
    return msgspec.json.encode({options.rename.get(key, key): body[key] for key in body})


def decode_vectors(body: bytes, shard: EmbedShard, *, provider_request_id: str = "") -> Vectors:
    """One vector a text in the shard's order; anything missing or misshapen fails the shard."""
    answer = read_json(body, _VECTOR_LIST)
    if answer.error and answer.error != b"null":
        raise stated_failure(body)
    if len(answer.data) != len(shard.texts):
        raise _wrong(f"{len(answer.data)} vectors for {len(shard.texts)} texts")
    packed = [_packed(vector) for vector in _in_order(answer.data)]
    size_bytes = len(packed[0])
    if not size_bytes or any(len(vector) != size_bytes for vector in packed):
        raise _wrong("vectors of unequal or no length")
    dimensions = size_bytes // _FLOAT_BYTES
    if shard.dimensions and dimensions != shard.dimensions:
        raise _wrong(f"{dimensions} dimensions where {shard.dimensions} were asked for")
    if answer.usage is not None:
        usage = usage_of(answer.usage)
    else:
        usage = estimated_usage(sum(len(text.encode()) for text in shard.texts), 0)
    return Vectors(packed, dimensions, usage, provider_request_id)


def _in_order(vectors: list[Vector]) -> list[Vector]:
    if all(vector.index is None for vector in vectors):
        return vectors
    by_index = {vector.index: vector for vector in vectors}
    if by_index.keys() != set(range(len(vectors))):
        raise _wrong("indexes that do not number the texts")
    return [by_index[index] for index in range(len(vectors))]


def _packed(vector: Vector) -> bytes:
    if isinstance(vector.embedding, str):
        try:
            packed = binascii.a2b_base64(vector.embedding, strict_mode=True)
            floats = array("f", packed)
        except (binascii.Error, ValueError) as error:
            raise _wrong(f"a vector that is not base64 of floats: {type(error).__name__}") from None
    else:
        floats = array("f", vector.embedding)
        packed = floats.tobytes()
    # Finite floats of four bytes cannot sum up past a double: only a NaN or an infinity can.
    if not math.isfinite(sum(floats)):
        raise _wrong("a vector with a number that is not finite")
    return packed


def _wrong(what: str) -> ProviderFailure:
    return ProviderFailure(FailureKind.ERROR, f"the answer has {what}")
