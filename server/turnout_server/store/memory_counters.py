"""Counters of this process alone."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from turnout_server.core.charge import Charge, Claim, Level, Rate, Refusal, Seat, Spending
from turnout_server.core.clock import SYSTEM_CLOCK, Clock
from turnout_server.store.counters import NOTHING

_SWEEP_AT = 1024


class _Taken(Protocol):
    def settle(self, now: float, actual: Mapping[str, int] = NOTHING) -> None: ...


class LocalLimiter(Protocol):
    """Buckets and seats, as `policy.gcra.Limiter` keeps them."""

    def reserve(
        self, now: float, charges: Sequence[Charge], seats: Sequence[Seat] = ()
    ) -> _Taken | Refusal:
        """Take every charge and every seat, or nothing at all."""
        ...

    def level(self, key: str, rate: Rate, now: float) -> Level:
        """What is left of one bucket."""
        ...

    def seats_taken(self, key: str, now: float) -> int:
        """How many seats are held."""
        ...


class MemoryCounters:
    """Buckets and seats in a limiter, spendings beside it.

    Give it a limiter whose leases never lapse: what dies here takes the numbers with it.
    """

    def __init__(self, limiter: LocalLimiter, clock: Clock = SYSTEM_CLOCK) -> None:
        self._limiter = limiter
        self._clock = clock
        self._totals: dict[str, tuple[int, float]] = {}

    async def reserve(self, claim: Claim) -> "MemoryReservation | Refusal":
        """See `Counters.reserve`."""
        worst = self._refused(claim.spendings)
        now = self._clock.monotonic()
        taken = self._limiter.reserve(now, claim.charges, claim.seats)
        if isinstance(taken, Refusal):
            return taken if taken.outlasts(worst) else worst or taken
        if worst is not None:
            taken.settle(now, {charge.key: 0 for charge in claim.charges})
            return worst
        for spending in claim.spendings:
            self._add(spending, spending.cost)
        return MemoryReservation(self, taken, claim.spendings)

    async def levels(self, claim: Claim) -> Mapping[str, Level]:
        """See `Counters.levels`."""
        now, wall_s = self._clock.monotonic(), self._clock.wall()
        levels = {c.key: self._limiter.level(c.key, c.rate, now) for c in claim.charges}
        for seat in claim.seats:
            taken = self._limiter.seats_taken(seat.key, now)
            levels[seat.key] = Level(taken, seat.limit - taken, 0.0)
        for spending in claim.spendings:
            total = self.spent(spending.key)
            left_s = max(0.0, spending.ends_wall_s - wall_s)
            levels[spending.key] = Level(total, spending.limit - total, left_s)
        return levels

    def spent(self, key: str) -> int:
        """What has been spent under a key."""
        return self._totals.get(key, (0, 0.0))[0]

    def set_spent(self, spending: Spending, amount: int) -> None:
        """Start from what is known of a period: from the ledger, or from what Redis last said."""
        self._totals[spending.key] = (amount, spending.ends_wall_s)

    def forget_spent(self) -> None:
        """Start every period from nothing."""
        self._totals.clear()

    def _refused(self, spendings: Sequence[Spending]) -> Refusal | None:
        worst: Refusal | None = None
        for spending in spendings:
            if self.spent(spending.key) + spending.cost > spending.limit:
                never = spending.cost > spending.limit
                wait_s = max(0.0, spending.ends_wall_s - self._clock.wall())
                refusal = Refusal(spending.key, None if never else wait_s)
                worst = refusal if refusal.outlasts(worst) else worst
        return worst

    def _add(self, spending: Spending, amount: int) -> None:
        if len(self._totals) >= _SWEEP_AT and spending.key not in self._totals:
            wall_s = self._clock.wall()
            self._totals = {k: entry for k, entry in self._totals.items() if entry[1] > wall_s}
        total = max(0, self.spent(spending.key) + amount)
        self._totals[spending.key] = (total, spending.ends_wall_s)


class MemoryReservation:
    """See `Reservation`."""

    __slots__ = ("_counters", "_spendings", "_taken")

    def __init__(
        self, counters: MemoryCounters, taken: _Taken, spendings: Sequence[Spending]
    ) -> None:
        self._counters: MemoryCounters | None = counters
        self._taken = taken
        self._spendings = spendings

    def settle(self, actual: Mapping[str, int] = NOTHING) -> None:
        """See `Reservation.settle`."""
        counters, self._counters = self._counters, None
        if counters is None:
            return
        self._taken.settle(counters._clock.monotonic(), actual)
        for spending in self._spendings:
            counters._add(spending, actual.get(spending.key, spending.cost) - spending.cost)
