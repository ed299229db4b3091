"""Vectors out of the contract's encodings."""

import struct
from array import array
from collections.abc import Iterable, Sequence

from turnout.v1.embed_service_pb2 import Embedding, EmbedResponse
from turnout.v1.routing_pb2 import Route
from turnout.v1.usage_pb2 import Usage

from turnout_client.requests import Encoding

Vector = Sequence[float]
"""Numbers in single precision: an array('f'), which numpy takes as it is (`numpy.asarray`)."""


class Embeddings(list[Vector]):
    """The vectors of a batch, in the order of its texts, and what they took."""

    def __init__(self, vectors: Iterable[Vector], response: EmbedResponse) -> None:
        super().__init__(vectors)
        self.dimensions: int = response.dimensions
        self.usage: Usage = response.usage
        self.route: Route = response.route
        self.upstream_calls: int = response.upstream_calls
        self.cache_hits: int = response.cache_hits


def embeddings_of(response: EmbedResponse, encoding: Encoding) -> Embeddings:
    """The batch's vectors."""
    vectors = (
        vector(embedding, encoding, response.dimensions) for embedding in response.embeddings
    )
    return Embeddings(vectors, response)


def vector(embedding: Embedding, encoding: Encoding, dimensions: int = 0) -> Vector:
    """The numbers of one embedding; `binary` gives 1 and -1.

    Without `dimensions` a binary vector's length is a multiple of 8.
    """
    packed = embedding.packed
    match encoding:
        case "float16":
            return array("f", struct.unpack(f"<{len(packed) // 2}e", packed))
        case "int8":
            scale = embedding.scale
            return array("f", (number * scale for number in array("b", packed)))
        case "binary":
            bits = (1.0 if byte >> place & 1 else -1.0 for byte in packed for place in _PLACES)
            return array("f", bits)[: dimensions or None]
    return array("f", embedding.values)


_PLACES = range(7, -1, -1)
