"""Calendar periods in UTC, and what a call may come to cost."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.errors import GatewayError
from turnout_server.core.target import Endpoint, ModelCard, Price, Target
from turnout_server.policy.budgets import (
    PeriodKind,
    UnknownPrice,
    period_at,
    worst_cost_nano_usd,
)

USAGE = Usage(input_tokens=1000, output_tokens=500)


def target(price: Price | None) -> Target:
    return Target(Endpoint("p", "p", "openai_chat", ""), ModelCard("m", frozenset(), price=price))


def wall(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("moment", "kind", "name", "start", "end"),
    [
        ("2026-12-31 23:59:59", PeriodKind.MONTH, "2026-12", "2026-12-01", "2027-01-01"),
        ("2027-01-01 00:00:00", PeriodKind.MONTH, "2027-01", "2027-01-01", "2027-02-01"),
        ("2028-02-29 12:00:00", PeriodKind.MONTH, "2028-02", "2028-02-01", "2028-03-01"),
        ("2028-02-29 12:00:00", PeriodKind.DAY, "2028-02-29", "2028-02-29", "2028-03-01"),
    ],
)
def test_a_period_is_a_calendar_day_or_month(
    moment: str, kind: PeriodKind, name: str, start: str, end: str
) -> None:
    period = period_at(kind, wall(moment))
    assert (period.name, period.starts_wall_s, period.ends_wall_s) == (name, wall(start), wall(end))


@given(st.floats(0, 4e9), st.sampled_from(PeriodKind))
def test_periods_follow_one_another_without_a_gap(wall_s: float, kind: PeriodKind) -> None:
    period = period_at(kind, wall_s)
    assert period.starts_wall_s <= wall_s < period.ends_wall_s
    following = period_at(kind, period.ends_wall_s)
    assert following.starts_wall_s == period.ends_wall_s
    assert following.name > period.name


def test_the_dearest_target_is_what_a_call_may_cost() -> None:
    cheap, dear = target(Price(1_000_000, 2_000_000)), target(Price(3_000_000, 15_000_000))
    cost = worst_cost_nano_usd([cheap, dear], USAGE, UnknownPrice.ERROR)
    assert cost == 1000 * 3000 + 500 * 15_000


def test_an_unknown_price_is_refused_or_left_out_and_never_nothing() -> None:
    known, unknown = target(Price(1_000_000, 1_000_000)), target(None)
    with pytest.raises(GatewayError, match="not known") as refusal:
        worst_cost_nano_usd([known, unknown], USAGE, UnknownPrice.ERROR)
    assert refusal.value.reason == ErrorReason.ERROR_REASON_FORBIDDEN
    assert worst_cost_nano_usd([known, unknown], USAGE, UnknownPrice.WARN) == 1_500_000
    assert worst_cost_nano_usd([unknown], USAGE, UnknownPrice.WARN) is None
