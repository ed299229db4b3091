"""The embedding cache: one vector a text, so that a batch may hit in part."""

import asyncio
from collections.abc import Sequence

from turnout_server.core.cache_key import CacheKey
from turnout_server.core.clock import SYSTEM_CLOCK, Clock
from turnout_server.store.envelope import Envelope
from turnout_server.store.values import StoreUnavailable, Values, stored_key

_AT_ONCE = 64
"""Keys in one request to the store: 64 vectors of 1536 floats are 400 KB, well within 100 ms."""


class EmbedCache:
    """Vectors as packed little-endian float32. A store that cannot be asked means misses."""

    def __init__(
        self, values: Values, envelope: Envelope, *, ttl_s: float, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._values = values
        self._envelope = envelope
        self._ttl_s = ttl_s
        self._clock = clock

    async def get_many(
        self, keys: Sequence[CacheKey], max_age_s: float | None = None
    ) -> list[bytes | None]:
        """Each key's vector or None, in order."""
        found: list[bytes | None] = []
        oldest = self._clock.wall() - (self._ttl_s if max_age_s is None else max_age_s)
        try:
            for start in range(0, len(keys), _AT_ONCE):
                stored = [stored_key(key) for key in keys[start : start + _AT_ONCE]]
                sealed = await self._values.multi_get(stored)
                await asyncio.sleep(0)  # memory answers at once, and 2048 vectors are 20 ms of work
                found += [
                    self._open(key, value, oldest)
                    for key, value in zip(stored, sealed, strict=True)
                ]
        except StoreUnavailable:
            pass
        return found + [None] * (len(keys) - len(found))

    async def set_many(self, vectors: Sequence[tuple[CacheKey, bytes]]) -> None:
        """Keep each vector under its key."""
        now = self._clock.wall()
        try:
            for start in range(0, len(vectors), _AT_ONCE):
                pairs = []
                for key, vector in vectors[start : start + _AT_ONCE]:
                    stored = stored_key(key)
                    pairs.append((stored, self._envelope.seal(stored, vector, now)))
                await self._values.multi_set(pairs, ttl=self._ttl_s)
                await asyncio.sleep(0)
        except StoreUnavailable:
            return

    def _open(self, key: str, sealed: bytes | None, oldest: float) -> bytes | None:
        opened = None if sealed is None else self._envelope.open(key, sealed)
        if opened is None or opened[1] < oldest:
            return None
        return opened[0]
