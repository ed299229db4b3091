"""The Redis backend of the caches: aiocache's interface over one link."""

from typing import Any

from aiocache.base import BaseCache
from aiocache.serializers import NullSerializer
from redis.exceptions import RedisError

from turnout_server.store.redis import Argument, RedisLink, RedisUnavailable
from turnout_server.store.values import Match

_SCANNED_AT_ONCE = 1000


class RedisValues(BaseCache):  # type: ignore[misc]  # aiocache is not typed
    """Values in Redis; `run` the link in a task. Raises RedisUnavailable and nothing else.

    aiocache's own Redis backend pools connections, waits 5 s and logs a traceback for each failure.
    """

    NAME = "redis"

    def __init__(self, link: RedisLink) -> None:
        # The link has a timer of its own; aiocache's would cost 20 us a call.
        super().__init__(serializer=NullSerializer(), timeout=None)
        self._link = link

    async def drop(self, match: Match) -> int:
        """Drop every key that matches; returns how many there were."""
        cursor, dropped = "0", 0
        while True:
            cursor, keys = await self._ask(
                "SCAN", cursor, "MATCH", match.glob, "COUNT", _SCANNED_AT_ONCE
            )
            if keys:
                dropped += await self._ask("UNLINK", *keys)
            if int(cursor) == 0:
                return dropped

    async def _get(self, key: str, encoding: str | None = None, _conn: Any = None) -> bytes | None:
        value: bytes | None = await self._ask("GET", key)
        return value

    async def _multi_get(
        self, keys: list[str], encoding: str | None = None, _conn: Any = None
    ) -> list[bytes | None]:
        values: list[bytes | None] = await self._ask("MGET", *keys) if keys else []
        return values

    async def _set(
        self, key: str, value: bytes, ttl: float, _cas_token: Any = None, _conn: Any = None
    ) -> bool:
        await self._ask("SET", key, value, "PX", _ms(ttl))
        return True

    async def _add(self, key: str, value: bytes, ttl: float, _conn: Any = None) -> bool:
        if await self._ask("SET", key, value, "PX", _ms(ttl), "NX") is None:
            raise ValueError("the key is taken")
        return True

    async def _multi_set(
        self, pairs: list[tuple[str, bytes]], ttl: float, _conn: Any = None
    ) -> bool:
        replies = [self._link.submit("SET", key, value, "PX", _ms(ttl)) for key, value in pairs]
        for reply in replies:
            await self._reply(reply)
        return True

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return int(await self._ask("UNLINK", key))

    async def _ask(self, *args: Argument) -> Any:
        return await self._reply(self._link.submit(*args))

    @staticmethod
    async def _reply(reply: Any) -> Any:
        try:
            return await reply
        except RedisError as error:
            # Such as a value of another type under our key: no use to us, and no fault of the call.
            raise RedisUnavailable(str(error)[:120]) from None


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
