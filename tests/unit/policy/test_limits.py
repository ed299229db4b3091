"""From a tenant's limits to a claim, and from a refusal to what the caller is told."""

import math
from typing import Any

import pytest
from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.charge import Charge, Level, Rate, Refusal, Seat
from turnout_server.core.target import Endpoint, Key, ModelCard, Secret, UpstreamLimits
from turnout_server.policy.gcra import Limiter
from turnout_server.policy.limits import (
    Asked,
    Limits,
    ModelLimits,
    TenantLimits,
    actual_of,
    budgets_of,
    claim_of,
    claim_of_all,
    output_tokens_of,
    refused,
    rows_of,
    split,
    upstream_claim,
)

WALL_S = 1_795_348_800.0  # 2026-11-22 12:00 UTC
ALL = TenantLimits(
    rpm=600,
    tpm=400_000,
    concurrency=100,
    budget_usd_per_day=20,
    budget_usd_per_month=500,
    models={"smart": ModelLimits(rpm=10, tpm=1000, concurrency=2)},
)


def claim(asked: Asked, limits: TenantLimits = ALL, tenant: str = "acme") -> Any:
    return claim_of(limits, tenant, asked, WALL_S)


def test_a_tenant_without_limits_claims_nothing() -> None:
    assert not claim(Asked("m", 100), TenantLimits())


def test_every_limit_of_tenant_and_model_is_one_part_of_the_claim() -> None:
    taken = claim(Asked("smart", 500, cost_nano_usd=7))
    assert taken.charges == (
        Charge("tenant/acme:rpm", Rate(600, 60.0), 1),
        Charge("tenant/acme:tpm", Rate(400_000, 60.0), 500),
        Charge("tenant/acme/model/smart:rpm", Rate(10, 60.0), 1),
        Charge("tenant/acme/model/smart:tpm", Rate(1000, 60.0), 500),
    )
    assert taken.seats == (
        Seat("tenant/acme:concurrency", 100),
        Seat("tenant/acme/model/smart:concurrency", 2),
    )
    assert [(s.key, s.limit, s.cost) for s in taken.spendings] == [
        ("tenant/acme/2026-11-22:budget_usd_per_day", 20_000_000_000, 7),
        ("tenant/acme/2026-11:budget_usd_per_month", 500_000_000_000, 7),
    ]


def test_a_model_without_limits_of_its_own_claims_the_tenants_alone() -> None:
    assert len(claim(Asked("other", 500)).charges) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a", "b/c"), ("a/b", "c")), (("a/model/b", ""), ("a", "b")), (("a:rpm", "x"), ("a", "x"))],
)
def test_names_of_tenants_and_models_never_run_into_one_another(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    def keys(tenant: str, model: str) -> set[str]:
        limits = TenantLimits(rpm=1, concurrency=1, models={model: ModelLimits(rpm=1)})
        taken = claim(Asked(model, 1), limits, tenant)
        return {charge.key for charge in taken.charges} | {seat.key for seat in taken.seats}

    assert not keys(*one) & keys(*other)


def test_a_guessed_output_never_shuts_a_small_tenant_out() -> None:
    small = TenantLimits(tpm=1000)
    assert claim(Asked("m", 5000, guessed=True), small).charges[0].cost == 1000
    assert claim(Asked("m", 5000), small).charges[0].cost == 5000


def test_the_output_is_what_the_caller_bounds_or_what_the_model_can() -> None:
    card = ModelCard("m", frozenset())
    assert output_tokens_of(7, card) == 7
    assert output_tokens_of(None, card) == 4096
    assert output_tokens_of(None, ModelCard("m", frozenset(), max_output_tokens=512)) == 512
    assert output_tokens_of(None, ModelCard("m", frozenset(), max_output_tokens=64_000)) == 4096


def test_tokens_and_money_are_settled_by_use_and_requests_are_not() -> None:
    taken = claim(Asked("smart", 500, cost_nano_usd=7))
    usage = Usage(input_tokens=30, output_tokens=12, cost_nano_usd=3)
    actual = actual_of(taken, usage)
    assert {key.rpartition(":")[2]: used for key, used in actual.items()} == {
        "tpm": 42,
        "budget_usd_per_day": 3,
        "budget_usd_per_month": 3,
    }
    assert len(actual) == 4


def test_a_call_that_used_nothing_costs_nothing() -> None:
    actual = actual_of(claim(Asked("m", 500, cost_nano_usd=7)), Usage())
    assert set(actual.values()) == {0}
    assert len(actual) == 3


def test_use_without_a_price_leaves_the_money_as_it_was_reserved() -> None:
    actual = actual_of(claim(Asked("m", 500, cost_nano_usd=7)), Usage(input_tokens=5))
    assert list(actual.values()) == [5]


def test_a_rate_limit_tells_its_name_and_when_to_come_again() -> None:
    taken = claim(Asked("smart", 500))
    error = refused(Refusal("tenant/acme/model/smart:tpm", 12.5), taken)
    assert error.reason == ErrorReason.ERROR_REASON_RATE_LIMITED
    assert (error.resource, error.retry_after_s) == ("models.smart.tpm", 12.5)
    assert error.public == "the limit models.smart.tpm of 1000 is reached"


def test_a_call_that_no_wait_can_help_is_told_what_to_lower() -> None:
    error = refused(Refusal("tenant/acme:tpm", None), claim(Asked("m", 10**6)))
    assert error.reason == ErrorReason.ERROR_REASON_TOO_LARGE
    assert error.retry_after_s is None
    assert "max_output_tokens" in error.public


@pytest.mark.parametrize("wait_s", [None, 100.0])
def test_a_spent_budget_is_not_worth_a_retry(wait_s: float | None) -> None:
    taken = claim(Asked("m", 5, cost_nano_usd=1))
    error = refused(Refusal(taken.spendings[1].key, wait_s), taken)
    assert error.reason == ErrorReason.ERROR_REASON_BUDGET_EXHAUSTED
    assert error.retry_after_s is None
    assert error.resource == "budget_usd_per_month"
    assert "500 US dollars" in error.public


def test_limits_are_told_with_what_is_left_and_when_all_is_back() -> None:
    taken = claim_of_all(ALL, "acme", WALL_S)
    assert not any(charge.cost for charge in taken.charges)
    keys = [c.key for c in (*taken.charges, *taken.seats, *taken.spendings)]
    levels = {key: Level(used=1, remaining=number, reset_s=30.0) for number, key in enumerate(keys)}
    rows = {row.id: row for row in rows_of(taken, levels, WALL_S)}
    assert sorted(rows) == [
        "budget_usd_per_day",
        "budget_usd_per_month",
        "concurrency",
        "models.smart.concurrency",
        "models.smart.rpm",
        "models.smart.tpm",
        "rpm",
        "tpm",
    ]
    tpm, month = rows["tpm"], rows["budget_usd_per_month"]
    assert (tpm.value, tpm.remaining, tpm.unit) == (400_000, 1, "tokens")
    assert tpm.period.seconds == 60
    assert tpm.reset_time.seconds == WALL_S + 30
    assert (month.value, month.unit) == (500_000_000_000, "nano_usd")
    assert month.period.seconds == 30 * 86400
    assert month.reset_time.ToJsonString() == "2026-12-01T00:00:00Z"
    assert rows["concurrency"].unit == "calls_in_flight"
    assert not rows["concurrency"].HasField("period")
    assert rows["rpm"].unit == "requests"


def test_a_named_tenant_has_its_own_limits_and_all_others_the_default() -> None:
    limits = Limits(TenantLimits(rpm=5), {"acme": ALL})
    assert limits.of("acme") is ALL
    assert limits.of("someone") == TenantLimits(rpm=5)


def test_budgets_can_be_found_with_their_periods_to_start_from() -> None:
    (day, today), (month, november) = budgets_of(ALL, "acme", WALL_S)
    assert (day, month) == claim_of_all(ALL, "acme", WALL_S).spendings
    assert (today.name, november.name) == ("2026-11-22", "2026-11")
    assert budgets_of(TenantLimits(rpm=1), "acme", WALL_S) == []


def test_an_attempt_claims_what_the_provider_grants_the_key() -> None:
    endpoint = Endpoint("eu", "openai", "openai_chat", "", limits=UpstreamLimits(500, 2000, 64))
    taken = upstream_claim(endpoint, Key("env:K", Secret("s")), 5000)
    limiter = Limiter(lease_s=math.inf)
    assert not isinstance(limiter.reserve(0.0, taken.charges, taken.seats), Refusal)
    assert {charge.key for charge in taken.charges} == {"key/eu/env%3AK:rpm", "key/eu/env%3AK:tpm"}
    assert taken.seats == (Seat("key/eu/env%3AK:concurrency", 64),)


def test_a_claim_is_split_into_what_is_taken_once_and_what_by_amount() -> None:
    limits = TenantLimits(rpm=9, tpm=90, concurrency=3, budget_usd_per_day=1, strict=True)
    claim = claim_of(limits, "acme", Asked("m", 5, cost_nano_usd=7), 0.0)
    once, by_amount = split(claim)
    assert [charge.cost for charge in once.charges] == [1]
    assert len(once.seats) == 1
    assert not once.spendings
    assert [charge.cost for charge in by_amount.charges] == [5]
    assert not by_amount.seats
    assert by_amount.spendings == claim.spendings
    assert once.strict
    assert by_amount.strict
