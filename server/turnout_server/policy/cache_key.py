"""Which questions are equal: a key changes with everything that changes the answer, and the tenant.

Left out of a chat's key, each because it changes the way of an answer and not the answer:
    routing        where to try and for how long; the target that serves is in the key itself
    cache          how the cache is used; its namespace is in the key itself
    stream         which events are shown; what is kept holds all of them
    labels         for analytics, never sent to a provider
    end_user_id    whom a provider may block; a caller who wants answers apart has namespaces
Everything else counts, fields that this version does not know included. `strict_parameters` does
too: an answer that came with warnings is none to a strict request.
"""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b

from turnout.v1.chat_service_pb2 import DESCRIPTOR as CHAT_FILE
from turnout.v1.chat_service_pb2 import ChatRequest, ResponseFormat
from turnout.v1.content_pb2 import DESCRIPTOR as CONTENT_FILE
from turnout.v1.content_pb2 import Role
from turnout.v1.embed_service_pb2 import EmbedRequest

from turnout_server.core.cache_key import CacheKey
from turnout_server.core.target import Target

_VERSION = b"1"
"""Raised when the meaning of a key or of a kept answer changes."""
_UNCOUNTED = ("routing", "cache", "stream", "labels", "end_user_id")
_DIGEST_BYTES = 32
_FREE_TEXT = (ResponseFormat.KIND_UNSPECIFIED, ResponseFormat.KIND_TEXT)

# A newer contract gives other keys: servers of two versions on one store never share an answer that
# one of them would have read differently.
_CONTRACT = blake2b(CHAT_FILE.serialized_pb + CONTENT_FILE.serialized_pb).digest()


def chat_key(request: ChatRequest, tenant: str, target: Target) -> CacheKey:
    """The key of the answer that `target` would give to `request`."""
    asked = ChatRequest()
    asked.CopyFrom(request)
    for field in _UNCOUNTED:
        asked.ClearField(field)  # type: ignore[arg-type]  # mypy wants a literal
    namespace = request.cache.namespace
    state = _state(b"chat" + _CONTRACT, tenant, namespace, str(target))
    # Messages of equal content are equal bytes within one build of protobuf; another build's order
    # of unknown fields costs a miss and never a wrong hit.
    state.update(asked.SerializeToString(deterministic=True))
    return CacheKey(tenant, namespace, request.model, state.digest())


def question_of(
    request: ChatRequest, *, tools: bool = False, structured: bool = False
) -> str | None:
    """The text by which answers to like questions may be found, or None where likeness will not do.

    That is the last turn, said by the user in text alone. A call that may use tools or that wants a
    structure is answered exactly or anew, unless these are let through.
    """
    if (request.tools and not tools) or not request.messages:
        return None
    if request.response_format.kind not in _FREE_TEXT and not structured:
        return None
    last = request.messages[-1]
    if last.role != Role.ROLE_USER:
        return None
    if any(part.WhichOneof("content") != "text" for part in last.parts):
        return None
    return last.text or "".join(part.text for part in last.parts) or None


def scope_key(request: ChatRequest, tenant: str, target: Target, space: str = "") -> CacheKey:
    """The key that all questions share which differ in `question_of` and in nothing else.

    `space` names the model that makes their vectors.
    """
    asked = ChatRequest()
    asked.CopyFrom(request)
    last = asked.messages[-1]
    last.text = ""
    del last.parts[:]
    # No valid request has this key itself: its last turn would say nothing.
    key = chat_key(asked, tenant, target)
    return replace(key, digest=_state(b"scope" + key.digest, space).digest())


def embed_keys(
    texts: Sequence[str],
    *,
    tenant: str,
    namespace: str,
    model: str,
    target: Target,
    dimensions: int,
    input_type: EmbedRequest.InputType.ValueType,
) -> list[CacheKey]:
    """The key of each text's vector, in order; `model` is the name that was requested.

    The encoding is left out: vectors are kept as float32 and encoded for each caller.
    """
    shape = f"{dimensions}/{input_type}"
    prefix = _state(b"embed", tenant, namespace, str(target), model, shape)
    keys = []
    for text in texts:
        state = prefix.copy()
        state.update(text.encode())
        keys.append(CacheKey(tenant, namespace, model, state.digest()))
    return keys


def _state(kind: bytes, *names: str) -> blake2b:
    """A hash fed with each name after its length, so that no two lists of names are one text."""
    state = blake2b(_VERSION + kind, digest_size=_DIGEST_BYTES)
    for name in names:
        encoded = name.encode()
        state.update(len(encoded).to_bytes(4, "big"))
        state.update(encoded)
    return state
