"""How every target is doing, and so whether it may be asked now.

Health          one for the process; outlives configuration snapshots
  per endpoint    key ring, enabled or not
  per target      throttle, concurrency limit, retry budget, latency
  per target+key  breaker, cooldown
Ticket          leave to make one attempt; gives every verdict to all of them at once
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.failure import RULES, FailureKind, KeyFate, ProviderFailure
from turnout_server.core.target import Attempt, Endpoint, Key, Target
from turnout_server.policy.breaker import Breaker, CircuitState, LastFailure, Permit
from turnout_server.policy.budget import RetryBudget, RetryCause
from turnout_server.policy.concurrency import ConcurrencyLimit, ConcurrencySettings, Slot
from turnout_server.policy.cooldown import Cooldowns
from turnout_server.policy.keyring import KeyRing, KeyTrouble
from turnout_server.policy.latency import LatencyWindow, PeakEwma
from turnout_server.policy.throttle import Throttle

_R = ErrorReason
_OVERLOAD = (FailureKind.RATE_LIMITED, FailureKind.OVERLOADED, FailureKind.TIMEOUT)
_RETRY_CAUSES = {
    FailureKind.TIMEOUT: RetryCause.TIMEOUT,
    FailureKind.RATE_LIMITED: RetryCause.RATE_LIMIT,
}
_OUTAGE_REASONS = {
    KeyTrouble.AUTH: _R.ERROR_REASON_PROVIDER_AUTH_FAILED,
    KeyTrouble.QUOTA: _R.ERROR_REASON_PROVIDER_QUOTA_EXHAUSTED,
    KeyTrouble.RATE_LIMIT: _R.ERROR_REASON_PROVIDER_RATE_LIMITED,
}
_MOST_CONCURRENT = 1000
MAX_TARGETS = 2000
"""Callers may name any model of a provider: beyond this many targets, idle ones are forgotten."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A target that was passed over: why, and when (monotonic seconds) to ask again, if known."""

    target: Target
    reason: ErrorReason.ValueType
    until: float | None = None


@dataclass(slots=True)
class _TargetState:
    throttle: Throttle
    concurrency: ConcurrencyLimit
    breakers: dict[str, Breaker]
    retries: RetryBudget
    speed: PeakEwma
    first_outputs: LatencyWindow


@dataclass(slots=True)
class _EndpointState:
    ring: KeyRing
    key_ids: tuple[str, ...]
    enabled: bool = True


class Ticket:
    """Leave to make one attempt. Exactly one of succeed, fail and release counts: the first.

    `attempt` is filled in by the plan that hands the ticket out.
    """

    __slots__ = ("_health", "_permit", "_sent_at", "_slot", "_state", "attempt", "key", "target")

    attempt: Attempt

    def __init__(
        self,
        health: "Health",
        state: _TargetState,
        target: Target,
        key: Key | None,
        permit: Permit,
        slot: Slot | None,
        now: float,
    ) -> None:
        self._health = health
        self._state: _TargetState | None = state
        self._permit = permit
        self._slot = slot
        self._sent_at = now
        self.target = target
        self.key = key

    def first_output(self, elapsed_s: float) -> None:
        """The attempt spoke, this long after it began."""
        if self._state is not None:
            now = self._sent_at + elapsed_s
            self._state.speed.observe(now, elapsed_s)
            self._state.first_outputs.observe(now, elapsed_s)

    def rest(self, rest_s: float, now: float) -> None:
        """The provider says that this key has nothing left for so long; this attempt goes on."""
        self._health._cooldowns.rest(self._place(), now, rest_s)

    def succeed(self, now: float) -> None:
        """The attempt answered in full."""
        state = self._close()
        if state is None:
            return
        self._permit.succeed(now)
        if self._slot is not None:
            self._slot.succeed()
        state.retries.record_success()
        self._health._cooldowns.answered(self._place(), now)

    def fail(self, failure: ProviderFailure, now: float) -> None:
        """The attempt failed; who is to blame follows from the failure's kind."""
        state = self._close()
        if state is None:
            return
        if failure.rule.trips_breaker:
            self._permit.fail(now, failure.kind.name)
            if not self._permit.probe:
                state.throttle.record_refusal(now, sent_at=self._sent_at)
        else:
            self._permit.release(now)
        if failure.kind is FailureKind.TIMEOUT:
            state.speed.observe(now, now - self._sent_at)
        if self._slot is not None:
            self._slot.overload() if failure.kind in _OVERLOAD else self._slot.release()
        self._judge_key(failure, now)

    def release(self, now: float) -> None:
        """The attempt was given up by us or the caller: it says nothing about the target."""
        if self._close() is not None:
            self._permit.release(now)
            if self._slot is not None:
                self._slot.release()

    def _close(self) -> _TargetState | None:
        state, self._state = self._state, None
        return state

    def _place(self) -> tuple[str, str]:
        return str(self.target), self.key.id if self.key else ""

    def _judge_key(self, failure: ProviderFailure, now: float) -> None:
        if failure.rule.key is KeyFate.RESTED:
            self._health._cooldowns.rest(self._place(), now, failure.retry_after_s)
        elif failure.rule.key is KeyFate.DISABLED and self.key is not None:
            quota = failure.kind is FailureKind.QUOTA
            trouble = KeyTrouble.QUOTA if quota else KeyTrouble.AUTH
            self._health._endpoint(self.target.endpoint).ring.disable(self.key.id, now, trouble)


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


class Health:
    """The state of every endpoint and target this process has met."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._targets: dict[str, _TargetState] = {}
        self._endpoints: dict[str, _EndpointState] = {}
        self._cooldowns: Cooldowns[tuple[str, str]] = Cooldowns(rng.random)

    def admit(self, target: Target, now: float, *, retry: bool = False) -> Ticket | Refusal:
        """Leave for one attempt, or why not. The ticket must be given back by a verdict."""
        endpoint = self._endpoint(target.endpoint)
        if not endpoint.enabled:
            return Refusal(target, _R.ERROR_REASON_PROVIDER_CIRCUIT_OPEN)
        state = self._state(target)
        admitted = self._admit_key(target, endpoint, state, now)
        if isinstance(admitted, Refusal):
            return admitted
        key, permit = admitted
        slot = state.concurrency.admit()
        if slot is None or not (permit.probe or state.throttle.admit(now)):
            permit.release(now)
            if slot is not None:
                slot.release()
            return Refusal(target, _R.ERROR_REASON_PROVIDER_OVERLOADED)
        if not retry:
            state.retries.record_call(now)
        return Ticket(self, state, target, key, permit, slot, now)

    def admit_least_bad(self, targets: Sequence[Target], now: float) -> Ticket | None:
        """One probe of the open circuit that would be asked first anyway, at most one a second."""
        open_targets = [
            (breaker.retry_at(now) or now, i, target, key_id)
            for i, target in enumerate(targets)
            if self._endpoint(target.endpoint).enabled
            for key_id, breaker in self._state(target).breakers.items()
            if breaker.state(now) is not CircuitState.CLOSED
            and self._cooldowns.until((str(target), key_id), now) is None
        ]
        for _, _, target, key_id in sorted(open_targets, key=lambda entry: entry[:2]):
            state = self._state(target)
            permit = state.breakers[key_id].admit_probe(now)
            if permit is not None:
                key = next((k for k in target.endpoint.keys if k.id == key_id), None)
                return Ticket(self, state, target, key, permit, None, now)
        return None

    def usual_first_output_s(self, target: Target, now: float) -> float | None:
        """The median time to first output; None while too little is known."""
        return self._state(target).first_outputs.quantile(now, 0.5, min_samples=20)

    def slowness(self, target: Target, now: float) -> float:
        """What one more call would meet there; lower is better (policy.latency)."""
        state = self._state(target)
        return state.speed.load(now, state.concurrency.in_flight)

    def has_usable_key(self, target: Target, now: float) -> bool:
        """Whether a key is left that is neither disabled nor resting for this target."""
        ring = self._endpoint(target.endpoint).ring
        name = str(target)
        return any(self._cooldowns.until((name, key), now) is None for key in ring.usable(now))

    def rest_s(self, target: Target, now: float) -> float:
        """Seconds until some key of this target has rested; 0.0 when one has."""
        name = str(target)
        ids = self._endpoint(target.endpoint).ring.usable(now) or ("",)
        return min((self._cooldowns.until((name, key), now) or now) - now for key in ids)

    def spend_retry(self, target: Target, failure: ProviderFailure, now: float) -> bool:
        """Take one retry from the target's budget, if it has one left."""
        cause = _RETRY_CAUSES.get(failure.kind, RetryCause.FAILURE)
        return self._state(target).retries.admit(now, cause)

    def first_outputs(self, target: Target) -> LatencyWindow:
        """The target's recent times to first output."""
        return self._state(target).first_outputs

    def throttling(self, target: Target, now: float) -> float:
        """The share of calls to this target that are held back now."""
        return self._state(target).throttle.probability(now)

    def set_enabled(self, endpoint: Endpoint, *, enabled: bool) -> None:
        """Take an endpoint out of every route, or put it back."""
        self._endpoint(endpoint).enabled = enabled

    def reset(self, endpoint: Endpoint, model: str = "") -> int:
        """Close the circuits of an endpoint (or one model of it) and revive its keys; how many."""
        count = 0
        for name, state in self._targets.items():
            if name == f"{endpoint.name}/{model}" or (
                not model and name.startswith(f"{endpoint.name}/")
            ):
                for key_id, breaker in state.breakers.items():
                    breaker.reset()
                    self._cooldowns.clear((name, key_id))
                    count += 1
        for key in endpoint.keys:
            self._endpoint(endpoint).ring.restore(key.id)
        return count

    def restore_key(self, endpoint: Endpoint, key_id: str) -> None:
        """Make a key usable at once: it was replaced by another under the same name."""
        self._endpoint(endpoint).ring.restore(key_id)

    def status(self, endpoint: Endpoint, now: float) -> EndpointStatus:
        """The endpoint's state over all of its models and keys."""
        states = [s for n, s in self._targets.items() if n.startswith(f"{endpoint.name}/")]
        breakers = [breaker for state in states for breaker in state.breakers.values()]
        failures = [b.last_failure for b in breakers if b.last_failure is not None]
        last = max(failures, key=lambda failure: failure.at, default=None)
        busiest = max(states, key=lambda s: s.first_outputs.count(now), default=None)
        probes = [at for b in breakers if (at := b.retry_at(now)) is not None]
        return EndpointStatus(
            state=_worst(breakers, now) if self._endpoint(endpoint).enabled else None,
            in_flight=sum(state.concurrency.in_flight for state in states),
            error_rate=max((b.error_rate(now) for b in breakers), default=0.0),
            p50_first_output_s=busiest.first_outputs.quantile(now, 0.5) if busiest else None,
            p95_first_output_s=busiest.first_outputs.quantile(now, 0.95) if busiest else None,
            window_s=busiest.first_outputs.window_s if busiest else 0.0,
            last_failure_reason=RULES[FailureKind[last.cause]].reason
            if last
            else _R.ERROR_REASON_UNSPECIFIED,
            last_failure_at=last.at if last else None,
            next_probe_at=min(probes, default=None),
        )

    def in_flight(self) -> int:
        """Attempts under way at every target together."""
        return sum(state.concurrency.in_flight for state in self._targets.values())

    def _admit_key(
        self, target: Target, endpoint: _EndpointState, state: _TargetState, now: float
    ) -> tuple[Key | None, Permit] | Refusal:
        """The next key that is neither disabled, resting, nor behind an open circuit."""
        if not endpoint.key_ids:
            return self._admit_keyless(target, state, now)
        refusal: Refusal | None = None
        for _ in endpoint.key_ids:
            key_id = endpoint.ring.pick(now)
            if key_id is None:
                break
            admitted = self._admit_place(target, state, key_id, now)
            if isinstance(admitted, Permit):
                key = next(key for key in target.endpoint.keys if key.id == key_id)
                return key, admitted
            refusal = admitted
        outage = endpoint.ring.outage(now)
        if outage is not None:
            return Refusal(target, _OUTAGE_REASONS[outage.trouble], outage.until)
        return refusal or Refusal(target, _R.ERROR_REASON_PROVIDER_AUTH_FAILED)

    def _admit_keyless(
        self, target: Target, state: _TargetState, now: float
    ) -> tuple[None, Permit] | Refusal:
        admitted = self._admit_place(target, state, "", now)
        return (None, admitted) if isinstance(admitted, Permit) else admitted

    def _admit_place(
        self, target: Target, state: _TargetState, key_id: str, now: float
    ) -> Permit | Refusal:
        rest_until = self._cooldowns.until((str(target), key_id), now)
        if rest_until is not None:
            return Refusal(target, _R.ERROR_REASON_PROVIDER_RATE_LIMITED, rest_until)
        breaker = state.breakers.get(key_id)
        if breaker is None:
            breaker = state.breakers[key_id] = Breaker(self._rng.random)
        permit = breaker.admit(now)
        if permit is None:
            return Refusal(target, _R.ERROR_REASON_PROVIDER_CIRCUIT_OPEN, breaker.retry_at(now))
        return permit

    def _endpoint(self, endpoint: Endpoint) -> _EndpointState:
        ids = tuple(key.id for key in endpoint.keys)
        state = self._endpoints.get(endpoint.name)
        if state is None:
            state = self._endpoints[endpoint.name] = _EndpointState(KeyRing(ids), ids)
        elif state.key_ids != ids:
            state.ring.replace(ids)
            state.key_ids = ids
        return state

    def _state(self, target: Target) -> _TargetState:
        name = str(target)
        state = self._targets.get(name)
        if state is None:
            self._forget_idle()
            # Starting at the limit and only ever cutting from it: a fresh process must not refuse
            # the twenty-first caller of a provider that has not complained (docs/adr).
            most = target.endpoint.limits.concurrency or _MOST_CONCURRENT
            state = self._targets[name] = _TargetState(
                throttle=Throttle(self._rng.random),
                concurrency=ConcurrencyLimit(ConcurrencySettings(start=most, most=most)),
                breakers={},
                retries=RetryBudget(),
                speed=PeakEwma(),
                first_outputs=LatencyWindow(),
            )
        return state

    def _forget_idle(self) -> None:
        if len(self._targets) < MAX_TARGETS:
            return
        idle = [name for name, s in self._targets.items() if not s.concurrency.in_flight]
        for name in idle[: MAX_TARGETS // 10]:
            del self._targets[name]


def _worst(breakers: Sequence[Breaker], now: float) -> CircuitState:
    """OPEN only when every circuit is: one that answers keeps the endpoint usable."""
    states = {breaker.state(now) for breaker in breakers}
    if states == {CircuitState.OPEN}:
        return CircuitState.OPEN
    return CircuitState.CLOSED if states <= {CircuitState.CLOSED} else CircuitState.HALF_OPEN


def _reason_of(last: LastFailure | None) -> ErrorReason.ValueType:
    if last is None:
        return _R.ERROR_REASON_UNSPECIFIED
    return RULES[FailureKind[last.cause]].reason
