"""How one chat may use the cache, and what of it is worth keeping."""

from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Protocol

from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse, Finish, FinishReason
from turnout.v1.routing_pb2 import CacheMode, CacheStatus
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.cache_key import CacheKey
from turnout_server.core.target import Target
from turnout_server.core.watch import Watch
from turnout_server.dispatch.semantic import SemanticCaching
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
    semantic: SemanticCaching | None = None


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
        self._likeness = None
        rule = ranking.alias.semantic
        if rule and caching and caching.semantic and not self.is_off:
            self._likeness = caching.semantic.likeness(rule, request, tenant)

    @property
    def is_off(self) -> bool:
        """Whether this call must have an answer of its own."""
        return not (self.reads or self._writes)

    def flight_key(self, *, unary: bool) -> bytes:
        """Equal for calls that may share a stream: the same answer, the same events of it at the
        same pace, and the same word on who may give it and what follows when it breaks.
        """
        shape = b"u" if unary else b"s"
        if self._request.stream.tool_call_deltas:
            shape += b"d"
        if self._writes:
            shape += b"w"
        for way in (self._request.routing, self._request.stream.coalesce):
            raw = way.SerializeToString(deterministic=True)
            shape += len(raw).to_bytes(4, "big") + raw
        return shape + self._key(self._ranking.targets[0]).digest

    async def find(self) -> Kept | None:
        """An answer of a target that this call would ask."""
        for target in self._ranking.targets[:LOOKED_UP]:
            kept = await self._find(self._key(target))
            if kept is not None:
                return kept
        return None

    async def find_like(self, watch: Watch) -> Kept | None:
        """An answer to a question like this one, where the alias is content with that."""
        if not self.reads or self._likeness is None:
            return None
        for target in self._ranking.targets[:LOOKED_UP]:
            key = await self._likeness.find(target, watch)
            kept = None if key is None else await self._find(key)
            if kept is not None:
                self._likeness.count_hit()
                return kept
        return None

    async def keep(self, finish: Finish, watch: Watch) -> None:
        """Keep a whole answer under the name of the target that gave it, and no other."""
        if not self._writes or self._cache is None or finish.reason not in _WHOLE:
            return
        served = (finish.route.provider, finish.route.model)
        for target in self._ranking.targets:
            if (target.provider, target.model) == served:
                key = self._key(target)
                if await self._cache.keep(key, finish) and self._likeness is not None:
                    await self._likeness.add(target, key, watch)
                return

    async def _find(self, key: CacheKey) -> Kept | None:
        if not self.reads or self._cache is None:
            return None
        options = self._request.cache
        max_age_s = options.max_age.ToNanoseconds() / 1e9 if options.HasField("max_age") else None
        return await self._cache.find(key, max_age_s)

    def _key(self, target: Target) -> CacheKey:
        return chat_key(self._request, self._tenant, target)


async def replayed(
    kept: Kept, shown: frozenset[str], watch: Watch
) -> AsyncGenerator[ChatResponse, None]:
    """A kept answer as a stream: what the caller asked to see of it, at no cost."""
    events = list(kept.replay())
    finish = events[-1].finish
    watch.cache_hit(kept.saved)
    yield ChatResponse(route=watch.served(finish.route, CacheStatus.CACHE_STATUS_HIT))
    for event in events:
        if event.WhichOneof("event") in shown:
            yield event
