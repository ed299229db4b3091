"""Limits around the work: what a tenant may use, and what a provider grants our key.

Both reserve the most that may be used before the work, and settle what was used after it, whether
it succeeded, failed or was cancelled.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import structlog
from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse
from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.usage_pb2 import Usage
from turnout.v1.usage_service_pb2 import Limit

from turnout_server.core.charge import Claim, Refusal
from turnout_server.core.clock import Clock
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.receipt import Receipt
from turnout_server.core.target import Target
from turnout_server.core.watch import Watch
from turnout_server.policy.budgets import worst_cost_nano_usd
from turnout_server.policy.limits import (
    Asked,
    Limits,
    actual_of,
    claim_of,
    claim_of_all,
    output_tokens_of,
    refused,
    rows_of,
    split,
    upstream_claim,
)
from turnout_server.policy.needs import prompt_tokens
from turnout_server.policy.ticket import Ticket
from turnout_server.store.counters import Counters, Reservation

T = TypeVar("T")
LEAST_WAIT_S = 0.01
_MOST_WARNED = 1000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Size:
    """The most that a call may use. `guessed` when its caller did not bound it."""

    input_tokens: int
    output_tokens: int = 0
    guessed: bool = False

    @property
    def tokens(self) -> int:
        """Both together."""
        return self.input_tokens + self.output_tokens


def size_of(request: ChatRequest, target: Target) -> Size:
    """The most that a chat may use at a target."""
    bounded = request.HasField("max_output_tokens")
    most = request.max_output_tokens if bounded else None
    return Size(prompt_tokens(request), output_tokens_of(most, target.card), guessed=not bounded)


class Quota:
    """Tenants' limits. `limits` gives those of the configuration in use."""

    def __init__(self, counters: Counters, limits: Callable[[], Limits], clock: Clock) -> None:
        self._counters = counters
        self._limits = limits
        self._clock = clock
        self._warned: set[tuple[str, str]] = set()

    @asynccontextmanager
    async def hold(
        self, watch: Watch, size: Size, targets: Sequence[Target]
    ) -> AsyncIterator[None]:
        """Reserve, and settle by `watch.usage` in the end; raises GatewayError when refused."""
        claim = self._claim(watch, size, targets)
        reservation = await self._reserve(claim)
        try:
            yield
        finally:
            if reservation is not None:
                reservation.settle(actual_of(claim, watch.usage))

    @asynccontextmanager
    async def hold_in_parts(
        self, watch: Watch, targets: Sequence[Target]
    ) -> AsyncIterator["Parts"]:
        """Hold one call's seat and request; what it uses is held part by part.

        Raises GatewayError when refused.
        """
        once, _ = split(self._claim(watch, Size(0), targets))
        reservation = await self._reserve(once)
        try:
            yield Parts(self, watch, targets)
        finally:
            if reservation is not None:
                reservation.settle()

    async def left(self, tenant: str) -> list[Limit]:
        """Every limit of a tenant, and what is left of it."""
        wall_s = self._clock.wall()
        claim = claim_of_all(self._limits().of(tenant), tenant, wall_s)
        return rows_of(claim, await self._counters.levels(claim), wall_s) if claim else []

    def _claim(self, watch: Watch, size: Size, targets: Sequence[Target]) -> Claim:
        tenant, model = watch.call.identity.tenant, watch.call.model
        limits = self._limits().of(tenant)
        cost = None
        if limits.has_budget:
            most = Usage(input_tokens=size.input_tokens, output_tokens=size.output_tokens)
            cost = worst_cost_nano_usd(targets, most, limits.unknown_price)
            if cost is None:
                self._warn(tenant, model)
        asked = Asked(model, size.tokens, size.guessed, cost)
        return claim_of(limits, tenant, asked, self._clock.wall())

    async def _reserve(self, claim: Claim) -> Reservation | None:
        if not claim:
            return None
        granted = await self._counters.reserve(claim)
        if isinstance(granted, Refusal):
            raise refused(granted, claim)
        return granted

    def _warn(self, tenant: str, model: str) -> None:
        """Once for each, and never so many that callers could fill the memory with names."""
        if (tenant, model) in self._warned or len(self._warned) >= _MOST_WARNED:
            return
        self._warned.add((tenant, model))
        _log.warning("a budget does not see this model: its price is not known", model=model)


class Parts:
    """What one long call uses, reserved and settled in parts that may overlap.

    A part that ends settles everything its call has used and no part before it has settled. So
    each token is settled once, whichever part of those under way it came from.
    """

    def __init__(self, quota: Quota, watch: Watch, targets: Sequence[Target]) -> None:
        self._quota = quota
        self._watch = watch
        self._targets = targets
        self._settled = Usage()

    @asynccontextmanager
    async def hold(self, size: Size) -> AsyncIterator[None]:
        """Reserve one part, waiting for its turn where that helps before the call's deadline.

        Raises GatewayError when it does not.
        """
        _, claim = split(self._quota._claim(self._watch, size, self._targets))
        reservation = await self._reserve(claim)
        try:
            yield
        finally:
            if reservation is not None:
                reservation.settle(actual_of(claim, self._unsettled()))

    async def _reserve(self, claim: Claim) -> Reservation | None:
        if not claim:
            return None
        quota = self._quota
        while True:
            granted = await quota._counters.reserve(claim)
            if not isinstance(granted, Refusal):
                return granted
            error = refused(granted, claim)
            left_s = self._watch.call.remaining_s(quota._clock.monotonic())
            wait_s = error.retry_after_s
            rated = error.reason == ErrorReason.ERROR_REASON_RATE_LIMITED
            if not rated or wait_s is None or wait_s > left_s:
                raise error
            await asyncio.sleep(max(wait_s, LEAST_WAIT_S))

    def _unsettled(self) -> Usage:
        total, settled = self._watch.usage, self._settled
        part = Usage(
            input_tokens=total.input_tokens - settled.input_tokens,
            output_tokens=total.output_tokens - settled.output_tokens,
        )
        if total.HasField("cost_nano_usd"):
            part.cost_nano_usd = total.cost_nano_usd - settled.cost_nano_usd
        self._settled = Usage()
        self._settled.CopyFrom(total)
        return part


class Pacing:
    """What providers grant our keys, over all processes that share the counters."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def paced(
        self, events: AsyncGenerator[T | Receipt, None], ticket: Ticket, tokens: int
    ) -> AsyncGenerator[T | Receipt, None]:
        """The same events, begun only within the key's limits; the events as they are without."""
        claim = upstream_claim(ticket.target.endpoint, ticket.key, tokens)
        return self._within(claim, events) if claim else events

    async def _within(
        self, claim: Claim, events: AsyncGenerator[T | Receipt, None]
    ) -> AsyncGenerator[T | Receipt, None]:
        async with aclosing(events):
            granted = await self._counters.reserve(claim)
            if isinstance(granted, Refusal):
                raise ProviderFailure(
                    FailureKind.RATE_LIMITED,
                    "the limits configured for this provider's key are reached",
                    retry_after_s=granted.retry_after_s,
                )
            counted: Usage | None = None
            try:
                async for event in events:
                    counted = _usage_in(event) or counted
                    yield event
            finally:
                granted.settle({} if counted is None else actual_of(claim, counted))


def _usage_in(event: object) -> Usage | None:
    if isinstance(event, Receipt):
        return event.usage
    if isinstance(event, ChatResponse) and event.HasField("finish"):
        return event.finish.usage
    return None
