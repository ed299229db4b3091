"""Chats, from the admitted request to the last event: ranks the targets and starts the answer."""

import random
from collections.abc import AsyncGenerator
from contextlib import aclosing

from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse

from turnout_server.core.clock import Clock
from turnout_server.core.watch import Watch
from turnout_server.dispatch.answer import Answer
from turnout_server.dispatch.hedging import HedgeBook
from turnout_server.dispatch.request import limits_of
from turnout_server.dispatch.snapshot import Current, Snapshot
from turnout_server.policy.attempts import Limits, Plan, plan
from turnout_server.policy.conversation import preferred_target
from turnout_server.policy.health import Health
from turnout_server.policy.needs import needs_of_chat
from turnout_server.policy.targets import Ranking, rank


class Chat:
    """Answers chats by the providers of the current snapshot. One for the process."""

    def __init__(self, current: Current, health: Health, clock: Clock, rng: random.Random) -> None:
        self._current = current
        self._health = health
        self._clock = clock
        self._rng = rng
        self._hedges = HedgeBook(health, clock.monotonic)

    async def stream(
        self, request: ChatRequest, watch: Watch, *, unary: bool = False
    ) -> AsyncGenerator[ChatResponse, None]:
        """The events of one answer: failures and the route as they happen, output, `finish` last.

        With `unary` the provider is asked for the answer in one piece, and all of it is in
        `finish.message`. `route` always comes first of what is committed; showing it to the caller
        is up to the RPC. Closing the generator closes the upstream. Raises GatewayError.
        """
        snapshot = self._current()
        ranking = self._rank(request, snapshot, watch, unary=unary)
        answer = Answer(
            request,
            watch,
            snapshot,
            ranking,
            limits_of(request, ranking, watch.call.deadline, unary=unary),
            self._plan,
            self._hedges.rivals(ranking, asked=request.routing.hedge),
            self._clock,
        )
        async with aclosing(answer.events()) as events:
            async for event in events:
                yield event

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
