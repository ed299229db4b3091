"""Limits around the work: what a tenant may use, and what a provider grants our key.

Both reserve the most that may be used before the work, and settle what was used after it, whether
it succeeded, failed or was cancelled.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.charge import Claim, Refusal
from turnout_server.core.clock import Clock
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.receipt import Receipt
from turnout_server.core.target import Target
from turnout_server.core.watch import Watch
from turnout_server.policy.budgets import worst_cost_nano_usd
from turnout_server.policy.health import Ticket
from turnout_server.policy.limits import (
    Asked,
    Limits,
    actual_of,
    claim_of,
    output_tokens_of,
    refused,
    upstream_claim,
)
from turnout_server.policy.needs import prompt_tokens
from turnout_server.store.counters import Counters, Reservation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Size:
    """The most that a call may use. `guessed` when its caller did not bound the output."""

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

    @asynccontextmanager
    async def hold(
        self, watch: Watch, size: Size, targets: Sequence[Target], *, requests: int = 1
    ) -> AsyncIterator[None]:
        """Reserve, and settle by `watch.usage` in the end; raises GatewayError when refused."""
        tenant = watch.call.identity.tenant
        claim = self._claim(tenant, watch.call.model, size, targets, requests)
        reservation = await self._reserve(claim) if claim else None
        try:
            yield
        finally:
            if reservation is not None:
                reservation.settle(actual_of(claim, watch.usage))

    def _claim(
        self, tenant: str, model: str, size: Size, targets: Sequence[Target], requests: int
    ) -> Claim:
        limits = self._limits().of(tenant)
        cost = None
        if limits.has_budget:
            most = Usage(input_tokens=size.input_tokens, output_tokens=size.output_tokens)
            cost = worst_cost_nano_usd(targets, most, limits.unknown_price)
        asked = Asked(model, size.tokens, size.guessed, cost, requests)
        return claim_of(limits, tenant, asked, self._clock.wall())

    async def _reserve(self, claim: Claim) -> Reservation:
        granted = await self._counters.reserve(claim)
        if isinstance(granted, Refusal):
            raise refused(granted, claim)
        return granted


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
