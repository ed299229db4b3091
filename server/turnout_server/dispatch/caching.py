"""How one chat may use the cache, and what of it is worth keeping."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse, Finish, FinishReason
from turnout.v1.routing_pb2 import CacheMode
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.cache_key import CacheKey
from turnout_server.core.target import Target
from turnout_server.policy.cache_key import chat_key
from turnout_server.policy.targets import Ranking

LOOKED_UP = 3
"""Targets whose answer would do, in the order in which they would be asked."""
_READING = (CacheMode.CACHE_MODE_READ_WRITE, CacheMode.CACHE_MODE_READ_ONLY)
_WRITING = (CacheMode.CACHE_MODE_READ_WRITE, CacheMode.CACHE_MODE_REFRESH)
_WHOLE = (
    FinishReason.FINISH_REASON_STOP,
    FinishReason.FINISH_REASON_STOP_SEQUENCE,
    FinishReason.FINISH_REASON_MAX_TOKENS,
    FinishReason.FINISH_REASON_TOOL_CALLS,
)


class Kept(Protocol):
    """An answer that was found."""

    @property
    def saved(self) -> Usage:
        """What it cost the first time."""
        ...

    def replay(self) -> Iterator[ChatResponse]:
        """All of its events, `finish` last."""
        ...


class AnswerCache(Protocol):
    """Stores whole answers. It never raises: one that is down finds nothing and keeps nothing."""

    async def find(self, key: CacheKey, max_age_s: float | None = None) -> Kept | None:
        """The answer kept under a key."""
        ...

    async def keep(self, key: CacheKey, finish: Finish) -> bool:
        """Keep a whole answer, whose `finish` holds its message."""
        ...


@dataclass(frozen=True, slots=True)
class ChatCaching:
    """A cache, and how a call uses it that does not say."""

    cache: AnswerCache
    default_mode: CacheMode.ValueType = CacheMode.CACHE_MODE_OFF


class CacheUse:
    """The cache as one call may use it."""

    def __init__(
        self, caching: ChatCaching | None, request: ChatRequest, tenant: str, ranking: Ranking
    ) -> None:
        self._cache = caching.cache if caching else None
        mode = request.cache.mode or (caching.default_mode if caching else 0)
        self._request = request
        self._tenant = tenant
        self._ranking = ranking
        self.reads = self._cache is not None and mode in _READING
        self._writes = self._cache is not None and mode in _WRITING

    @property
    def is_off(self) -> bool:
        """Whether this call must have an answer of its own."""
        return not (self.reads or self._writes)

    def flight_key(self, *, unary: bool) -> bytes:
        """Equal for calls that may share a stream: the same answer, and the same events of it."""
        shape = b"u" if unary else b"s"
        if self._request.stream.tool_call_deltas:
            shape += b"d"
        if self._writes:
            shape += b"w"
        return shape + self._key(self._ranking.targets[0]).digest

    async def find(self) -> Kept | None:
        """An answer of a target that this call would ask."""
        if not self.reads or self._cache is None:
            return None
        options = self._request.cache
        max_age_s = options.max_age.ToNanoseconds() / 1e9 if options.HasField("max_age") else None
        for target in self._ranking.targets[:LOOKED_UP]:
            kept = await self._cache.find(self._key(target), max_age_s)
            if kept is not None:
                return kept
        return None

    async def keep(self, finish: Finish) -> None:
        """Keep a whole answer under the name of the target that gave it, and no other."""
        if not self._writes or self._cache is None or finish.reason not in _WHOLE:
            return
        served = (finish.route.provider, finish.route.model)
        for target in self._ranking.targets:
            if (target.provider, target.model) == served:
                await self._cache.keep(self._key(target), finish)
                return

    def _key(self, target: Target) -> CacheKey:
        return chat_key(self._request, self._tenant, target)
