"""The response cache: whole answers by exact key, in memory or in Redis.

A cache never fails a call. A store that cannot be asked, a value that is foreign, broken, of
another version or too old: each is a miss, and nothing more.
"""

import structlog
from google.protobuf.message import DecodeError
from turnout.v1.chat_service_pb2 import Finish

from turnout_server.core.cache_key import CacheKey
from turnout_server.core.clock import SYSTEM_CLOCK, Clock
from turnout_server.store.answer import CachedAnswer
from turnout_server.store.envelope import Envelope
from turnout_server.store.values import Match, StoreUnavailable, Values, stored_key

_log = structlog.get_logger(__name__)


class ResponseCache:
    """Answers kept by `keep` and found by `find`. One for the process."""

    def __init__(
        self,
        values: Values,
        envelope: Envelope,
        *,
        ttl_s: float,
        max_answer_bytes: int = 1 << 20,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._values = values
        self._envelope = envelope
        self._ttl_s = ttl_s
        self._max_answer_bytes = max_answer_bytes
        self._clock = clock

    async def find(self, key: CacheKey, max_age_s: float | None = None) -> CachedAnswer | None:
        """The answer kept under `key`, if it is not older than `max_age_s`."""
        stored = stored_key(key)
        try:
            sealed = await self._values.get(stored)
        except StoreUnavailable:
            return None
        if sealed is None:
            return None
        opened = self._envelope.open(stored, sealed)
        if opened is None:
            return None
        payload, stored_wall_s = opened
        age_s = max(0.0, self._clock.wall() - stored_wall_s)
        if age_s > min(self._ttl_s, self._ttl_s if max_age_s is None else max_age_s):
            return None
        try:
            return CachedAnswer(Finish.FromString(payload), age_s)
        except DecodeError:
            return None

    async def keep(self, key: CacheKey, finish: Finish) -> bool:
        """Keep a complete answer; `finish` must hold its message. False when it was not kept."""
        payload = finish.SerializeToString()
        if len(payload) > self._max_answer_bytes:
            return False
        stored = stored_key(key)
        sealed = self._envelope.seal(stored, payload, self._clock.wall())
        try:
            return await self._values.set(stored, sealed, ttl=self._ttl_s)
        except StoreUnavailable:
            return False

    async def invalidate(
        self, tenant: str = "", namespace: str = "", model: str = ""
    ) -> int | None:
        """Drop the answers and vectors of a tenant, a namespace, a model; an empty one means all.

        Returns how many there were, None when the store cannot be asked. Every process that shares
        the store is rid of them; an answer under way is kept when it is whole.
        """
        try:
            return await self._values.drop(Match(tenant, namespace, model))
        except StoreUnavailable as error:
            _log.warning("cache was not invalidated", why=str(error))
            return None
