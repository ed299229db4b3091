"""How an endpoint is doing over all of its models and keys, as ListProviders shows it."""

from collections.abc import Sequence
from dataclasses import dataclass

from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.failure import RULES, FailureKind
from turnout_server.policy.breaker import Breaker, CircuitState
from turnout_server.policy.ticket import TargetState


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """What ListProviders shows. Times are monotonic seconds, None where nothing is known."""

    state: CircuitState | None
    """None when an operator has disabled the endpoint."""
    in_flight: int
    error_rate: float
    p50_first_output_s: float | None
    p95_first_output_s: float | None
    window_s: float
    last_failure_reason: ErrorReason.ValueType
    last_failure_at: float | None
    next_probe_at: float | None


def status_of(
    states: Sequence[TargetState], key_ids: Sequence[str], now: float, *, enabled: bool
) -> EndpointStatus:
    """Sum up an endpoint's targets. Circuits of keys that it has no longer do not count."""
    breakers = [s.breakers[key_id] for s in states for key_id in key_ids if key_id in s.breakers]
    failures = [b.last_failure for b in breakers if b.last_failure is not None]
    last = max(failures, key=lambda failure: failure.at, default=None)
    busiest = max(states, key=lambda s: s.first_outputs.count(now), default=None)
    probes = [at for b in breakers if (at := b.retry_at(now)) is not None]
    return EndpointStatus(
        state=_worst(breakers, now) if enabled else None,
        in_flight=sum(state.concurrency.in_flight for state in states),
        error_rate=max((b.error_rate(now) for b in breakers), default=0.0),
        p50_first_output_s=busiest.first_outputs.quantile(now, 0.5) if busiest else None,
        p95_first_output_s=busiest.first_outputs.quantile(now, 0.95) if busiest else None,
        window_s=busiest.first_outputs.window_s if busiest else 0.0,
        last_failure_reason=RULES[FailureKind[last.cause]].reason
        if last
        else ErrorReason.ERROR_REASON_UNSPECIFIED,
        last_failure_at=last.at if last else None,
        next_probe_at=min(probes, default=None),
    )


def _worst(breakers: Sequence[Breaker], now: float) -> CircuitState:
    """OPEN only when every circuit is: one that answers keeps the endpoint usable."""
    states = {breaker.state(now) for breaker in breakers}
    if states == {CircuitState.OPEN}:
        return CircuitState.OPEN
    return CircuitState.CLOSED if states <= {CircuitState.CLOSED} else CircuitState.HALF_OPEN
