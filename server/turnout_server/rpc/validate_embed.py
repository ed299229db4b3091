"""The rules of embedding requests, all checked at once (docs: the contract's Validation section).

Whether a model makes vectors of the length asked for is known only where targets are.
"""

from itertools import islice

from turnout.v1.embed_service_pb2 import EmbeddingEncoding, EmbedOptions, EmbedRequest
from turnout.v1.routing_pb2 import CacheMode, CacheOptions

from turnout_server.core.errors import Violation
from turnout_server.rpc.validate_chat import (
    MAX_VIOLATIONS,
    Rules,
    label_rules,
    model_rules,
    routing_rules,
)

MAX_TEXTS = 2048
MAX_REQUEST_BYTES = 16 << 20
MAX_DIMENSIONS = 1 << 16
MAX_NAMESPACE_CHARS = 256


def violations_of(request: EmbedRequest) -> list[Violation]:
    """Every rule the request breaks, in the order of its fields; empty when it is sound."""
    return list(islice(_request_rules(request), MAX_VIOLATIONS))


def violations_of_options(options: EmbedOptions) -> list[Violation]:
    """Every rule the options of a stream break; empty when they are sound."""
    return list(islice(_shared_rules(options), MAX_VIOLATIONS))


def _request_rules(request: EmbedRequest) -> Rules:
    if not 1 <= len(request.texts) <= MAX_TEXTS:
        yield Violation("texts", f"must have 1 to {MAX_TEXTS} entries; EmbedStream takes more")
    for i, text in enumerate(request.texts):
        if not text:
            yield Violation(f"texts[{i}]", "must not be empty")
    if request.ByteSize() > MAX_REQUEST_BYTES:
        yield Violation("texts", "must be at most 16 MiB together; EmbedStream takes more")
    yield from _shared_rules(request)


def _shared_rules(ask: EmbedRequest | EmbedOptions) -> Rules:
    yield from model_rules(ask.model)
    if ask.dimensions > MAX_DIMENSIONS:
        yield Violation("dimensions", f"must be at most {MAX_DIMENSIONS}")
    if ask.encoding not in EmbeddingEncoding.values():
        yield Violation("encoding", "must be FLOAT32, FLOAT16, INT8 or BINARY")
    yield from routing_rules(ask.routing)
    yield from _cache_rules(ask.cache)
    yield from label_rules(dict(ask.labels))
    if ask.input_type not in EmbedRequest.InputType.values():
        yield Violation("input_type", "must be QUERY or DOCUMENT")


def _cache_rules(cache: CacheOptions) -> Rules:
    if cache.mode not in CacheMode.values():
        yield Violation("cache.mode", "must be OFF, READ_WRITE, READ_ONLY or REFRESH")
    if cache.HasField("max_age") and cache.max_age.ToNanoseconds() <= 0:
        yield Violation("cache.max_age", "must be above zero")
    if len(cache.namespace) > MAX_NAMESPACE_CHARS:
        yield Violation("cache.namespace", f"must have at most {MAX_NAMESPACE_CHARS} characters")
