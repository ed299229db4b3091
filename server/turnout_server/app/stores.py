"""Builds what the gateway keeps and counts: caches, limits, the ledger."""

import asyncio
import math
import os
import sqlite3
from collections.abc import Callable, Sequence
from hashlib import blake2b

import structlog
from turnout.v1.routing_pb2 import CacheMode

from turnout_server.app.config.stores import TenantLimits as TenantLimitsConfig
from turnout_server.app.settings import Settings
from turnout_server.core.clock import Clock
from turnout_server.core.target import Secret
from turnout_server.core.watch import Observer
from turnout_server.dispatch.batcher import BatchSettings
from turnout_server.dispatch.caching import ChatCaching
from turnout_server.dispatch.embed import Embed
from turnout_server.dispatch.embed_cache import EmbedCaching
from turnout_server.dispatch.idempotent import Once
from turnout_server.dispatch.quota import Pacing, Quota
from turnout_server.dispatch.semantic import SemanticCaching
from turnout_server.policy.budgets import UnknownPrice
from turnout_server.policy.gcra import Limiter
from turnout_server.policy.limits import Limits, ModelLimits, TenantLimits, budgets_of
from turnout_server.store.cache import ResponseCache
from turnout_server.store.embed_cache import EmbedCache
from turnout_server.store.envelope import Envelope
from turnout_server.store.idempotency import Idempotency
from turnout_server.store.ledger import Ledger, open_ledger
from turnout_server.store.ledger_file import LedgerUnavailable
from turnout_server.store.memory_counters import MemoryCounters
from turnout_server.store.memory_values import MemoryValues
from turnout_server.store.redis import RedisLink
from turnout_server.store.redis_counters import SCRIPTS, RedisCounters
from turnout_server.store.redis_values import RedisValues
from turnout_server.store.resilient_counters import ResilientCounters
from turnout_server.store.semantic_index import SemanticIndex
from turnout_server.store.usage_observer import UsageObserver
from turnout_server.store.values import Values

IDEMPOTENCY_BYTES = 64 << 20
"""What replies kept for idempotency keys may weigh in memory, beside the cache."""
LAST_SETTLEMENTS_S = 1.0
ShowGauge = Callable[[str, str, Callable[[], float]], None]

_log = structlog.get_logger(__name__)


class Stores:
    """The stores of one process. `start` them, `run` them in a task, `aclose` them after all calls.

    Raises LedgerUnavailable for a ledger that was asked for and cannot be opened. It blocks on that
    file, so make it before serving.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        config = settings.config
        self._clock = clock
        self._limits = limits_of(settings)
        self._cache_link = _cache_link(settings.addresses.cache)
        values, replies = self._values(settings)
        envelope = Envelope(_secret(settings))
        ttl_s = float(config.cache.ttl)
        self._mode = CacheMode.Value(f"CACHE_MODE_{config.cache.mode.upper()}")
        self._answers = ResponseCache(values, envelope, ttl_s=ttl_s, clock=clock)
        self._questions = SemanticIndex(values, envelope, ttl_s=ttl_s, clock=clock)
        self._semantic: SemanticCaching | None = None
        self._counters = _counters(settings.addresses.limits, clock)
        self._ledger = _ledger(settings, clock)
        self.embed_caching = EmbedCaching(
            EmbedCache(values, envelope, ttl_s=ttl_s, clock=clock), self._mode
        )
        self.once = Once(Idempotency(replies, envelope, clock), clock)
        self.quota = Quota(self._counters, lambda: self._limits, clock)
        self.pacing = Pacing(self._counters)
        self.batching = BatchSettings(float(config.batching.window), config.batching.max_batch)
        self.invalidate = self._answers.invalidate
        self.query_usage = self._ledger.query if self._ledger else None

    def chat_caching(self, embed: Embed) -> ChatCaching:
        """The cache of answers, with `embed` to make vectors of questions."""
        self._semantic = SemanticCaching(self._questions, embed.vector)
        return ChatCaching(self._answers, self._mode, self._semantic)

    @property
    def observers(self) -> Sequence[Observer]:
        """Who must hear of every call."""
        return (UsageObserver(self._ledger.record, self._clock),) if self._ledger else ()

    def show(self, add_gauge: ShowGauge) -> None:
        """Tell what the stores know as metrics."""
        add_gauge(
            "turnout.limits.degraded",
            "1 while limits are counted by this process alone",
            lambda: float(
                isinstance(self._counters, ResilientCounters) and self._counters.degraded
            ),
        )
        add_gauge(
            "turnout.cache.degraded",
            "1 while the cache cannot be asked",
            lambda: float(self._cache_link is not None and not self._cache_link.up),
        )
        add_gauge(
            "turnout.cache.like_hits",
            "Answers given to a question that was only like theirs",
            lambda: float(self._semantic.hits if self._semantic else 0),
        )
        add_gauge(
            "turnout.usage.calls_lost",
            "Calls that are on no record",
            lambda: float(self._ledger.lost if self._ledger else 0),
        )

    async def start(self) -> None:
        """Look once for Redis, without which all goes on, and for what budgets have spent."""
        if isinstance(self._counters, ResilientCounters):
            await self._counters.start()
        if self._cache_link is not None:
            await self._cache_link.start()
        await self._recall_spent()

    async def run(self) -> None:
        """Keep the links to Redis and what is held there alive, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if isinstance(self._counters, ResilientCounters):
                tasks.create_task(self._counters.run())
            if self._cache_link is not None:
                tasks.create_task(self._cache_link.run())

    async def use(self, settings: Settings) -> None:
        """Hold tenants to the limits of other settings; all else is read at the start."""
        self._limits = limits_of(settings)
        await self._recall_spent()

    async def aclose(self) -> None:
        """Hand over the last settlements and write the last records."""
        counters = self._counters
        if isinstance(counters, ResilientCounters) and not await counters.drain(LAST_SETTLEMENTS_S):
            _log.warning("the last settlements did not reach redis")
        if self._ledger is not None:
            await asyncio.to_thread(self._ledger.close)

    def _values(self, settings: Settings) -> tuple[Values, Values]:
        """Where answers lie, and where the replies for idempotency keys do."""
        if self._cache_link is not None:
            values = RedisValues(self._cache_link)
            return values, values
        monotonic = self._clock.monotonic
        max_bytes = int(settings.config.cache.max_bytes)
        return MemoryValues(max_bytes, monotonic), MemoryValues(IDEMPOTENCY_BYTES, monotonic)

    async def _recall_spent(self) -> None:
        """Start each budget that is counted in memory from what the ledger knows of its period."""
        if self._ledger is None or not isinstance(self._counters, MemoryCounters):
            return
        wall_s = self._clock.wall()
        spent: dict[float, dict[str, int]] = {}
        for since_s in {
            period.starts_wall_s
            for limits in (self._limits.default, *self._limits.tenants.values())
            for _, period in budgets_of(limits, "", wall_s)
        }:
            try:
                spent[since_s] = await self._ledger.spent_nano_usd(since_s)
            except sqlite3.Error as error:
                _log.error("budgets start from nothing: the ledger cannot be read", why=str(error))
                return
        for tenant in {tenant for by_tenant in spent.values() for tenant in by_tenant}:
            for spending, period in budgets_of(self._limits.of(tenant), tenant, wall_s):
                if not self._counters.spent(spending.key):
                    amount = spent[period.starts_wall_s].get(tenant, 0)
                    self._counters.set_spent(spending, amount)


def limits_of(settings: Settings) -> Limits:
    """What the configuration lets tenants use."""
    tenants = {name: _tenant(config) for name, config in settings.config.limits.tenants.items()}
    return Limits(tenants.pop("default", TenantLimits()), tenants)


def _tenant(config: TenantLimitsConfig) -> TenantLimits:
    return TenantLimits(
        rpm=config.rpm,
        tpm=config.tpm,
        concurrency=config.concurrency,
        budget_usd_per_day=config.budget_usd_per_day,
        budget_usd_per_month=config.budget_usd_per_month,
        unknown_price=UnknownPrice(config.unknown_price),
        strict=config.strict,
        models={
            name: ModelLimits(model.rpm, model.tpm, model.concurrency)
            for name, model in config.models.items()
        },
    )


def _secret(settings: Settings) -> bytes:
    addresses = settings.addresses
    if addresses.integrity_key is not None:
        return addresses.integrity_key.reveal().encode()
    if addresses.cache is not None:
        # All who share a Redis have its address in common, be it the only thing.
        return blake2b(addresses.cache.reveal().encode(), person=b"turnout-address").digest()
    return os.urandom(32)


def _cache_link(url: Secret | None) -> RedisLink | None:
    if url is None:
        return None
    return RedisLink(url.reveal(), name="cache", consequence="every look-up is a miss")


def _counters(url: Secret | None, clock: Clock) -> MemoryCounters | ResilientCounters:
    # What dies here takes its numbers along, so no lease has to lapse.
    memory = MemoryCounters(Limiter(lease_s=math.inf), clock)
    if url is None:
        return memory
    link = RedisLink(
        url.reveal(),
        name="limits",
        consequence="each process grants its share of every limit",
        scripts=SCRIPTS,
        needs_room=True,
    )
    return ResilientCounters(link, RedisCounters(link, clock), memory)


def _ledger(settings: Settings, clock: Clock) -> Ledger | None:
    url = settings.addresses.usage
    if url is None:
        return None
    try:
        return open_ledger(url.reveal(), clock=clock)
    except LedgerUnavailable as error:
        if "url" in settings.config.usage.model_fields_set:
            raise
        _log.warning("no usage is kept; set usage.url to a place for it", why=str(error))
        return None
