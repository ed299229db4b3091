"""What to try next: a generator that yields attempts and is sent the failure of each.

It does no I/O and reads no clock: `now` is a function it is given, so that a test can be the clock.
"""

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.target import Attempt, Target
from turnout_server.policy.health import Health
from turnout_server.policy.ticket import Refusal, Ticket

MIN_ATTEMPT_S = 0.05
"""With less time than this left nobody is called: the answer could not come in time."""
MAX_WAIT_S = 60.0
"""A provider that asks for more patience than this is not waited for (faults.md, row 17)."""
BACKOFF_BASE_S = 0.05
BACKOFF_BASE_RATE_LIMITED_S = 1.0
BACKOFF_CAP_S = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may spend on trying. `deadline` is monotonic seconds.

    `retries` counts extra tries at a target already tried; `attempts` caps everything. `unary`
    attempts answer in one piece, so their first output may take as long as the whole answer.
    Without `panic` a plan whose every target is resting ends at once: others may yet be asked.
    """

    deadline: float
    retries: int
    attempts: int
    first_output_s: float | None = None
    stall_s: float | None = None
    unary: bool = False
    panic: bool = True


@dataclass(frozen=True, slots=True)
class Wait:
    """Sleep this long, then ask again."""

    wait_s: float


Plan = Generator[Ticket | Wait, ProviderFailure | None, list[Refusal]]
"""Send the failure of the ticket yielded last, or None to be given a rival of it (hedging) or what
follows a wait. When it returns, nothing is left to try; its value says who was passed over and why.
"""


def plan(
    targets: Sequence[Target],
    limits: Limits,
    health: Health,
    now: Callable[[], float],
    rng: random.Random,
) -> Plan:
    """Walk the targets in order, retrying where the failure allows it and the budget pays."""
    state = _Walk(limits, health, now, rng)
    for i, target in enumerate(targets):
        yield from state.visit(target, others_left=len(targets) - i - 1)
        if state.over:
            break
    if limits.panic and not state.number and not state.out_of_time:
        # Nobody could be asked. The least bad target still gets a probe, so that a bad minute at
        # every provider at once cannot lock us out of all of them (panic, faults.md row 57).
        yield from state.probe(targets)
    return state.refusals


class _Walk:
    def __init__(
        self, limits: Limits, health: Health, now: Callable[[], float], rng: random.Random
    ) -> None:
        self.limits, self.health, self.now, self.rng = limits, health, now, rng
        self.number = 0
        self.retries = 0
        self.over = False
        self.out_of_time = False
        self.refusals: list[Refusal] = []

    def visit(
        self, target: Target, *, others_left: int
    ) -> Generator[Ticket | Wait, ProviderFailure | None, None]:
        tries = 0
        strip_state = False
        while self._may_begin(target):
            admitted = self.health.admit(target, self.now(), retry=tries > 0)
            if isinstance(admitted, Refusal):
                self.refusals.append(admitted)
                return
            failure = yield self._ticket(admitted, others_left, strip_state=strip_state)
            if failure is None:
                return
            tries += 1
            if not self._judge(failure):
                return
            strip_state = strip_state or failure.kind is FailureKind.STATE_REJECTED
            wait_s = self._wait_before_retry(target, failure, tries, others_left)
            if wait_s is None:
                self.over = not failure.rule.fall_back
                return
            if wait_s:
                yield Wait(wait_s)

    def probe(
        self, targets: Sequence[Target]
    ) -> Generator[Ticket | Wait, ProviderFailure | None, None]:
        now = self.now()
        ticket = self.health.admit_least_bad(targets, now)
        if ticket is not None:
            failure = yield self._ticket(ticket, others_left=0, strip_state=False)
            if failure is not None:
                self._judge(failure)

    def _may_begin(self, target: Target) -> bool:
        now = self.now()
        left_s = self.limits.deadline - now
        if left_s < MIN_ATTEMPT_S or self._is_too_slow(target, left_s, now):
            # An attempt that cannot finish would only cost money; a later target may be quicker.
            self.out_of_time = True
            return False
        return self.number < self.limits.attempts

    def _is_too_slow(self, target: Target, left_s: float, now: float) -> bool:
        if left_s >= target.endpoint.timeouts.first_output_s:
            return False
        usual_s = self.health.usual_first_output_s(target, now)
        return usual_s is not None and usual_s > left_s

    def _ticket(self, ticket: Ticket, others_left: int, *, strip_state: bool) -> Ticket:
        self.number += 1
        target = ticket.target
        ticket.attempt = Attempt(
            number=self.number,
            target=target,
            key=ticket.key,
            first_output_s=self._first_output_s(target, others_left),
            stall_s=self.limits.stall_s or target.endpoint.timeouts.stall_s,
            strip_state=strip_state,
        )
        return ticket

    def _first_output_s(self, target: Target, others_left: int) -> float:
        """The attempt's share of the deadline: half, or all but a least share for each other."""
        timeouts = target.endpoint.timeouts
        left_s = self.limits.deadline - self.now()
        share_s = max(0.5 * left_s, left_s - others_left * _LEAST_SHARE_S)
        wanted_s = self.limits.first_output_s or timeouts.first_output_s
        if self.limits.unary:
            wanted_s = max(wanted_s, timeouts.total_s)
        return min(wanted_s, left_s if not others_left else share_s)

    def _judge(self, failure: ProviderFailure) -> bool:
        """Whether anything at all may follow this failure."""
        rule = failure.rule
        self.over = not (rule.fall_back or rule.retry) or self.number >= self.limits.attempts
        return not self.over

    def _wait_before_retry(
        self, target: Target, failure: ProviderFailure, tries: int, others_left: int
    ) -> float | None:
        """Seconds to wait before the same target is tried again; None when it is not."""
        if failure.fresh_connection and tries == 1:
            return 0.0
        # No key twice: one that is refused without a wait would use up all attempts.
        other_key = failure.kind in _KEY_KINDS and tries < len(target.endpoint.keys)
        if other_key and self.health.has_usable_key(target, self.now()):
            return 0.0
        if failure.output_started and others_left:
            return None
        allowed = failure.rule.retry if others_left else failure.rule.retry_last
        if tries > allowed or self.retries >= self.limits.retries:
            return None
        wait_s = self._backoff_s(failure, tries, self.health.rest_s(target, self.now()))
        if wait_s > min(MAX_WAIT_S, self.limits.deadline - self.now() - MIN_ATTEMPT_S):
            return None
        if not self.health.spend_retry(target, failure, self.now()):
            return None
        self.retries += 1
        return wait_s

    def _backoff_s(self, failure: ProviderFailure, tries: int, rest_s: float) -> float:
        """Full jitter; the provider's Retry-After and the key's rest are floors."""
        if failure.kind is FailureKind.STATE_REJECTED:
            return 0.0
        limited = failure.kind is FailureKind.RATE_LIMITED
        base_s = BACKOFF_BASE_RATE_LIMITED_S if limited else BACKOFF_BASE_S
        jitter_s = self.rng.uniform(0.0, min(base_s * 2**tries, BACKOFF_CAP_S))
        return max(jitter_s, failure.retry_after_s or 0.0, rest_s)


_LEAST_SHARE_S = 1.0
_KEY_KINDS = (FailureKind.AUTH, FailureKind.QUOTA, FailureKind.RATE_LIMITED)
