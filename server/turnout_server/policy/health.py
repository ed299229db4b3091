"""How every target is doing, and so whether it may be asked now.

Health          one for the process; outlives configuration snapshots
  per endpoint    key ring, enabled or not
  per target      throttle, concurrency limit, retry budget, latency
  per target+key  breaker, rest
Ticket          leave to make one attempt; gives every verdict to all of them at once
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.target import Endpoint, Key, Target
from turnout_server.policy.breaker import Breaker, CircuitState, Permit
from turnout_server.policy.budget import RetryCause
from turnout_server.policy.concurrency import ConcurrencyLimit, ConcurrencySettings
from turnout_server.policy.cooldown import Cooldowns
from turnout_server.policy.endpoint_status import EndpointStatus, status_of
from turnout_server.policy.keyring import KeyRing, KeyTrouble
from turnout_server.policy.latency import LatencyWindow
from turnout_server.policy.throttle import Throttle
from turnout_server.policy.ticket import Refusal, TargetState, Ticket

_R = ErrorReason
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
_NO_KEY = ("",)
MAX_TARGETS = 2000
"""Callers may name any model of a provider: beyond this many targets, the idle ones longest
unused are forgotten."""


@dataclass(slots=True)
class _EndpointState:
    ring: KeyRing
    key_ids: tuple[str, ...]
    enabled: bool = True


class Health:
    """The state of every endpoint and target this process has met."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._targets: dict[str, TargetState] = {}
        self._endpoints: dict[str, _EndpointState] = {}

    def admit(self, target: Target, now: float, *, retry: bool = False) -> Ticket | Refusal:
        """Leave for one attempt, or why not. The ticket must be given back by a verdict."""
        endpoint = self._endpoint(target.endpoint)
        if not endpoint.enabled:
            return Refusal(target, _R.ERROR_REASON_PROVIDER_CIRCUIT_OPEN)
        state = self._state(target)
        # Last in the order in which targets are forgotten.
        self._targets[str(target)] = self._targets.pop(str(target))
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
        return Ticket(target, state, endpoint.ring, key, permit, slot, now)

    def admit_least_bad(self, targets: Sequence[Target], now: float) -> Ticket | None:
        """One probe of the open circuit that would be asked first anyway, at most one a second."""
        open_circuits = [
            (breaker.retry_at(now) or now, i, key_id)
            for i, target in enumerate(targets)
            if self._endpoint(target.endpoint).enabled
            for key_id in self._unrested(target, now)
            if (breaker := self._state(target).breakers.get(key_id))
            and breaker.state(now) is not CircuitState.CLOSED
        ]
        for _, i, key_id in sorted(open_circuits):
            target = targets[i]
            state = self._state(target)
            permit = state.breakers[key_id].admit_probe(now)
            if permit is not None:
                ring = self._endpoint(target.endpoint).ring
                return Ticket(target, state, ring, _key(target, key_id), permit, None, now)
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
        return bool(target.endpoint.keys and self._unrested(target, now))

    def rest_s(self, target: Target, now: float) -> float:
        """Seconds until some key of this target has rested; 0.0 when one has."""
        rests = self._state(target).rests
        ids = self._endpoint(target.endpoint).ring.usable(now) or _NO_KEY
        return min((rests.until(key_id, now) or now) - now for key_id in ids)

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

    def reset(self, endpoint: Endpoint, now: float, model: str = "") -> int:
        """Close the circuits of an endpoint (or one model of it) and revive its keys.

        Returns how many circuits were not closed.
        """
        count = 0
        for name, state in self._targets.items():
            if name == f"{endpoint.name}/{model}" or (
                not model and name.startswith(f"{endpoint.name}/")
            ):
                for key_id, breaker in state.breakers.items():
                    count += breaker.state(now) is not CircuitState.CLOSED
                    breaker.reset()
                    state.rests.clear(key_id)
        for key in endpoint.keys:
            self._endpoint(endpoint).ring.restore(key.id)
        return count

    def restore_key(self, endpoint: Endpoint, key_id: str) -> None:
        """Make a key usable at once: it was replaced by another under the same name."""
        self._endpoint(endpoint).ring.restore(key_id)

    def status(self, endpoint: Endpoint, now: float) -> EndpointStatus:
        """The endpoint's state over all of its models and keys."""
        states = [s for n, s in self._targets.items() if n.startswith(f"{endpoint.name}/")]
        own = self._endpoint(endpoint)
        return status_of(states, own.key_ids or _NO_KEY, now, enabled=own.enabled)

    def in_flight(self) -> int:
        """Attempts under way at every target together."""
        return sum(state.concurrency.in_flight for state in self._targets.values())

    def _admit_key(
        self, target: Target, endpoint: _EndpointState, state: TargetState, now: float
    ) -> tuple[Key | None, Permit] | Refusal:
        """The next key that is neither disabled, resting, nor behind an open circuit."""
        if not endpoint.key_ids:
            return self._admit_keyless(target, state, now)
        refusals: list[Refusal] = []
        for _ in endpoint.key_ids:
            key_id = endpoint.ring.pick(now)
            if key_id is None:
                break
            admitted = self._admit_place(target, state, key_id, now)
            if isinstance(admitted, Permit):
                return _key(target, key_id), admitted
            refusals.append(admitted)
        if refusals:
            return min(refusals, key=lambda refusal: refusal.until or now)
        outage = endpoint.ring.outage(now)
        if outage is not None:
            return Refusal(target, _OUTAGE_REASONS[outage.trouble], outage.until)
        return Refusal(target, _R.ERROR_REASON_PROVIDER_AUTH_FAILED)

    def _admit_keyless(
        self, target: Target, state: TargetState, now: float
    ) -> tuple[None, Permit] | Refusal:
        admitted = self._admit_place(target, state, "", now)
        return (None, admitted) if isinstance(admitted, Permit) else admitted

    def _admit_place(
        self, target: Target, state: TargetState, key_id: str, now: float
    ) -> Permit | Refusal:
        rest_until = state.rests.until(key_id, now)
        if rest_until is not None:
            return Refusal(target, _R.ERROR_REASON_PROVIDER_RATE_LIMITED, rest_until)
        breaker = state.breakers.get(key_id)
        if breaker is None:
            breaker = state.breakers[key_id] = Breaker(self._rng.random)
        permit = breaker.admit(now)
        if permit is None:
            return Refusal(target, _R.ERROR_REASON_PROVIDER_CIRCUIT_OPEN, breaker.retry_at(now))
        return permit

    def _unrested(self, target: Target, now: float) -> list[str]:
        """Ids of the keys that are neither disabled nor resting for this target."""
        rests = self._state(target).rests
        ids = self._endpoint(target.endpoint).ring.usable(now) if target.endpoint.keys else _NO_KEY
        return [key_id for key_id in ids if rests.until(key_id, now) is None]

    def _endpoint(self, endpoint: Endpoint) -> _EndpointState:
        ids = tuple(key.id for key in endpoint.keys)
        state = self._endpoints.get(endpoint.name)
        if state is None:
            state = self._endpoints[endpoint.name] = _EndpointState(KeyRing(ids), ids)
        elif state.key_ids != ids:
            state.ring.replace(ids)
            state.key_ids = ids
        return state

    def _state(self, target: Target) -> TargetState:
        name = str(target)
        state = self._targets.get(name)
        if state is None:
            self._forget_idle()
            # Starting at the limit and only ever cutting from it: a fresh process must not refuse
            # the twenty-first caller of a provider that has not complained (docs/adr).
            most = target.endpoint.limits.concurrency or _MOST_CONCURRENT
            state = self._targets[name] = TargetState(
                throttle=Throttle(self._rng.random),
                concurrency=ConcurrencyLimit(ConcurrencySettings(start=most, most=most)),
                rests=Cooldowns(self._rng.random),
            )
        return state

    def _forget_idle(self) -> None:
        if len(self._targets) < MAX_TARGETS:
            return
        idle = [name for name, s in self._targets.items() if not s.concurrency.in_flight]
        for name in idle[: MAX_TARGETS // 10]:
            del self._targets[name]


def _key(target: Target, key_id: str) -> Key | None:
    return next((key for key in target.endpoint.keys if key.id == key_id), None)
