"""What is tried next, under a clock that the test moves."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from turnout.v1.model_service_pb2 import Capability

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.target import Endpoint, Key, ModelCard, Secret, Target
from turnout_server.policy.attempts import MIN_ATTEMPT_S, Limits, Wait, plan
from turnout_server.policy.health import Health
from turnout_server.policy.ticket import Refusal, Ticket

CARD = ModelCard("m", frozenset({Capability.CAPABILITY_CHAT}))


def target(name: str, keys: int = 1) -> Target:
    ids = tuple(Key(f"{name}-{i}", Secret("s")) for i in range(keys))
    return Target(Endpoint(name, name, "wire", "http://x", ids), CARD)


@dataclass
class Walked:
    """What a plan did: each target with its key, the waits, and who was passed over."""

    tried: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    first_output_s: list[float] = field(default_factory=list)


Answer = Callable[[Ticket], ProviderFailure | None]


class World:
    """A clock and the health of all targets."""

    def __init__(self, seed: int = 0) -> None:
        self.now = 1000.0
        self.rng = random.Random(seed)
        self.health = Health(self.rng)

    def walk(
        self,
        *targets: Target,
        answer: Answer,
        deadline_s: float = 600.0,
        retries: int = 2,
        attempts: int = 9,
        takes_s: float = 0.0,
    ) -> Walked:
        """Run a plan to its end, or to the first ticket that `answer` lets succeed."""
        limits = Limits(self.now + deadline_s, retries, attempts)
        running = plan(targets, limits, self.health, lambda: self.now, self.rng)
        walked = Walked()
        try:
            step = next(running)
            while True:
                if isinstance(step, Wait):
                    walked.waits.append(step.wait_s)
                    self.now += step.wait_s
                    step = next(running)
                    continue
                walked.tried.append(step.target.provider)
                walked.keys.append(step.key.id if step.key else "")
                walked.first_output_s.append(step.attempt.first_output_s)
                self.now += takes_s
                failure = answer(step)
                if failure is None:
                    step.succeed(self.now)
                    return walked
                step.fail(failure, self.now)
                step = running.send(failure)
        except StopIteration as stop:
            walked.refusals = stop.value
        return walked


def always(kind: FailureKind, retry_after_s: float | None = None) -> Answer:
    return lambda _: ProviderFailure(kind, retry_after_s=retry_after_s)


def by_target(**kinds: FailureKind | None) -> Answer:
    def answer(ticket: Ticket) -> ProviderFailure | None:
        kind = kinds[ticket.target.provider]
        return None if kind is None else ProviderFailure(kind)

    return answer


def test_refused_connection_falls_back_at_once() -> None:
    walked = World().walk(
        target("a"), target("b"), answer=by_target(a=FailureKind.UNREACHABLE, b=None)
    )
    assert (walked.tried, walked.waits) == (["a", "b"], [])


def test_overloaded_target_is_retried_once_with_jitter_then_left() -> None:
    walked = World().walk(
        target("a"), target("b"), answer=by_target(a=FailureKind.OVERLOADED, b=None)
    )
    assert walked.tried == ["a", "a", "b"]
    assert len(walked.waits) == 1
    assert 0 <= walked.waits[0] <= 0.1


@pytest.mark.parametrize("kind", [FailureKind.REJECTED, FailureKind.PROMPT_BLOCKED])
def test_a_caller_s_fault_ends_everything(kind: FailureKind) -> None:
    assert World().walk(target("a"), target("b"), answer=always(kind)).tried == ["a"]


def test_rejected_state_is_stripped_and_tried_once_more() -> None:
    stripped: list[bool] = []

    def answer(ticket: Ticket) -> ProviderFailure | None:
        stripped.append(ticket.attempt.strip_state)
        return ProviderFailure(FailureKind.STATE_REJECTED)

    assert World().walk(target("a"), target("b"), answer=answer).tried == ["a", "a"]
    assert stripped == [False, True]


def test_bad_key_gives_way_to_the_next_key_of_the_same_target() -> None:
    walked = World().walk(
        target("a", keys=2), target("b"), answer=by_target(a=FailureKind.AUTH, b=None)
    )
    assert walked.tried == ["a", "a", "b"]
    assert walked.keys[:2] == ["a-0", "a-1"]


def test_rate_limited_last_target_is_waited_for_as_long_as_it_asks() -> None:
    world = World()
    calls = iter([ProviderFailure(FailureKind.RATE_LIMITED, retry_after_s=7.0), None])
    walked = world.walk(target("a"), answer=lambda _: next(calls))
    assert walked.tried == ["a", "a"]
    assert 7.0 <= walked.waits[0] <= 7.8


def test_a_wait_past_the_deadline_is_not_begun() -> None:
    walked = World().walk(
        target("a"), answer=always(FailureKind.RATE_LIMITED, 30.0), deadline_s=10.0
    )
    assert (walked.tried, walked.waits) == (["a"], [])


def test_later_call_skips_a_resting_target_without_asking_it() -> None:
    world = World()
    a, b = target("a"), target("b")
    world.walk(a, b, answer=by_target(a=FailureKind.RATE_LIMITED, b=None))
    assert world.walk(a, b, answer=by_target(a=None, b=None)).tried == ["b"]


def test_a_key_with_nothing_left_gives_way_before_it_is_refused() -> None:
    world = World()
    a = target("a", keys=2)

    def spend(ticket: Ticket) -> None:
        ticket.rest(20.0, world.now)

    world.walk(a, answer=spend)
    assert [world.walk(a, answer=lambda _: None).keys for _ in range(3)] == [["a-1"]] * 3


def test_with_a_millisecond_left_nobody_is_called() -> None:
    walked = World().walk(target("a"), answer=always(FailureKind.ERROR), deadline_s=0.001)
    assert walked.tried == []


def test_deadline_is_divided_so_that_the_last_target_gets_its_share() -> None:
    walked = World().walk(
        target("a"),
        target("b"),
        target("c"),
        answer=always(FailureKind.UNREACHABLE),
        deadline_s=10.0,
        retries=0,
    )
    assert walked.first_output_s == [8.0, 9.0, 10.0]


def test_retries_stay_within_the_callers_cap() -> None:
    walked = World().walk(target("a"), target("b"), answer=always(FailureKind.ERROR), attempts=2)
    assert walked.tried == ["a", "a"]


def test_every_target_is_reached_whatever_the_retries() -> None:
    targets = [target(name) for name in "abcd"]
    walked = World().walk(*targets, answer=always(FailureKind.UNREACHABLE), attempts=6)
    assert set(walked.tried) == set("abcd")


def test_failure_storm_costs_at_most_a_tenth_more() -> None:
    world = World()
    tried = sum(
        len(world.walk(target("a"), answer=always(FailureKind.ERROR), takes_s=0.01).tried)
        for _ in range(500)
    )
    assert tried <= 550


def test_when_every_circuit_is_open_one_probe_a_second_is_let_through() -> None:
    world = World()
    a = target("a")
    for _ in range(5):
        world.walk(a, answer=always(FailureKind.ERROR), retries=0)
    tried = [len(world.walk(a, answer=always(FailureKind.ERROR)).tried) for _ in range(20)]
    assert sum(tried) == 1
    assert world.walk(a, answer=always(FailureKind.ERROR)).refusals[0].until is not None


def test_a_rival_comes_from_the_next_target() -> None:
    world = World()
    limits = Limits(world.now + 60, retries=2, attempts=4)
    running = plan([target("a"), target("b")], limits, world.health, lambda: world.now, world.rng)
    first = next(running)
    rival = running.send(None)  # type: ignore[arg-type]
    assert isinstance(first, Ticket)
    assert isinstance(rival, Ticket)
    assert (first.target.provider, rival.target.provider) == ("a", "b")


def test_stale_connection_is_tried_again_at_no_cost() -> None:
    failures = iter([ProviderFailure(FailureKind.UNREACHABLE, fresh_connection=True), None])
    walked = World().walk(target("a"), target("b"), answer=lambda _: next(failures), retries=0)
    assert (walked.tried, walked.waits) == (["a", "a"], [])


def test_an_attempt_is_never_shorter_than_what_could_work() -> None:
    assert 0 < MIN_ATTEMPT_S < 0.2


def test_a_retry_after_of_nothing_does_not_spend_the_others_attempts() -> None:
    refused = ProviderFailure(FailureKind.RATE_LIMITED, retry_after_s=0.0)
    walked = World().walk(
        target("a"),
        target("b"),
        answer=lambda ticket: refused if ticket.target.provider == "a" else None,
        attempts=4,
    )
    assert walked.tried == ["a", "b"]
