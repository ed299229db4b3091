"""Keys of the caches, and what they need of aiocache's backends."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Protocol

from turnout_server.core.cache_key import CacheKey

_PREFIX = "turnout:cache"
_TAG_BYTES = 8


def stored_key(key: CacheKey) -> str:
    """The key as the store sees it: hexadecimal tags, then the digest that alone decides."""
    tags = (_tag(key.tenant), _tag(key.namespace), _tag(key.model))
    return ":".join((_PREFIX, *tags, key.digest.hex()))


@dataclass(frozen=True, slots=True)
class Match:
    """A group of keys; an empty name stands for all."""

    tenant: str = ""
    namespace: str = ""
    model: str = ""

    @property
    def glob(self) -> str:
        """The group as Redis' SCAN takes it."""
        return ":".join((_PREFIX, *(tag or "*" for tag in self._tags()), "*"))

    def fits(self, stored: str) -> bool:
        """Whether a key as it is stored belongs to the group."""
        found = stored.removeprefix(_PREFIX + ":").split(":")
        return all(not tag or tag == other for tag, other in zip(self._tags(), found, strict=False))

    def _tags(self) -> tuple[str, ...]:
        names = (self.tenant, self.namespace, self.model)
        return tuple(_tag(name) if name else "" for name in names)


class Values(Protocol):
    """The part of aiocache's interface that the caches use, and one operation of ours.

    A backend that cannot be asked raises StoreUnavailable; it never waits longer than 100 ms.
    """

    async def get(self, key: str) -> bytes | None:
        """The value, or None."""
        ...

    async def set(self, key: str, value: bytes, ttl: float) -> bool:
        """Store a value for `ttl` seconds."""
        ...

    async def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Store a value for `ttl` seconds; raises ValueError where there is one."""
        ...

    async def delete(self, key: str) -> int:
        """Drop one key."""
        ...

    async def multi_get(self, keys: Sequence[str]) -> list[bytes | None]:
        """Each key's value or None, in order."""
        ...

    async def multi_set(self, pairs: Sequence[tuple[str, bytes]], ttl: float) -> bool:
        """Store several values for `ttl` seconds."""
        ...

    async def drop(self, match: Match) -> int:
        """Drop every key that matches; returns how many there were."""
        ...


class StoreUnavailable(Exception):
    """A store cannot be asked now; `str()` says why, for logs."""


@lru_cache(maxsize=1024)
def _tag(name: str) -> str:
    return blake2b(name.encode(), digest_size=_TAG_BYTES).hexdigest()
