"""Several keys of one endpoint: use them in turn, leave out those that were refused.

401 and 403 say that a key is wrong, a spent quota that it is of no use: both take it out for five
minutes or until the stated reset. A 429 rests it until its cooldown ends. Keys are named by id;
secrets do not come here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto


class KeyTrouble(Enum):
    """Why a key is left out."""

    AUTH = auto()
    QUOTA = auto()
    RATE_LIMIT = auto()


@dataclass(frozen=True, slots=True)
class Outage:
    """No key is usable: the trouble of the one that returns first, and when (monotonic seconds)."""

    trouble: KeyTrouble
    until: float


class KeyRing:
    """The keys of one endpoint in their configured order."""

    __slots__ = ("_disabled_s", "_ids", "_next", "_outages")

    def __init__(self, ids: Iterable[str], disabled_s: float = 300.0) -> None:
        self._ids = tuple(ids)
        self._disabled_s = disabled_s
        self._next = 0
        self._outages: dict[str, Outage] = {}

    def pick(self, now: float) -> str | None:
        """The next usable key after the one picked last; None when there is none: see `outage`."""
        for step in range(len(self._ids)):
            place = (self._next + step) % len(self._ids)
            if self._is_usable(self._ids[place], now):
                self._next = place + 1
                return self._ids[place]
        return None

    def disable(
        self, key_id: str, now: float, trouble: KeyTrouble, until: float | None = None
    ) -> bool:
        """Takes a key out (401, 403, quota); True when no other is usable, so trying on is vain."""
        self._leave_out(key_id, Outage(trouble, now + self._disabled_s if until is None else until))
        return not self.usable(now)

    def rest(self, key_id: str, now: float, until: float) -> bool:
        """Rests a key after a 429 until its cooldown ends; True when no other is usable."""
        self._leave_out(key_id, Outage(KeyTrouble.RATE_LIMIT, until))
        return not self.usable(now)

    def restore(self, key_id: str) -> None:
        """Makes a key usable at once: it was replaced, or an operator says so."""
        self._outages.pop(key_id, None)

    def usable(self, now: float) -> tuple[str, ...]:
        """The keys that may be used at `now`, in configured order."""
        return tuple(key_id for key_id in self._ids if self._is_usable(key_id, now))

    def outage(self, now: float) -> Outage | None:
        """Why `pick` gives None, and until when; None while a key is usable, or without keys."""
        if not self._ids or self.usable(now):
            return None
        return min((self._outages[key_id] for key_id in self._ids), key=lambda o: o.until)

    def replace(self, ids: Iterable[str]) -> None:
        """Takes over a new list of keys; those that stay keep their state."""
        self._ids = tuple(ids)
        self._next = 0
        self._outages = {k: outage for k, outage in self._outages.items() if k in self._ids}

    def _is_usable(self, key_id: str, now: float) -> bool:
        outage = self._outages.get(key_id)
        return outage is None or now >= outage.until

    def _leave_out(self, key_id: str, outage: Outage) -> None:
        """The later deadline wins: a 429 that was under way does not revive a disabled key."""
        current = self._outages.get(key_id)
        if key_id in self._ids and (current is None or outage.until >= current.until):
            self._outages[key_id] = outage
