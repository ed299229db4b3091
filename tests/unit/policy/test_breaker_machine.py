"""The breaker under any order of admissions, verdicts, pauses and operators."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from turnout_server.policy.breaker import Breaker, BreakerSettings, CircuitState, Permit

SETTINGS = BreakerSettings()


class BreakerMachine(RuleBasedStateMachine):
    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.breaker = Breaker(lambda: 0.5, SETTINGS)
        self.probes: dict[Permit, float] = {}

    def verdict_given(self, permit: Permit) -> None:
        self.probes.pop(permit, None)

    def note(self, permit: Permit) -> Permit:
        if permit.probe:
            self.probes[permit] = self.now
        return permit

    @rule(target=permits)
    def admit(self) -> Permit:
        state = self.breaker.state(self.now)
        permit = self.breaker.admit(self.now)
        if state is CircuitState.CLOSED:
            assert permit is not None
            assert not permit.probe
        elif state is CircuitState.OPEN:
            assert permit is None
        else:
            assert permit is None or permit.probe
        return self.note(permit) if permit else Permit(Breaker(lambda: 0.0), -1, probe=False)

    @rule(target=permits)
    def force(self) -> Permit:
        permit = self.breaker.admit_probe(self.now)
        return self.note(permit) if permit else Permit(Breaker(lambda: 0.0), -1, probe=False)

    @rule(permit=consumes(permits), again=st.booleans())
    def succeed(self, permit: Permit, again: bool) -> None:
        permit.succeed(self.now)
        if again:
            permit.fail(self.now)
        self.verdict_given(permit)

    @rule(permit=consumes(permits))
    def fail(self, permit: Permit) -> None:
        was = self.breaker.state(self.now)
        permit.fail(self.now)
        self.verdict_given(permit)
        assert was is CircuitState.CLOSED or self.breaker.state(self.now) is not CircuitState.CLOSED

    @rule(permit=consumes(permits))
    def release(self, permit: Permit) -> None:
        was = self.breaker.state(self.now)
        permit.release(self.now)
        self.verdict_given(permit)
        assert self.breaker.state(self.now) is was

    @rule(count=st.integers(1, 25), share=st.sampled_from([0.0, 0.5, 1.0]))
    def burst(self, count: int, share: float) -> None:
        for call in range(count):
            permit = self.breaker.admit(self.now)
            if permit is not None and call % 2 >= share * 2:
                permit.succeed(self.now)
            elif permit is not None:
                permit.fail(self.now)

    @rule(wait_s=st.sampled_from([0.1, 1.0, 6.0, 31.0, 130.0, 400.0]))
    def wait(self, wait_s: float) -> None:
        self.now += wait_s

    @rule()
    def open(self) -> None:
        self.breaker.open(self.now)
        self.probes.clear()
        assert self.breaker.state(self.now) is CircuitState.OPEN

    @rule()
    def reset(self) -> None:
        self.breaker.reset()
        self.probes.clear()
        assert self.breaker.state(self.now) is CircuitState.CLOSED

    @invariant()
    def at_most_one_probe_is_out(self) -> None:
        out = [p for p, at in self.probes.items() if self.now < at + SETTINGS.probe_lapse_s]
        assert len(out) <= 1

    @invariant()
    def the_next_probe_is_at_most_a_full_hold_away(self) -> None:
        retry_at = self.breaker.retry_at(self.now)
        closed = self.breaker.state(self.now) is CircuitState.CLOSED
        assert (retry_at is None) == closed
        if retry_at is not None:
            assert self.now <= retry_at <= self.now + SETTINGS.open_cap_s * (1 + SETTINGS.jitter)

    @invariant()
    def the_error_rate_is_a_share(self) -> None:
        assert 0.0 <= self.breaker.error_rate(self.now) <= 1.0


BreakerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestBreakerMachine = BreakerMachine.TestCase
