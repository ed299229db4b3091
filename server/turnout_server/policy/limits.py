"""What a tenant may use: from its limits to one claim for a call, and from use to what is left.

claim = claim_of(limits, tenant, asked, wall_s)      before the call
reservation.settle(actual_of(claim, usage))          when it is over, however it ends
raise refused(refusal, claim)                        when it was not granted
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.usage_pb2 import Usage
from turnout.v1.usage_service_pb2 import Limit

from turnout_server.core.charge import Charge, Claim, Level, Rate, Refusal, Seat, Spending
from turnout_server.core.errors import GatewayError
from turnout_server.core.target import Endpoint, Key, ModelCard
from turnout_server.policy.budgets import NANO, Period, PeriodKind, UnknownPrice, period_at

MINUTE_S = 60.0
DEFAULT_OUTPUT_TOKENS = 4096
"""What a call without `max_output_tokens` is taken to write, unless its model cannot."""


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """What may be used of one model name; None where it is not limited."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """What one tenant may use over all models, and of some models besides: both must hold."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    budget_usd_per_day: float | None = None
    budget_usd_per_month: float | None = None
    unknown_price: UnknownPrice = UnknownPrice.WARN
    strict: bool = False
    models: Mapping[str, ModelLimits] = field(default_factory=dict)

    @property
    def has_budget(self) -> bool:
        """Whether the price of a call matters."""
        return self.budget_usd_per_day is not None or self.budget_usd_per_month is not None


@dataclass(frozen=True, slots=True)
class Limits:
    """Every tenant's limits; `default` holds for those that are not named, each on its own."""

    default: TenantLimits = TenantLimits()
    tenants: Mapping[str, TenantLimits] = field(default_factory=dict)

    def of(self, tenant: str) -> TenantLimits:
        """The limits of one tenant."""
        return self.tenants.get(tenant, self.default)


@dataclass(frozen=True, slots=True)
class Asked:
    """The most that a call may come to use. `guessed` when the caller did not bound its output.

    `cost_nano_usd` is None when no price is known.
    """

    model: str
    tokens: int
    guessed: bool = False
    cost_nano_usd: int | None = None
    requests: int = 1


def output_tokens_of(max_output_tokens: int | None, card: ModelCard) -> int:
    """How many tokens an answer is taken to have until it is known."""
    if max_output_tokens is not None:
        return max_output_tokens
    return min(DEFAULT_OUTPUT_TOKENS, card.max_output_tokens or DEFAULT_OUTPUT_TOKENS)


def claim_of(limits: TenantLimits, tenant: str, asked: Asked, wall_s: float) -> Claim:
    """Everything that one call takes of its tenant's limits."""
    charges: list[Charge] = []
    seats: list[Seat] = []
    model = limits.models.get(asked.model)
    _add(charges, seats, limits, _prefix(tenant), asked)
    if model is not None:
        _add(charges, seats, model, _prefix(tenant, asked.model), asked)
    spendings = tuple(_spendings(limits, tenant, asked.cost_nano_usd or 0, wall_s))
    return Claim(tuple(charges), tuple(seats), spendings, strict=limits.strict)


def split(claim: Claim) -> tuple[Claim, Claim]:
    """What a call takes once, and what it takes by amount: for one that takes the second in parts.

    The first holds requests and seats, the second tokens and money.
    """
    tokens = tuple(charge for charge in claim.charges if _id(charge.key) == "tpm")
    requests = tuple(charge for charge in claim.charges if charge not in tokens)
    return (
        Claim(requests, claim.seats, strict=claim.strict),
        Claim(tokens, spendings=claim.spendings, strict=claim.strict),
    )


def upstream_claim(endpoint: Endpoint, key: Key | None, tokens: int) -> Claim:
    """Everything that one attempt takes of what the provider grants our key."""
    granted = endpoint.limits
    charges: list[Charge] = []
    seats: list[Seat] = []
    prefix = f"key/{quote(endpoint.name, safe='')}/{quote(key.id if key else '', safe='')}"
    grants = ModelLimits(granted.rpm, granted.tpm, granted.concurrency)
    _add(charges, seats, grants, prefix, Asked("", tokens, guessed=True))
    return Claim(tuple(charges), tuple(seats))


def actual_of(claim: Claim, usage: Usage) -> dict[str, int]:
    """What each key of a claim was really used; a request stays a request.

    A cost that nobody knows leaves the money as it was reserved: unknown is never 0.
    """
    used_tokens = usage.input_tokens + usage.output_tokens
    actual = {c.key: used_tokens for c in claim.charges if _id(c.key) == "tpm"}
    if usage.HasField("cost_nano_usd") or not used_tokens:
        actual |= {spending.key: usage.cost_nano_usd for spending in claim.spendings}
    return actual


def refused(refusal: Refusal, claim: Claim) -> GatewayError:
    """What the caller is told: which limit, and when to come again if that helps."""
    name = _name(refusal.key)
    limit = _limits(claim)[refusal.key]
    if _id(refusal.key) in (_DAILY, _MONTHLY):
        return GatewayError(
            ErrorReason.ERROR_REASON_BUDGET_EXHAUSTED,
            f"the limit {name} of {limit / NANO:g} US dollars is spent or would be passed",
            resource=name,
        )
    if refusal.retry_after_s is None:
        return GatewayError(
            ErrorReason.ERROR_REASON_TOO_LARGE,
            f"this call alone may pass the limit {name} of {limit}; send less, or lower"
            " max_output_tokens",
            resource=name,
        )
    return GatewayError(
        ErrorReason.ERROR_REASON_RATE_LIMITED,
        f"the limit {name} of {limit} is reached",
        retry_after_s=refusal.retry_after_s,
        resource=name,
    )


def claim_of_all(limits: TenantLimits, tenant: str, wall_s: float) -> Claim:
    """Every limit of a tenant at no cost, to ask for its levels."""
    charges: list[Charge] = []
    seats: list[Seat] = []
    nothing = Asked("", tokens=0, requests=0)
    _add(charges, seats, limits, _prefix(tenant), nothing)
    for name, model in limits.models.items():
        _add(charges, seats, model, _prefix(tenant, name), nothing)
    return Claim(tuple(charges), tuple(seats), tuple(_spendings(limits, tenant, 0, wall_s)))


def rows_of(claim: Claim, levels: Mapping[str, Level], wall_s: float) -> list[Limit]:
    """The limits of a claim as GetLimits tells them."""
    rows = []
    for charge in claim.charges:
        unit = "tokens" if _id(charge.key) == "tpm" else "requests"
        level = levels[charge.key]
        row = _row(charge.key, charge.rate.limit, level, unit)
        row.period.FromNanoseconds(round(charge.rate.period_s * NANO))
        row.reset_time.FromNanoseconds(round((wall_s + level.reset_s) * NANO))
        rows.append(row)
    rows += [_row(s.key, s.limit, levels[s.key], "calls_in_flight") for s in claim.seats]
    for spending in claim.spendings:
        row = _row(spending.key, spending.limit, levels[spending.key], "nano_usd")
        period = period_at(_PERIODS[_id(spending.key)], wall_s)
        row.period.FromNanoseconds(round(period.length_s * NANO))
        row.reset_time.FromNanoseconds(round(spending.ends_wall_s * NANO))
        rows.append(row)
    return sorted(rows, key=lambda row: row.id)


def budgets_of(limits: TenantLimits, tenant: str, wall_s: float) -> list[tuple[Spending, Period]]:
    """The budgets of a tenant and their periods, to start counting from what a ledger knows."""
    return [
        (spending, period_at(_PERIODS[_id(spending.key)], wall_s))
        for spending in _spendings(limits, tenant, 0, wall_s)
    ]


_DAILY, _MONTHLY = "budget_usd_per_day", "budget_usd_per_month"
_PERIODS = {_DAILY: PeriodKind.DAY, _MONTHLY: PeriodKind.MONTH}


def _add(
    charges: list[Charge],
    seats: list[Seat],
    limits: TenantLimits | ModelLimits,
    prefix: str,
    asked: Asked,
) -> None:
    if limits.rpm is not None:
        charges.append(Charge(f"{prefix}:rpm", Rate(limits.rpm, MINUTE_S), asked.requests))
    if limits.tpm is not None:
        # A guess must not shut a small tenant out for good; what is used is settled in the end.
        tokens = min(asked.tokens, limits.tpm) if asked.guessed else asked.tokens
        charges.append(Charge(f"{prefix}:tpm", Rate(limits.tpm, MINUTE_S), tokens))
    if limits.concurrency is not None:
        seats.append(Seat(f"{prefix}:concurrency", limits.concurrency))


def _spendings(
    limits: TenantLimits, tenant: str, cost_nano_usd: int, wall_s: float
) -> list[Spending]:
    budgets = ((_DAILY, limits.budget_usd_per_day), (_MONTHLY, limits.budget_usd_per_month))
    spendings = []
    for name, budget_usd in budgets:
        if budget_usd is not None:
            period = period_at(_PERIODS[name], wall_s)
            key = f"{_prefix(tenant)}/{period.name}:{name}"
            limit = round(budget_usd * NANO)
            spendings.append(Spending(key, limit, cost_nano_usd, period.ends_wall_s))
    return spendings


def _row(key: str, limit: int, level: Level, unit: str) -> Limit:
    return Limit(id=_name(key), value=limit, remaining=level.remaining, unit=unit)


def _limits(claim: Claim) -> dict[str, int]:
    return {
        **{charge.key: charge.rate.limit for charge in claim.charges},
        **{seat.key: seat.limit for seat in claim.seats},
        **{spending.key: spending.limit for spending in claim.spendings},
    }


def _prefix(tenant: str, model: str = "") -> str:
    """Names quoted, so that none of them can end another."""
    return f"tenant/{quote(tenant, safe='')}" + (f"/model/{quote(model, safe='')}" if model else "")


def _id(key: str) -> str:
    """The kind of a limit: the last word of its key."""
    return key.rpartition(":")[2]


def _name(key: str) -> str:
    """The limit as it is written in the configuration: `rpm`, or `models.smart.rpm`."""
    model = key.rpartition(":")[0].partition("/model/")[2]
    return f"models.{unquote(model)}.{_id(key)}" if model else _id(key)
