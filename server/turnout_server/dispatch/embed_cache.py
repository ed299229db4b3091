"""The seam to a cache of vectors, one entry a text, so that a batch may be found in part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from turnout.v1.embed_service_pb2 import EmbedOptions, EmbedRequest
from turnout.v1.routing_pb2 import CacheMode, CacheStatus

from turnout_server.core.cache_key import CacheKey
from turnout_server.core.target import Target
from turnout_server.dispatch.vectors import FLOAT_BYTES
from turnout_server.policy.cache_key import embed_keys

Ask = EmbedRequest | EmbedOptions
"""What both methods ask alike: model, dimensions, encoding, routing, cache, labels, input_type."""
_READING = (CacheMode.CACHE_MODE_READ_WRITE, CacheMode.CACHE_MODE_READ_ONLY)
_WRITING = (CacheMode.CACHE_MODE_READ_WRITE, CacheMode.CACHE_MODE_REFRESH)


class EmbedCache(Protocol):
    """Stores vectors by key. It never raises: one that is down finds nothing and keeps nothing."""

    async def get_many(
        self, keys: Sequence[CacheKey], max_age_s: float | None = None
    ) -> Sequence[bytes | None]:
        """What is stored under each key, in order; None where nothing is, or nothing so young."""
        ...

    async def set_many(self, vectors: Sequence[tuple[CacheKey, bytes]]) -> None:
        """Store each vector, over an older one."""
        ...


@dataclass(frozen=True, slots=True)
class EmbedCaching:
    """A cache, and how a call uses it that does not say."""

    cache: EmbedCache
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
        self.status = (
            CacheStatus.CACHE_STATUS_MISS if self.reads else CacheStatus.CACHE_STATUS_BYPASS
        )
        """What a call is told that was not answered from the cache alone."""
        has_age = ask.cache.HasField("max_age")
        self._max_age_s = ask.cache.max_age.ToNanoseconds() / 1e9 if has_age else None

    async def find(self, target: Target, texts: Sequence[str]) -> dict[str, bytes]:
        """Vectors that `target` made, for those of the texts that are stored."""
        if not self.reads or self._caching is None:
            return {}
        keys = self._keys(target, texts)
        stored = await self._caching.cache.get_many(keys, self._max_age_s)
        found = zip(texts, stored, strict=True)
        return {text: packed for text, packed in found if packed and self._is_sound(packed)}

    async def keep(self, target: Target, vectors: Mapping[str, bytes]) -> None:
        """Store fresh vectors that `target` made, by text."""
        if self._writes and self._caching is not None and vectors:
            keys = self._keys(target, list(vectors))
            await self._caching.cache.set_many(list(zip(keys, vectors.values(), strict=True)))

    def _keys(self, target: Target, texts: Sequence[str]) -> list[CacheKey]:
        return embed_keys(
            texts,
            tenant=self._tenant,
            namespace=self._ask.cache.namespace,
            model=self._ask.model,
            target=target,
            dimensions=self._ask.dimensions,
            input_type=self._ask.input_type,
        )

    def _is_sound(self, packed: bytes) -> bool:
        """A stored value may be another version's or damaged: then it is a miss."""
        wanted = self._ask.dimensions * FLOAT_BYTES
        return len(packed) == wanted if wanted else len(packed) % FLOAT_BYTES == 0
