"""`turnout embed`: embeds texts and shows how alike they are."""

import argparse
import json
import math
from collections.abc import Sequence

from turnout.v1.embed_service_pb2 import EmbedRequest
from turnout.v1.embed_service_pb2_grpc import EmbedServiceStub

from turnout_server.app.cli.connection import connect
from turnout_server.app.cli.output import print_table

_SHOWN = 40


def embed(options: argparse.Namespace) -> int:
    """Embed every text in one call."""
    request = EmbedRequest(model=options.model, texts=options.texts, dimensions=options.dimensions)
    with connect(options) as connection:
        response = EmbedServiceStub(connection.channel).Embed(
            request, timeout=connection.timeout_s, metadata=connection.metadata
        )
    vectors = [list(embedding.values) for embedding in response.embeddings]
    if options.json:
        for text, vector in zip(options.texts, vectors, strict=True):
            print(json.dumps({"text": text, "values": vector}, ensure_ascii=False))
        return 0
    print_similarities(options.texts, vectors)
    route = response.route
    print(f"\n{len(vectors)} × {response.dimensions} from {route.provider}/{route.model}")
    return 0


def print_similarities(texts: Sequence[str], vectors: Sequence[Sequence[float]]) -> None:
    """Print the cosine of every pair of texts."""
    rows = [
        (index, *(f"{cosine(one, other):.2f}" for other in vectors), _short(text))
        for index, (text, one) in enumerate(zip(texts, vectors, strict=True), 1)
    ]
    print_table(["", *map(str, range(1, len(texts) + 1)), "text"], rows)


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """How alike two vectors are: 1 for the same direction, 0 for none in common."""
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
