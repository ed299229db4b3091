"""Client-side throttling: a target that refuses much is asked less, before its circuit opens.

The SRE book's formula ("Handling overload"): of the last 120 s refuse a call with probability
max(0, (requests - 2 x accepts) / (requests + 1)). Requests count what we refused ourselves too, so
the probability holds still while the target does. A call is taken for accepted from the moment it
is sent, and taken back in the slice of its sending when it fails: else long streams under way would
look like refusals.
"""

from collections.abc import Callable
from dataclasses import dataclass

from turnout_server.policy.window import RollingCount


@dataclass(frozen=True, slots=True)
class ThrottleSettings:
    """Below `min_rate_per_s`, averaged over the window, nothing is refused."""

    window_s: float = 120.0
    slices: int = 24
    accept_weight: float = 2.0
    min_rate_per_s: float = 5.0
    cap: float = 0.8


class Throttle:
    """The throttle of one target. `rand` gives floats in [0, 1)."""

    __slots__ = ("_accepts", "_rand", "_requests", "_settings")

    def __init__(
        self, rand: Callable[[], float], settings: ThrottleSettings = ThrottleSettings()
    ) -> None:
        self._rand = rand
        self._settings = settings
        self._requests = RollingCount(settings.window_s, settings.slices)
        self._accepts = RollingCount(settings.window_s, settings.slices)

    def admit(self, now: float) -> bool:
        """Whether to send a call now; counts it either way."""
        probability = self.probability(now)
        self._requests.add(now)
        if probability > 0 and self._rand() < probability:
            return False
        self._accepts.add(now)
        return True

    def record_refusal(self, now: float, *, sent_at: float) -> None:
        """The target did not take the call that `admit` let through at `sent_at`."""
        self._accepts.correct(now, counted_at=sent_at, amount=-1)

    def probability(self, now: float) -> float:
        """Share of calls refused at `now`, between 0.0 and the cap."""
        settings = self._settings
        requests = self._requests.total(now)
        if requests < settings.min_rate_per_s * settings.window_s:
            return 0.0
        excess = requests - settings.accept_weight * self._accepts.total(now)
        return min(settings.cap, max(0.0, excess / (requests + 1)))
