"""Counters that outlive Redis: exact over all instances while it is there, else a fair share."""

import asyncio
from collections.abc import Mapping

from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.charge import Charge, Claim, Level, Rate, Refusal, Seat, Spending
from turnout_server.core.errors import GatewayError
from turnout_server.store.counters import NOTHING, Reservation
from turnout_server.store.memory_counters import MemoryCounters, MemoryReservation
from turnout_server.store.redis import RedisLink, RedisUnavailable
from turnout_server.store.redis_counters import RedisCounters

_RETRY_AFTER_S = 1.0


class ResilientCounters:
    """Counts in Redis, else in this process at the limits divided by the instances alive.

    Neither open nor closed: a limit holds roughly over all instances also while nobody can add up.
    A `strict` claim is refused instead. `start` it, `run` it in a task, `drain` it at the end.
    """

    def __init__(self, link: RedisLink, redis: RedisCounters, local: MemoryCounters) -> None:
        self._link = link
        self._redis = redis
        self._local = local
        # What was spent alone is booked with Redis by then, and counts there.
        link.subscribe(lambda up: local.forget_spent() if up else None)

    @property
    def degraded(self) -> bool:
        """Whether this process counts alone now."""
        return not self._link.up

    async def start(self) -> None:
        """Try once to reach Redis; without it the process counts alone."""
        await self._link.start()

    async def run(self) -> None:
        """Keep the link and the leases alive, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._link.run())
            group.create_task(self._redis.run())

    async def drain(self, wait_s: float) -> bool:
        """Wait until every settlement is with Redis; False when it could not be done in time."""
        return await self._redis.drain(wait_s)

    async def reserve(self, claim: Claim) -> Reservation | Refusal:
        """See `Counters.reserve`. Raises GatewayError for a strict claim that nobody can check."""
        if not claim:
            return _NOTHING_TAKEN
        try:
            return await self._redis.reserve(claim)
        except RedisUnavailable as error:
            if claim.strict:
                raise GatewayError(
                    ErrorReason.ERROR_REASON_OVERLOADED,
                    "this tenant's limits cannot be checked at the moment",
                    detail=str(error),
                    retry_after_s=_RETRY_AFTER_S,
                ) from None
        taken = await self._local.reserve(self._share(claim))
        if isinstance(taken, Refusal):
            return taken
        return _LocalReservation(taken, self._redis, claim.spendings)

    async def levels(self, claim: Claim) -> Mapping[str, Level]:
        """See `Counters.levels`; this process' share while it counts alone."""
        try:
            return await self._redis.levels(claim)
        except RedisUnavailable:
            return await self._local.levels(self._share(claim))

    def _share(self, claim: Claim) -> Claim:
        count = self._redis.instances
        return Claim(
            tuple(_charge_share(charge, count) for charge in claim.charges),
            tuple(Seat(seat.key, _part(seat.limit, count)) for seat in claim.seats),
            tuple(self._spending_share(spending, count) for spending in claim.spendings),
        )

    def _spending_share(self, spending: Spending, count: int) -> Spending:
        """A part of what was left when Redis was last heard."""
        known = self._redis.totals.get(spending.key, 0)
        limit = max(0, spending.limit - known) // count
        return Spending(spending.key, limit, spending.cost, spending.ends_wall_s)


class _LocalReservation:
    """A reservation of this process alone; what it spends is told to Redis when that is back."""

    __slots__ = ("_redis", "_spendings", "_taken")

    def __init__(
        self, taken: MemoryReservation, redis: RedisCounters, spendings: tuple[Spending, ...]
    ) -> None:
        self._taken = taken
        self._redis: RedisCounters | None = redis
        self._spendings = spendings

    def settle(self, actual: Mapping[str, int] = NOTHING) -> None:
        """See `Reservation.settle`."""
        redis, self._redis = self._redis, None
        if redis is None:
            return
        self._taken.settle(actual)
        for spending in self._spendings:
            redis.book(spending, actual.get(spending.key, spending.cost))


class _NothingTaken:
    """The reservation of a claim that asks for nothing."""

    def settle(self, actual: Mapping[str, int] = NOTHING) -> None:
        """See `Reservation.settle`."""


_NOTHING_TAKEN = _NothingTaken()


def _charge_share(charge: Charge, count: int) -> Charge:
    rate = charge.rate
    burst = _part(rate.burst_units, count)
    # A call that is larger than the share is let through alone, in debt, rather than never.
    cost = min(charge.cost, burst)
    return Charge(charge.key, Rate(_part(rate.limit, count), rate.period_s, burst), cost)


def _part(limit: int, count: int) -> int:
    return max(1, limit // count)
