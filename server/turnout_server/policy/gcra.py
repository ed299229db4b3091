"""The local rate limiter: exact, all dimensions of a call in one step, settled by real use.

The generic cell rate algorithm (ITU-T I.371, virtual scheduling): for each bucket one number, the
theoretical arrival time (TAT) at which it will have drained. A reservation moves it forward, what
was not used moves it back. It is kept in units x nanoseconds as an integer, so a bucket's level is
what was used less what has drained, to the unit and for ever.
"""

from collections.abc import Mapping, Sequence
from itertools import count

from turnout_server.core.charge import Charge, Level, Rate, Refusal, Seat

_NS = 1_000_000_000
_EMPTY: Mapping[str, int] = {}


class Reservation:
    """What one call took. Settle it exactly when the call ends; a second time does nothing."""

    __slots__ = ("_charges", "_limiter", "_seats")

    def __init__(
        self, limiter: "Limiter", charges: Sequence[Charge], seats: Sequence[tuple[str, int]]
    ) -> None:
        self._limiter: Limiter | None = limiter
        self._charges = charges
        self._seats = seats

    def settle(self, now: float, actual: Mapping[str, int] = _EMPTY) -> None:
        """Replaces the reserved cost of each key in `actual` by real use, and frees the seats.

        A key that is missing stays as reserved. Use above the reservation becomes debt.
        """
        limiter, self._limiter = self._limiter, None
        if limiter is None:
            return
        for charge in self._charges:
            limiter._adjust(charge, actual.get(charge.key, charge.cost) - charge.cost, now)
        for key, lease in self._seats:
            limiter._leave(key, lease)

    def renew(self, now: float) -> bool:
        """Keeps the seats for another lease; False when one has lapsed or all is settled."""
        limiter = self._limiter
        if limiter is None:
            return False
        kept = [limiter._renew(key, lease, now) for key, lease in self._seats]
        return all(kept)


class Limiter:
    """Buckets and seats by key, in memory. A seat that is not renewed for `lease_s` is freed.

    `busy_retry_s` is what a caller without a seat is told to wait, as nobody knows when one ends.
    """

    __slots__ = ("_busy_retry_s", "_lease_numbers", "_lease_s", "_leases", "_sweep_at", "_tats")

    def __init__(self, lease_s: float = 45.0, busy_retry_s: float = 1.0) -> None:
        self._lease_s = lease_s
        self._busy_retry_s = busy_retry_s
        self._tats: dict[tuple[str, Rate], int] = {}
        # Leases of one key are in order of their end, as all last equally long.
        self._leases: dict[str, dict[int, float]] = {}
        self._lease_numbers = count()
        self._sweep_at = 1024

    def reserve(
        self, now: float, charges: Sequence[Charge], seats: Sequence[Seat] = ()
    ) -> Reservation | Refusal:
        """Takes every charge and every seat, or nothing at all."""
        now_ns = round(now * _NS)
        worst: Refusal | None = None
        tats: dict[tuple[str, Rate], int] = {}
        for charge in charges:
            rate = charge.rate
            bucket = (charge.key, rate)
            start = max(tats.get(bucket, self._tats.get(bucket, 0)), now_ns * rate.limit)
            tats[bucket] = start + charge.cost * _period_ns(rate)
            refusal = _check(charge, tats[bucket], now_ns)
            worst = refusal if refusal is not None and refusal.outlasts(worst) else worst
        for seat in seats:
            if self.seats_taken(seat.key, now) >= seat.limit:
                refusal = Refusal(seat.key, self._busy_retry_s)
                worst = refusal if refusal.outlasts(worst) else worst
        if worst is not None:
            return worst
        self._tats.update(tats)
        self._sweep(now_ns)
        return Reservation(self, charges, [(s.key, self._sit(s.key, now)) for s in seats])

    def level(self, key: str, rate: Rate, now: float) -> Level:
        """What is left of one bucket at `now`; `remaining` is negative in debt."""
        now_ns = round(now * _NS)
        held = max(0, self._tats.get((key, rate), 0) - now_ns * rate.limit)
        used = -(-held // _period_ns(rate))
        return Level(used, rate.burst_units - used, held / rate.limit / _NS if held else 0.0)

    def seats_taken(self, key: str, now: float) -> int:
        """How many seats of `key` are held at `now`."""
        leases = self._leases.get(key, {})
        while leases:
            lease, until = next(iter(leases.items()))
            if until > now:
                return len(leases)
            self._leave(key, lease)
        return 0

    def _adjust(self, charge: Charge, difference: int, now: float) -> None:
        if not difference:
            return
        bucket = (charge.key, charge.rate)
        tat = self._tats.get(bucket, 0)
        if difference > 0:
            tat = max(tat, round(now * _NS) * charge.rate.limit)
        self._tats[bucket] = tat + difference * _period_ns(charge.rate)

    def _sit(self, key: str, now: float) -> int:
        lease = next(self._lease_numbers)
        self._leases.setdefault(key, {})[lease] = now + self._lease_s
        return lease

    def _leave(self, key: str, lease: int) -> None:
        leases = self._leases.get(key)
        if leases is not None:
            leases.pop(lease, None)
            if not leases:
                del self._leases[key]

    def _renew(self, key: str, lease: int, now: float) -> bool:
        leases = self._leases.get(key, {})
        if leases.pop(lease, now) <= now:
            return False
        leases[lease] = now + self._lease_s
        return True

    def _sweep(self, now_ns: int) -> None:
        """Forgets drained buckets, which equal absent ones, whenever their number has doubled."""
        if len(self._tats) < self._sweep_at:
            return
        self._tats = {b: tat for b, tat in self._tats.items() if tat > now_ns * b[1].limit}
        self._sweep_at = max(1024, 2 * len(self._tats))


def _period_ns(rate: Rate) -> int:
    return round(rate.period_s * _NS)


def _check(charge: Charge, tat: int, now_ns: int) -> Refusal | None:
    rate = charge.rate
    over = tat - now_ns * rate.limit - rate.burst_units * _period_ns(rate)
    if over <= 0:
        return None
    if charge.cost > rate.burst_units:
        return Refusal(charge.key, None)
    return Refusal(charge.key, -(-over // rate.limit) / _NS)
