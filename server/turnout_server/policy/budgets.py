"""Money over calendar periods in UTC: when one ends, and what a call may come to cost."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.errors import GatewayError
from turnout_server.core.target import Target
from turnout_server.policy.pricing import cost_nano_usd

NANO = 1_000_000_000


class PeriodKind(StrEnum):
    """How long a budget lasts; it starts anew at 00:00 UTC."""

    DAY = "day"
    MONTH = "month"


class UnknownPrice(StrEnum):
    """What a budget makes of a model whose price nobody knows; it is never taken for free."""

    ERROR = "error"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Period:
    """One day or month; `name` tells it from every other."""

    name: str
    starts_wall_s: float
    ends_wall_s: float

    @property
    def length_s(self) -> float:
        """From its start to its end."""
        return self.ends_wall_s - self.starts_wall_s


def period_at(kind: PeriodKind, wall_s: float) -> Period:
    """The period that a moment falls in."""
    day = datetime.fromtimestamp(wall_s, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if kind is PeriodKind.DAY:
        return _period(f"{day:%Y-%m-%d}", day, day + timedelta(days=1))
    first = day.replace(day=1)
    return _period(f"{first:%Y-%m}", first, (first + timedelta(days=31)).replace(day=1))


def _period(name: str, start: datetime, end: datetime) -> Period:
    return Period(name, start.timestamp(), end.timestamp())


def worst_cost_nano_usd(
    targets: Iterable[Target], usage: Usage, unknown: UnknownPrice
) -> int | None:
    """What `usage` costs at the dearest target; None when no price is known.

    Raises GatewayError FORBIDDEN for a target without a price, where the policy says so.
    """
    costs = []
    for target in targets:
        cost = cost_nano_usd(target.card.price, usage)
        if cost is not None:
            costs.append(cost)
        elif unknown is UnknownPrice.ERROR:
            raise GatewayError(
                ErrorReason.ERROR_REASON_FORBIDDEN,
                f"the price of {target} is not known, and a budget must not be spent blindly",
                resource=str(target),
            )
    return max(costs, default=None)
