"""How many calls a target may have under way: found out by additive increase, multiplicative
decrease (AIMD), as TCP does.

Grown by one after a full window, which is as many successes as the limit, in which the limit was
reached; cut to nine tenths when the target says that it is too much (429, 529) or does not answer
in time. Latency is no signal here: an answer's duration depends on its length.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConcurrencySettings:
    """Bounds of the limit; `most` is the operator's and wins over the other two."""

    start: int = 20
    least: int = 4
    most: int = 1000
    cut: float = 0.9


class Slot:
    """One call's place among those under way. The first way of giving it back counts."""

    __slots__ = ("_epoch", "_limit")

    def __init__(self, limit: "ConcurrencyLimit", epoch: int) -> None:
        self._limit: ConcurrencyLimit | None = limit
        self._epoch = epoch

    def succeed(self) -> None:
        """The call worked."""
        limit, self._limit = self._limit, None
        if limit is not None:
            limit._succeed()

    def overload(self) -> None:
        """The target could not take it: 429, 529 or no answer in time."""
        limit, self._limit = self._limit, None
        if limit is not None:
            limit._overload(self._epoch)

    def release(self) -> None:
        """The call tells nothing about the target's load."""
        limit, self._limit = self._limit, None
        if limit is not None:
            limit._release()


class ConcurrencyLimit:
    """The limit of one target."""

    __slots__ = ("_epoch", "_in_flight", "_least", "_limit", "_reached", "_settings", "_successes")

    def __init__(self, settings: ConcurrencySettings = ConcurrencySettings()) -> None:
        self._settings = settings
        self._least = min(settings.least, settings.most)
        self._limit = float(max(self._least, min(settings.start, settings.most)))
        self._in_flight = 0
        self._epoch = 0
        self._successes = 0
        self._reached = False

    @property
    def limit(self) -> int:
        """How many calls may be under way now."""
        return int(self._limit)

    @property
    def in_flight(self) -> int:
        """How many calls are under way; above `limit` for a while after a cut."""
        return self._in_flight

    def admit(self) -> Slot | None:
        """A place for one call, or None when the limit is reached. The slot must be given back."""
        limit = int(self._limit)
        if self._in_flight >= limit:
            self._reached = True
            return None
        self._in_flight += 1
        if self._in_flight == limit:
            self._reached = True
        return Slot(self, self._epoch)

    def _succeed(self) -> None:
        self._in_flight -= 1
        self._successes += 1
        if self._successes < int(self._limit):
            return
        if self._reached:
            self._limit = min(self._limit + 1, float(self._settings.most))
        self._begin_window()

    def _overload(self, epoch: int) -> None:
        self._in_flight -= 1
        # Calls sent before the last cut met the same overload: one burst of 429 cuts once.
        if epoch == self._epoch:
            self._epoch += 1
            self._limit = max(self._limit * self._settings.cut, float(self._least))
            self._begin_window()

    def _release(self) -> None:
        self._in_flight -= 1

    def _begin_window(self) -> None:
        self._successes = 0
        # A limit that is reached at this very moment counts for the new window.
        self._reached = self._in_flight >= int(self._limit)
