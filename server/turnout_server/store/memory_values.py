"""The memory backend of the caches: bounded in bytes, the least recently used leaves first."""

from collections import OrderedDict
from typing import Any

from aiocache.base import BaseCache
from aiocache.serializers import NullSerializer

from turnout_server.core.clock import SYSTEM_CLOCK, Monotonic
from turnout_server.store.values import Match

_ENTRY_BYTES = 300
"""What an entry weighs besides its value: key, dictionary slot, tuple and objects' heads."""


class MemoryValues(BaseCache):  # type: ignore[misc]  # aiocache is not typed
    """aiocache's interface over a dictionary that never weighs more than `max_bytes`.

    aiocache's own memory backend has no bound, and a timer for every key.
    """

    NAME = "memory"

    def __init__(self, max_bytes: int, monotonic: Monotonic = SYSTEM_CLOCK.monotonic) -> None:
        super().__init__(serializer=NullSerializer(), timeout=None)
        self._max_bytes = max_bytes
        self._monotonic = monotonic
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        """What the entries weigh now."""
        return self._size_bytes

    def __len__(self) -> int:
        return len(self._entries)

    async def drop(self, match: Match) -> int:
        """Drop every key that matches; returns how many there were."""
        dropped = [key for key in self._entries if match.fits(key)]
        for key in dropped:
            self._remove(key)
        return len(dropped)

    async def _get(self, key: str, encoding: str | None = None, _conn: Any = None) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, ends = entry
        if ends <= self._monotonic():
            self._remove(key)
            return None
        self._entries.move_to_end(key)
        return value

    async def _multi_get(
        self, keys: list[str], encoding: str | None = None, _conn: Any = None
    ) -> list[bytes | None]:
        return [await self._get(key) for key in keys]

    async def _set(
        self, key: str, value: bytes, ttl: float, _cas_token: Any = None, _conn: Any = None
    ) -> bool:
        self._remove(key)
        self._entries[key] = (value, self._monotonic() + ttl)
        self._size_bytes += len(value) + _ENTRY_BYTES
        while self._size_bytes > self._max_bytes:
            self._remove(next(iter(self._entries)))
        return True

    async def _add(self, key: str, value: bytes, ttl: float, _conn: Any = None) -> bool:
        if await self._get(key) is not None:
            raise ValueError("the key is taken")
        return await self._set(key, value, ttl)

    async def _multi_set(
        self, pairs: list[tuple[str, bytes]], ttl: float, _conn: Any = None
    ) -> bool:
        for key, value in pairs:
            await self._set(key, value, ttl)
        return True

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return self._remove(key)

    async def _clear(self, namespace: str | None = None, _conn: Any = None) -> bool:
        for key in [key for key in self._entries if key.startswith(namespace or "")]:
            self._remove(key)
        return True

    def _remove(self, key: str) -> int:
        entry = self._entries.pop(key, None)
        if entry is None:
            return 0
        self._size_bytes -= len(entry[0]) + _ENTRY_BYTES
        return 1
