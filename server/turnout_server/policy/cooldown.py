"""Who asked to be left alone, and until when.

A 429 is the provider's own statement, so it never counts as a failure of the target: the key rests
for as long as Retry-After says (at most 60 s), or without one for a random part of 1, 2, 4 .. 30 s
("full jitter", from the AWS Architecture Blog's "Exponential backoff and jitter"). Of two deadlines
the later wins: an answer that was under way must not shorten the rest.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class CooldownSettings:
    """`jitter` is the part added at most to a stated wait, so that callers do not return as one."""

    stated_cap_s: float = 60.0
    base_s: float = 1.0
    cap_s: float = 30.0
    jitter: float = 0.1


@dataclass(slots=True)
class _Rest:
    until: float
    strikes: int


class Cooldowns(Generic[K]):
    """Rests by key, such as (target, key id). `rand` gives floats in [0, 1).

    Holds one entry for each key that was refused and has not answered since.
    """

    __slots__ = ("_rand", "_rests", "_settings")

    def __init__(
        self, rand: Callable[[], float], settings: CooldownSettings = CooldownSettings()
    ) -> None:
        self._rand = rand
        self._settings = settings
        self._rests: dict[K, _Rest] = {}

    def rest(self, key: K, now: float, stated_s: float | None = None) -> float:
        """Lets `key` rest and returns until when; `stated_s` is what the provider asked for.

        Refusals of calls that were sent before the rest began do not lengthen the next guess.
        """
        entry = self._rests.setdefault(key, _Rest(until=now, strikes=0))
        if stated_s is not None:
            wait_s = min(stated_s, self._settings.stated_cap_s)
            wait_s *= 1 + self._settings.jitter * self._rand()
        else:
            if now >= entry.until:
                entry.strikes += 1
            wait_s = self._guess_s(entry.strikes)
        entry.until = max(entry.until, now + wait_s)
        return entry.until

    def until(self, key: K, now: float) -> float | None:
        """When the rest of `key` ends, or None when it does not rest."""
        entry = self._rests.get(key)
        return entry.until if entry is not None and now < entry.until else None

    def answered(self, key: K, now: float) -> None:
        """A call of `key` worked: the next guess starts small again. A rest under way goes on."""
        entry = self._rests.get(key)
        if entry is not None:
            entry.strikes = 0
            if now >= entry.until:
                del self._rests[key]

    def clear(self, key: K) -> None:
        """Ends the rest of `key` and forgets it."""
        self._rests.pop(key, None)

    def _guess_s(self, strikes: int) -> float:
        # The exponent is bounded because 2.0 ** 1100 raises.
        ceiling_s = self._settings.base_s * 2.0 ** min(max(strikes - 1, 0), 32)
        return self._rand() * min(ceiling_s, self._settings.cap_s)
