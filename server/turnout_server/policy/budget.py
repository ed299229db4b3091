"""How many retries a target may cost us: few, so that our retries never finish off what is ill.

Two conditions, both needed. A token bucket after gRPC's retry throttling (gRFC A6): 100 tokens, a
retry costs 10 (5 after a 429), a success brings 1, and only above half full may one retry. And a
ratio after the SRE book's retry budgets: below 10 % of the calls of the last 10 s, with a small
reserve so that a quiet target may be retried at all.
"""

from dataclasses import dataclass
from enum import Enum, auto

from turnout_server.policy.window import RollingCount


class RetryCause(Enum):
    """Why one wants to retry."""

    FAILURE = auto()
    TIMEOUT = auto()
    RATE_LIMIT = auto()


@dataclass(frozen=True, slots=True)
class RetryBudgetSettings:
    """Costs in tokens. `reserve` retries per window are never held against the ratio."""

    capacity: int = 100
    failure_cost: int = 10
    timeout_cost: int = 10
    rate_limit_cost: int = 5
    success_gain: int = 1
    ratio: float = 0.1
    window_s: float = 10.0
    reserve: int = 3


class RetryBudget:
    """The budget of one target."""

    __slots__ = ("_calls", "_costs", "_level", "_retries", "_settings")

    def __init__(self, settings: RetryBudgetSettings = RetryBudgetSettings()) -> None:
        self._settings = settings
        self._level = settings.capacity
        self._calls = RollingCount(settings.window_s)
        self._retries = RollingCount(settings.window_s)
        self._costs = {
            RetryCause.FAILURE: settings.failure_cost,
            RetryCause.TIMEOUT: settings.timeout_cost,
            RetryCause.RATE_LIMIT: settings.rate_limit_cost,
        }

    @property
    def level(self) -> int:
        """Tokens left in the bucket."""
        return self._level

    def record_call(self, now: float) -> None:
        """Counts a first try at this target; retries are counted by `admit`."""
        self._calls.add(now)

    def record_success(self) -> None:
        """Puts the gain of a success into the bucket."""
        self._level = min(self._settings.capacity, self._level + self._settings.success_gain)

    def admit(self, now: float, cause: RetryCause) -> bool:
        """Takes the price of one retry and returns True, or takes nothing and returns False."""
        settings = self._settings
        allowed = max(settings.reserve, settings.ratio * self._calls.total(now))
        if self._level * 2 <= settings.capacity or self._retries.total(now) + 1 > allowed:
            return False
        self._level -= self._costs[cause]
        self._retries.add(now)
        return True
