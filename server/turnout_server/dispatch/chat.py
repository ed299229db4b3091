"""Chats, from the admitted request to the last event.

rank the targets -> cache -> an equal call under way -> like questions -> an answer of its own
"""

import random
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext

from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse, Finish
from turnout.v1.routing_pb2 import CacheStatus
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.clock import Clock
from turnout_server.core.watch import Watch
from turnout_server.dispatch.answer import Answer
from turnout_server.dispatch.caching import CacheUse, ChatCaching, Kept, replayed
from turnout_server.dispatch.flight import Flights, Member
from turnout_server.dispatch.hedging import HedgeBook
from turnout_server.dispatch.idempotent import Once
from turnout_server.dispatch.quota import Pacing, Quota, size_of
from turnout_server.dispatch.request import limits_of, shown_events
from turnout_server.dispatch.snapshot import Current, Snapshot
from turnout_server.policy.attempts import Limits, Plan, plan
from turnout_server.policy.conversation import preferred_target
from turnout_server.policy.health import Health
from turnout_server.policy.needs import needs_of_chat
from turnout_server.policy.targets import Ranking, rank

SHARED_DEADLINE_S = 600.0
"""How long an answer may take that several callers share: each has its own, shorter deadline."""


class Chat:
    """Answers chats by the providers of the current snapshot. One for the process."""

    def __init__(
        self,
        current: Current,
        health: Health,
        clock: Clock,
        rng: random.Random,
        *,
        caching: ChatCaching | None = None,
        quota: Quota | None = None,
        pacing: Pacing | None = None,
        once: Once | None = None,
    ) -> None:
        self._current = current
        self._health = health
        self._clock = clock
        self._rng = rng
        self._caching = caching
        self._quota = quota
        self._pacing = pacing
        self._once = once
        self._flights = Flights()
        self._hedges = HedgeBook(health, clock.monotonic)

    @property
    def flights(self) -> int:
        """Answers under way that callers may join."""
        return len(self._flights)

    async def stream(
        self, request: ChatRequest, watch: Watch, *, unary: bool = False
    ) -> AsyncGenerator[ChatResponse, None]:
        """The events of one answer: failures and the route as they happen, output, `finish` last.

        With `unary` the provider is asked for the answer in one piece, and all of it is in
        `finish.message`. `route` always comes first of what is committed; showing it to the caller
        is up to the RPC. Closing the generator closes the upstream. Raises GatewayError.
        """
        wants_message = unary or request.stream.final_message
        source = self._held(request, watch, unary=unary)
        if self._once is not None and watch.call.idempotency_key:
            source = self._once.chat(request, watch, source)
        async with aclosing(source) as events:
            async for event in events:
                if event.HasField("finish") and not wants_message:
                    event.finish.ClearField("message")
                yield event

    async def _held(
        self, request: ChatRequest, watch: Watch, *, unary: bool
    ) -> AsyncGenerator[ChatResponse, None]:
        """The events within the tenant's limits; `finish` has its message."""
        snapshot = self._current()
        ranking = self._rank(request, snapshot, watch, unary=unary)
        use = CacheUse(self._caching, request, watch.call.identity.tenant, ranking)
        events = self._events(request, watch, snapshot, ranking, use, unary=unary)
        async with self._hold(request, watch, ranking), aclosing(events):
            async for event in events:
                yield event

    def _hold(
        self, request: ChatRequest, watch: Watch, ranking: Ranking
    ) -> AbstractAsyncContextManager[None]:
        if self._quota is None:
            return nullcontext()
        size = size_of(request, ranking.targets[0])
        return self._quota.hold(watch, size, ranking.targets)

    async def _events(
        self,
        request: ChatRequest,
        watch: Watch,
        snapshot: Snapshot,
        ranking: Ranking,
        use: CacheUse,
        *,
        unary: bool,
    ) -> AsyncGenerator[ChatResponse, None]:
        def answer(watch: Watch) -> AsyncGenerator[ChatResponse, None]:
            return self._answer(request, watch, snapshot, ranking, unary=unary)

        async def kept_answer(watch: Watch) -> AsyncGenerator[ChatResponse, None]:
            if (like := await use.find_like(watch)) is not None:
                for event in _priced(like, shown_events(request)):
                    yield event
                return
            watch.cache_status = CacheStatus.CACHE_STATUS_MISS
            finish = Finish()
            async with aclosing(answer(watch)) as events:
                async for event in events:
                    if event.HasField("finish"):
                        # Whoever is given the event may take its message out.
                        finish.CopyFrom(event.finish)
                    yield event
            await use.keep(finish, watch)

        if use.is_off:
            source = answer(watch)
        elif (kept := await use.find()) is not None:
            source = replayed(kept, shown_events(request), watch)
        elif use.reads:
            deadline = self._clock.monotonic() + SHARED_DEADLINE_S
            key = use.flight_key(unary=unary)
            source = shared(self._flights.join(key, kept_answer, watch, deadline))
        else:
            source = kept_answer(watch)
        async with aclosing(source) as events:
            async for event in events:
                yield event

    def _answer(
        self,
        request: ChatRequest,
        watch: Watch,
        snapshot: Snapshot,
        ranking: Ranking,
        *,
        unary: bool,
    ) -> AsyncGenerator[ChatResponse, None]:
        return Answer(
            request,
            watch,
            snapshot,
            ranking,
            limits_of(request, ranking, watch.call.deadline, unary=unary),
            self._plan,
            self._hedges.rivals(ranking, asked=request.routing.hedge),
            self._clock,
            self._pacing,
        ).events()

    def _rank(
        self, request: ChatRequest, snapshot: Snapshot, watch: Watch, *, unary: bool
    ) -> Ranking:
        now = self._clock.monotonic()
        alias = snapshot.routes.aliases.get(request.model)
        tenant = watch.call.identity.tenant
        return rank(
            request.model,
            request.routing,
            needs_of_chat(request, streamed=not unary),
            snapshot.routes,
            slowness=lambda target: self._health.slowness(target, now),
            preferred=preferred_target(request, tenant, alias) if alias else None,
            rng=self._rng,
        )

    def _plan(self, ranking: Ranking, limits: Limits) -> Plan:
        return plan(ranking.targets, limits, self._health, self._clock.monotonic, self._rng)


async def shared(
    events: AsyncGenerator[tuple[ChatResponse, Member], None],
) -> AsyncGenerator[ChatResponse, None]:
    """A shared answer as one of its callers sees it: who joined pays nothing, and nobody a hit."""
    async with aclosing(events):
        async for event, member in events:
            kind = event.WhichOneof("event")
            if kind not in ("route", "finish"):
                yield event
                continue
            own = ChatResponse()
            own.CopyFrom(event)
            route = own.route if kind == "route" else own.finish.route
            status = CacheStatus.CACHE_STATUS_HIT
            if route.cache_status != status and not member.leader:
                status = CacheStatus.CACHE_STATUS_COALESCED
            elif route.cache_status != status:
                status = CacheStatus.CACHE_STATUS_MISS
            route.CopyFrom(member.watch.served(route, status))
            if kind == "finish" and status != CacheStatus.CACHE_STATUS_MISS:
                member.watch.cache_hit(own.finish.usage)
                own.finish.usage.CopyFrom(Usage(cost_nano_usd=0))
            yield own


def _priced(kept: Kept, shown: frozenset[str]) -> Iterator[ChatResponse]:
    """A kept answer as those who share it take it: with what it cost the first time."""
    events = list(kept.replay())
    finish = events[-1].finish
    finish.usage.CopyFrom(kept.saved)
    yield ChatResponse(route=finish.route)
    yield from (event for event in events if event.WhichOneof("event") in shown)
