"""Leave to make one attempt at a target, or why there is none."""

from dataclasses import dataclass, field

from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.failure import FailureKind, KeyFate, ProviderFailure
from turnout_server.core.target import Attempt, Key, Target
from turnout_server.policy.breaker import Breaker, Permit
from turnout_server.policy.budget import RetryBudget
from turnout_server.policy.concurrency import ConcurrencyLimit, Slot
from turnout_server.policy.cooldown import Cooldowns
from turnout_server.policy.keyring import KeyRing, KeyTrouble
from turnout_server.policy.latency import LatencyWindow, PeakEwma
from turnout_server.policy.throttle import Throttle

_OVERLOAD = (FailureKind.RATE_LIMITED, FailureKind.OVERLOADED, FailureKind.TIMEOUT)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A target that was passed over: why, and when (monotonic seconds) to ask again, if known."""

    target: Target
    reason: ErrorReason.ValueType
    until: float | None = None


@dataclass(slots=True)
class TargetState:
    """How one target is doing. `breakers` and `rests` are by key id, "" without keys."""

    throttle: Throttle
    concurrency: ConcurrencyLimit
    rests: Cooldowns[str]
    breakers: dict[str, Breaker] = field(default_factory=dict)
    retries: RetryBudget = field(default_factory=RetryBudget)
    speed: PeakEwma = field(default_factory=PeakEwma)
    first_outputs: LatencyWindow = field(default_factory=LatencyWindow)


class Ticket:
    """Leave to make one attempt. Exactly one of succeed, fail and release counts: the first.

    `attempt` is filled in by the plan that hands the ticket out.
    """

    __slots__ = ("_permit", "_ring", "_sent_at", "_slot", "_state", "attempt", "key", "target")

    attempt: Attempt

    def __init__(
        self,
        target: Target,
        state: TargetState,
        ring: KeyRing,
        key: Key | None,
        permit: Permit,
        slot: Slot | None,
        now: float,
    ) -> None:
        self._state: TargetState | None = state
        self._ring = ring
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
        if self._state is not None:
            self._state.rests.rest(self._key_id, now, rest_s)

    def succeed(self, now: float) -> None:
        """The attempt answered in full."""
        state = self._close()
        if state is None:
            return
        self._permit.succeed(now)
        if self._slot is not None:
            self._slot.succeed()
        state.retries.record_success()
        state.rests.answered(self._key_id, now)

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
        self._judge_key(state, failure, now)

    def release(self, now: float) -> None:
        """The attempt was given up by us or the caller: it says nothing about the target."""
        if self._close() is not None:
            self._permit.release(now)
            if self._slot is not None:
                self._slot.release()

    @property
    def _key_id(self) -> str:
        return self.key.id if self.key else ""

    def _close(self) -> TargetState | None:
        state, self._state = self._state, None
        return state

    def _judge_key(self, state: TargetState, failure: ProviderFailure, now: float) -> None:
        if failure.rule.key is KeyFate.RESTED:
            state.rests.rest(self._key_id, now, failure.retry_after_s)
        elif failure.rule.key is KeyFate.DISABLED and self.key is not None:
            quota = failure.kind is FailureKind.QUOTA
            trouble = KeyTrouble.QUOTA if quota else KeyTrouble.AUTH
            self._ring.disable(self.key.id, now, trouble)
