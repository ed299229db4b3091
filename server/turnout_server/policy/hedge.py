"""When a silent attempt gets a rival, and how often that may happen.

Hedged requests by Dean and Barroso, "The tail at scale": a second request only after the 95th
percentile of what is usual adds about 5 % of calls for most of the tail. The budget makes the 5 %
certain also when everything gets slower at once, and a target that is being throttled is never sent
more.
"""

from dataclasses import dataclass

from turnout_server.policy.latency import LatencyWindow
from turnout_server.policy.window import RollingCount


@dataclass(frozen=True, slots=True)
class HedgeSettings:
    """`budget` is a share of calls; below `min_delay_s` waiting is not told apart from our own
    scheduling.
    """

    quantile: float = 0.95
    min_samples: int = 20
    min_delay_s: float = 0.01
    budget: float = 0.05
    window_s: float = 60.0


class Hedging:
    """The hedges of one alias."""

    __slots__ = ("_calls", "_hedges", "_settings")

    def __init__(self, settings: HedgeSettings = HedgeSettings()) -> None:
        self._settings = settings
        self._calls = RollingCount(settings.window_s)
        self._hedges = RollingCount(settings.window_s)

    def record_call(self, now: float) -> None:
        """Counts a call that might be hedged."""
        self._calls.add(now)

    def delay_s(self, now: float, first_outputs: LatencyWindow) -> float | None:
        """How long to wait for the first output before a rival; None while too little is known."""
        settings = self._settings
        usual_s = first_outputs.quantile(now, settings.quantile, settings.min_samples)
        return None if usual_s is None else max(usual_s, settings.min_delay_s)

    def admit(self, now: float, *, throttling: float) -> bool:
        """Takes one hedge from the budget; `throttling` is the rival's refusal probability."""
        allowed = self._settings.budget * self._calls.total(now)
        if throttling > 0 or self._hedges.total(now) + 1 > allowed:
            return False
        self._hedges.add(now)
        return True
