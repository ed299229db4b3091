"""Finds the model that embeds one call's texts, and has all of them embedded by it alone.

    for each model, in order:  what the cache holds  +  shards upstream, in parallel
                               one that fails for good takes the call to the next model

Vectors of different models cannot be compared, so a fallback to another model begins anew.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.routing_pb2 import CacheStatus, Route
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.errors import GatewayError, Violation
from turnout_server.core.target import Target
from turnout_server.core.watch import Watch
from turnout_server.dispatch.acquire import Tried
from turnout_server.dispatch.batcher import Answer
from turnout_server.dispatch.embed_cache import Ask, TextCache
from turnout_server.dispatch.embed_parallel import in_order
from turnout_server.dispatch.embed_shards import (
    MAX_SHARD_TOKENS,
    limits_at,
    split,
    tokens_at_most,
    tokens_of,
)
from turnout_server.dispatch.embed_targets import Family
from turnout_server.dispatch.embed_upstream import Engine, Upstream
from turnout_server.dispatch.snapshot import Snapshot
from turnout_server.policy.attempts import Limits
from turnout_server.policy.pricing import cost_nano_usd
from turnout_server.policy.routes import Alias

_TEXT_FIELD = re.compile(r"\$?\.?(?:input|inputs|texts)(?:[.\[](\d{1,6})\]?)?\Z")
LEAST_SHARE_S = 1.0
AskShard = Callable[[Sequence[str], Tried, Limits], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Embedded:
    """Packed float32 vectors by text, all of one model.

    `cached` are the texts whose vectors the cache held, `saved` what those had cost.
    """

    vectors: Mapping[str, bytes]
    cached: frozenset[str]
    saved: Usage
    route: Route


class Serving:
    """One call's texts and the models that may embed them. `families` is never empty.

    `places` says where each text of a unary call stands, for errors that name one. A stream has
    none: it makes shards of a good size by itself, and small ones share no upstream call.
    """

    def __init__(
        self,
        engine: Engine,
        snapshot: Snapshot,
        alias: Alias,
        families: Sequence[Family],
        ask: Ask,
        cache: TextCache,
        watch: Watch,
        *,
        places: Mapping[str, int] | None = None,
    ) -> None:
        self.families = list(families)
        self._alias = alias
        self._ask = ask
        self._cache = cache
        self._watch = watch
        self._clock = engine.clock
        self._batcher = engine.batcher
        self._may_batch = places is not None
        self._places = places or {}
        self._answered: Answer | None = None
        self._upstreams = {
            family.model: Upstream(engine, snapshot, alias, family, ask, watch)
            for family in families
        }

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Embed texts that are all different, all or none of them. Raises GatewayError."""
        tried = Tried()
        error: GatewayError | None = None
        for panic in (False, True):
            for i, family in enumerate(self.families):
                limits = self._limits(family, tried, len(self.families) - i - 1, panic=panic)
                try:
                    return await self._by(family, texts, tried, limits)
                except GatewayError as failed:
                    error = failed
                    if not self._may_fall_back(tried):
                        raise
            if tried.attempts:
                break
        assert error is not None
        raise error

    @property
    def targets(self) -> list[Target]:
        """Everyone who may be asked, first to last."""
        return [target for family in self.families for target in family.targets]

    def settle(self, model: str) -> None:
        """From now on ask this model only: the caller holds vectors of it."""
        self.families = [family for family in self.families if family.model == model]

    async def _by(
        self, family: Family, texts: Sequence[str], tried: Tried, limits: Limits
    ) -> Embedded:
        cached = await self._cache.find(family.targets[0], texts)
        missing = [text for text in texts if text not in cached]
        self._answered = None
        fresh = await self._fresh(family, missing, tried, limits)
        if len({len(packed) for packed in (*cached.values(), *fresh.values())}) > 1:
            # The model's own length has changed since those were stored.
            cached, fresh = {}, await self._fresh(family, texts, tried, limits)
        return Embedded(
            {**cached, **fresh},
            frozenset(cached),
            _saved(family, cached),
            self._route(family, tried),
        )

    async def _fresh(
        self, family: Family, texts: Sequence[str], tried: Tried, limits: Limits
    ) -> dict[str, bytes]:
        if not texts:
            return {}

        shards = list(split(texts, limits_at(family.targets)))
        upstream = self._upstreams[family.model]
        small = self._may_batch and len(shards) == 1 and self._batcher.suits(texts)

        async def embed(shard: Sequence[str]) -> list[bytes]:
            ask = upstream.embed_small if small else upstream.embed
            return await self._shard(ask, shard, tried, limits)

        vectors = await in_order(embed, shards)
        return dict(zip(texts, chain.from_iterable(vectors), strict=True))

    async def _shard(
        self, ask: AskShard, texts: Sequence[str], tried: Tried, limits: Limits
    ) -> list[bytes]:
        try:
            answer = await ask(texts, tried, limits)
        except GatewayError as error:
            if not _is_too_much(error, texts):
                error.violations = self._located(error.violations, texts)
                raise
        else:
            # Under the name of whoever made them, which a fallback within the model may have been.
            await self._cache.keep(answer.target, dict(zip(texts, answer.packed, strict=True)))
            self._answered = answer
            return answer.packed
        # The estimate was too kind: nobody is told to split a batch that we can split.
        half = len(texts) // 2
        return [
            *await self._shard(ask, texts[:half], tried, limits),
            *await self._shard(ask, texts[half:], tried, limits),
        ]

    def _limits(self, family: Family, tried: Tried, others_left: int, *, panic: bool) -> Limits:
        """The share of this model: of time, what leaves some to the others; of tries, the rest."""
        routing = self._ask.routing
        now = self._clock.monotonic()
        left_s = self._watch.call.remaining_s(now)
        if others_left:
            left_s = max(0.5 * left_s, left_s - others_left * LEAST_SHARE_S)
        retries = self._alias.max_attempts - 1
        most = routing.max_attempts - len(tried.failures) if routing.max_attempts else 0
        return Limits(
            deadline=now + left_s,
            retries=retries,
            attempts=most or len(family.targets) + retries,
            first_output_s=routing.first_output_timeout.ToNanoseconds() / 1e9 or None,
            panic=panic,
        )

    def _may_fall_back(self, tried: Tried) -> bool:
        if not tried.failures:
            return True
        most = self._ask.routing.max_attempts
        return tried.failures[-1].rule.fall_back and not 0 < most <= len(tried.failures)

    def _route(self, family: Family, tried: Tried) -> Route:
        """Who embedded: the last shard's target, or the model's first where all was stored."""
        answered = self._answered
        if answered is None:
            first = family.targets[0]
            hit = CacheStatus.CACHE_STATUS_HIT
            return Route(provider=first.provider, model=first.model, cache_status=hit)
        return Route(
            provider=answered.target.provider,
            model=answered.target.model,
            cache_status=self._cache.status,
            attempts=1 + len(tried.failures),
            provider_request_id=answered.provider_request_id,
        )

    def _located(
        self, violations: Sequence[Violation], texts: Sequence[str]
    ) -> tuple[Violation, ...]:
        """Violations in the caller's terms: a provider counts from the first text of its shard."""
        return tuple(
            replace(violation, field=self._field(named, texts))
            if (named := _TEXT_FIELD.fullmatch(violation.field))
            else violation
            for violation in violations
        )

    def _field(self, named: re.Match[str], texts: Sequence[str]) -> str:
        index = int(named[1]) if named[1] else 0 if len(texts) == 1 else len(texts)
        place = self._places.get(texts[index]) if index < len(texts) else None
        return "texts" if place is None else f"texts[{place}]"


def _is_too_much(error: GatewayError, texts: Sequence[str]) -> bool:
    """Whether the shard was refused for its size as a whole, so that its halves may pass."""
    if len(texts) == 1:
        return False
    if error.reason == ErrorReason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED:
        return sum(map(tokens_at_most, texts)) > MAX_SHARD_TOKENS // 4
    return error.reason == ErrorReason.ERROR_REASON_TOO_LARGE


def _saved(family: Family, cached: Mapping[str, bytes]) -> Usage:
    """What the stored vectors had cost, as far as their texts tell."""
    usage = Usage(input_tokens=sum(map(tokens_of, cached)), estimated=True)
    cost = cost_nano_usd(family.targets[0].card.price, usage)
    if cost is not None:
        usage.cost_nano_usd = cost
    return usage
