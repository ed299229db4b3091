"""The seam to a cache of vectors, one entry a text, so that a batch may be found in part."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from turnout.v1.embed_service_pb2 import EmbedOptions, EmbedRequest
from turnout.v1.routing_pb2 import CacheMode

from turnout_server.dispatch.vectors import FLOAT_BYTES

Ask = EmbedRequest | EmbedOptions
"""What both methods ask alike: model, dimensions, encoding, routing, cache, labels, input_type."""
_READING = (CacheMode.CACHE_MODE_READ_WRITE, CacheMode.CACHE_MODE_READ_ONLY)
_WRITING = (CacheMode.CACHE_MODE_READ_WRITE, CacheMode.CACHE_MODE_REFRESH)


class EmbedCache(Protocol):
    """Stores vectors by key. It never raises: one that is down finds nothing and keeps nothing."""

    async def get_many(
        self, keys: Sequence[str], *, max_age_s: float | None
    ) -> Sequence[bytes | None]:
        """What is stored under each key, in order; None where nothing is, or nothing so young."""
        ...

    async def set_many(self, entries: Mapping[str, bytes]) -> None:
        """Store each value, over an older one."""
        ...


@dataclass(frozen=True, slots=True)
class TextScope:
    """All that decides a text's vector besides the text, and the tenant it belongs to.

    `dimensions` of 0 is the model's own length.
    """

    tenant: str
    namespace: str
    model: str
    dimensions: int
    input_type: EmbedRequest.InputType.ValueType


KeyOf = Callable[[TextScope, str], str]


@dataclass(frozen=True, slots=True)
class EmbedCaching:
    """A cache, how its keys are made, and what a caller gets who does not say."""

    cache: EmbedCache
    key_of: KeyOf
    default_mode: CacheMode.ValueType = CacheMode.CACHE_MODE_READ_WRITE


class TextCache:
    """The cache as one call may use it."""

    def __init__(self, caching: EmbedCaching | None, ask: Ask, tenant: str) -> None:
        self._caching = caching
        self._ask = ask
        self._tenant = tenant
        mode = ask.cache.mode or (caching.default_mode if caching else CacheMode.CACHE_MODE_OFF)
        self.reads = caching is not None and mode in _READING
        self._writes = caching is not None and mode in _WRITING
        max_age_ns = ask.cache.max_age.ToNanoseconds()
        self._max_age_s = max_age_ns / 1e9 if ask.cache.HasField("max_age") else None

    async def find(self, model: str, texts: Sequence[str]) -> dict[str, bytes]:
        """Vectors of `model` for those of the texts that are stored."""
        if not self.reads or self._caching is None:
            return {}
        keys = self._keys(model, texts)
        stored = await self._caching.cache.get_many(keys, max_age_s=self._max_age_s)
        found = zip(texts, stored, strict=True)
        return {text: packed for text, packed in found if packed and self._is_sound(packed)}

    async def keep(self, model: str, vectors: Mapping[str, bytes]) -> None:
        """Store fresh vectors of `model`, by text."""
        if self._writes and self._caching is not None and vectors:
            keys = self._keys(model, list(vectors))
            await self._caching.cache.set_many(dict(zip(keys, vectors.values(), strict=True)))

    def _keys(self, model: str, texts: Sequence[str]) -> list[str]:
        assert self._caching is not None
        ask = self._ask
        scope = TextScope(self._tenant, ask.cache.namespace, model, ask.dimensions, ask.input_type)
        return [self._caching.key_of(scope, text) for text in texts]

    def _is_sound(self, packed: bytes) -> bool:
        """A stored value may be another version's or damaged: then it is a miss."""
        wanted = self._ask.dimensions * FLOAT_BYTES
        return len(packed) == wanted if wanted else len(packed) % FLOAT_BYTES == 0
