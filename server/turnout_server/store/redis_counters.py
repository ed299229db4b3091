"""Counters in Redis: exact over every process, each call's claim in one step of one script."""

import asyncio
import math
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import count
from typing import Any, Final

from redis.exceptions import RedisError

from turnout_server.core.charge import Charge, Claim, Level, Rate, Refusal, Spending
from turnout_server.core.clock import SYSTEM_CLOCK, Clock
from turnout_server.store.counters import NOTHING
from turnout_server.store.redis import Argument, RedisLink, RedisUnavailable, Script

_MARKER_S: Final = 7200.0
"""How long a reservation may be settled: beyond the longest call and a fair outage."""
_BUSY_S: Final = 1.0
"""What a caller without a seat is told to wait, as nobody knows when one ends."""
_EXACT: Final = 1 << 53
_MOST_OWED: Final = 10_000
_PREFIX: Final = "turnout:limit"


def _script(name: str) -> Script:
    folder = files("turnout_server.store") / "lua"
    parts = ("bucket", name)
    return Script("\n".join((folder / f"{part}.lua").read_text("utf-8") for part in parts))


RESERVE, SETTLE, RENEW = _script("reserve"), _script("settle"), _script("renew")
BOOK, LEVELS, ENROL = _script("book"), _script("levels"), _script("enrol")
SCRIPTS: Final = (RESERVE, SETTLE, RENEW, BOOK, LEVELS, ENROL)


@dataclass(frozen=True, slots=True)
class _Settlement:
    script: Script
    keys: Sequence[str]
    args: Sequence[Argument]


class RedisCounters:
    """Counters over a link that knows `SCRIPTS`. `run` it in a task beside the link.

    Times are those of Redis. What a killed process held comes back after `lease_s`; the living
    renew theirs three times as often.
    """

    def __init__(self, link: RedisLink, clock: Clock = SYSTEM_CLOCK, lease_s: float = 45.0) -> None:
        self._link = link
        self.lease_ms = _ms(lease_s)
        self._clock = clock
        self._instance = secrets.token_hex(6)
        self._numbers = count()
        self._live: dict[str, RedisReservation] = {}
        self._owed: deque[_Settlement] = deque(maxlen=_MOST_OWED)
        self._on_the_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        link.subscribe(lambda up: self._pay() if up else None)
        self.instances = 1
        self.totals: dict[str, int] = {}

    async def run(self) -> None:
        """Renew leases and count instances, until cancelled."""
        while True:
            if self._link.up:
                await self._renew()
            await asyncio.sleep(self.lease_ms / 3000)

    async def reserve(self, claim: Claim) -> "RedisReservation | Refusal":
        """See `Counters.reserve`. Raises RedisUnavailable."""
        reservation = RedisReservation(self, f"{self._instance}-{next(self._numbers)}", claim)
        reply = self._link.submit_script(
            RESERVE, reservation.keys, reservation.reserve_args(self.lease_ms)
        )
        try:
            # Shielded: a caller who leaves must not take the reply along, for what it granted has
            # to be given back.
            granted, *rest = await asyncio.shield(reply)
        except RedisUnavailable:
            reservation.undo()
            raise
        except RedisError as error:
            raise RedisUnavailable(str(error)[:120]) from None
        except asyncio.CancelledError:
            reservation.undo()
            raise
        if not granted:
            return Refusal(reservation.name_of(rest[0]), None if rest[1] < 0 else rest[1] / 1e6)
        for spending, total in zip(claim.spendings, rest, strict=True):
            self._note_total(spending, total)
        self._live[reservation.id] = reservation
        return reservation

    async def levels(self, claim: Claim) -> Mapping[str, Level]:
        """See `Counters.levels`. Raises RedisUnavailable."""
        charges, seats, spendings = claim.charges, claim.seats, claim.spendings
        args: list[Argument] = [len(charges), len(seats), len(spendings)]
        for charge in charges:
            args += _rate_args(charge.rate)
        args += [_ms(spending.ends_wall_s) for spending in spendings]
        try:
            values = iter(await self._link.submit_script(LEVELS, _keys(claim), args))
        except RedisError as error:
            raise RedisUnavailable(str(error)[:120]) from None
        levels = {}
        for charge in charges:
            used, reset_us = next(values), next(values)
            levels[charge.key] = Level(used, charge.rate.burst_units - used, reset_us / 1e6)
        for seat in seats:
            taken = next(values)
            levels[seat.key] = Level(taken, seat.limit - taken, 0.0)
        for spending in spendings:
            total = next(values)
            left_s = max(0.0, spending.ends_wall_s - self._clock.wall())
            levels[spending.key] = Level(total, spending.limit - total, left_s)
        return levels

    async def drain(self, wait_s: float) -> bool:
        """Wait until every settlement is with Redis; False when it could not be done in time."""
        self._pay()
        try:
            async with asyncio.timeout(wait_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return not self._owed

    def book(self, spending: Spending, amount: int) -> None:
        """Add to a period what was spent while Redis was away."""
        identity = f"{self._instance}-{next(self._numbers)}"
        keys = [f"{_PREFIX}:call:{identity}", *_spending_keys(spending)]
        args: list[Argument] = [_ms(_MARKER_S), amount, _ms(spending.ends_wall_s)]
        self._send(_Settlement(BOOK, keys, args))

    def _send(self, settlement: _Settlement) -> None:
        try:
            reply = self._link.submit_script(settlement.script, settlement.keys, settlement.args)
        except RedisUnavailable:
            self._owed.append(settlement)
            return
        self._on_the_way += 1
        self._idle.clear()
        reply.add_done_callback(lambda done: self._sent(settlement, done))

    def _sent(self, settlement: _Settlement, reply: "asyncio.Future[Any]") -> None:
        self._on_the_way -= 1
        if not self._on_the_way:
            self._idle.set()
        if not reply.cancelled() and isinstance(reply.exception(), RedisUnavailable):
            # Perhaps it was done and only the reply was lost: the marker makes a second time safe.
            self._owed.append(settlement)

    def _pay(self) -> None:
        """Send again what could not be sent."""
        for _ in range(len(self._owed)):
            if not self._link.up:
                return
            self._send(self._owed.popleft())

    def _note_total(self, spending: Spending, total: int) -> None:
        if len(self.totals) >= _MOST_OWED:
            self.totals.clear()
        self.totals[spending.key] = total

    async def _renew(self) -> None:
        replies = []
        try:
            for reservation in list(self._live.values()):
                members = reservation.leases()
                if members:
                    args: list[Argument] = [self.lease_ms, *members.values()]
                    replies.append(self._link.submit_script(RENEW, list(members), args))
            enrolment = self._link.submit_script(
                ENROL, [f"{_PREFIX}:instances"], [self.lease_ms, self._instance]
            )
            await asyncio.gather(*replies, return_exceptions=True)
            self.instances = max(1, await enrolment)
        except (RedisError, RedisUnavailable):
            return


class RedisReservation:
    """See `Reservation`."""

    __slots__ = ("_claim", "_counters", "id", "keys")

    def __init__(self, counters: RedisCounters, identity: str, claim: Claim) -> None:
        self._counters: RedisCounters | None = counters
        self._claim = claim
        self.id = identity
        self.keys = [f"{_PREFIX}:call:{identity}", *_keys(claim)]

    def settle(self, actual: Mapping[str, int] = NOTHING) -> None:
        """See `Reservation.settle`. It reaches Redis before any later claim of this process."""
        counters, self._counters = self._counters, None
        if counters is None:
            return
        counters._live.pop(self.id, None)
        claim = self._claim
        args: list[Argument] = [self.id, *_sizes(claim)]
        for charge in claim.charges:
            args += _rate_args(charge.rate)
            args.append(actual.get(charge.key, charge.cost) - charge.cost)
        for spending in claim.spendings:
            used = actual.get(spending.key, spending.cost)
            args += [spending.cost, used, _ms(spending.ends_wall_s)]
        counters._send(_Settlement(SETTLE, self.keys, args))

    def undo(self) -> None:
        """Give everything back, if it was granted at all."""
        keys = [charge.key for charge in self._claim.charges]
        keys += [spending.key for spending in self._claim.spendings]
        self.settle(dict.fromkeys(keys, 0))

    def reserve_args(self, lease_ms: int) -> list[Argument]:
        """What the script `reserve` takes."""
        claim = self._claim
        times: list[Argument] = [_ms(_MARKER_S), lease_ms, round(_BUSY_S * 1e6)]
        args = [self.id, *times, *_sizes(claim)]
        for charge in claim.charges:
            args += [*_rate_args(charge.rate), charge.cost]
        args += [seat.limit for seat in claim.seats]
        for spending in claim.spendings:
            args += [spending.limit, spending.cost, _ms(spending.ends_wall_s)]
        return args

    def name_of(self, index: int) -> str:
        """The key of the claim that stands at an index of the script's keys, counted from 1."""
        claim = self._claim
        names = [charge.key for charge in claim.charges]
        names += [seat.key for seat in claim.seats]
        names += [spending.key for spending in claim.spendings for _ in range(2)]
        return names[index - 2]

    def leases(self) -> dict[str, str]:
        """What has to be renewed: each key and our member in it."""
        leases = {_seat_key(seat.key): self.id for seat in self._claim.seats}
        for spending in self._claim.spendings:
            leases[_spending_keys(spending)[1]] = f"{spending.cost}:{self.id}"
        return leases


def ticks_per_s(rate: Rate) -> int:
    """The finest clock, at most a microsecond's, in which two windows of a rate stay exact."""
    ticks = 1_000_000
    while ticks > 1 and 4 * max(rate.limit, rate.burst_units) * rate.period_s * ticks > _EXACT:
        ticks //= 10
    return ticks


def _rate_args(rate: Rate) -> list[Argument]:
    ticks = ticks_per_s(rate)
    return [rate.limit, rate.burst_units, max(1, round(rate.period_s * ticks)), ticks]


def _keys(claim: Claim) -> list[str]:
    keys = [_charge_key(charge) for charge in claim.charges]
    keys += [_seat_key(seat.key) for seat in claim.seats]
    for spending in claim.spendings:
        keys += _spending_keys(spending)
    return keys


def _charge_key(charge: Charge) -> str:
    rate = charge.rate
    return f"{_PREFIX}:rate:{charge.key}:{rate.limit}/{rate.period_s:g}/{rate.burst_units}"


def _seat_key(key: str) -> str:
    return f"{_PREFIX}:seat:{key}"


def _spending_keys(spending: Spending) -> tuple[str, str]:
    return f"{_PREFIX}:spent:{spending.key}", f"{_PREFIX}:held:{spending.key}"


def _sizes(claim: Claim) -> tuple[int, int, int]:
    return len(claim.charges), len(claim.seats), len(claim.spendings)


def _ms(seconds: float) -> int:
    return math.ceil(seconds * 1000)
