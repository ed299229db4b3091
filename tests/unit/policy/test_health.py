"""What is remembered of targets, and for how long."""

import random

from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.target import Endpoint, Key, ModelCard, Secret, Target
from turnout_server.policy.breaker import CircuitState
from turnout_server.policy.health import MAX_TARGETS, Health
from turnout_server.policy.ticket import Refusal, Ticket

NOW = 1000.0


def endpoint(*keys: str) -> Endpoint:
    held = tuple(Key(key, Secret("s")) for key in keys)
    return Endpoint("e", "row", "wire", "http://x", held)


def target(model: str = "m", at: Endpoint | None = None) -> Target:
    return Target(at or endpoint("k"), ModelCard(model, frozenset()))


def fail(health: Health, at: Target, kind: FailureKind, times: int = 1) -> None:
    for _ in range(times):
        ticket = health.admit(at, NOW)
        assert isinstance(ticket, Ticket)
        ticket.fail(ProviderFailure(kind), NOW)


def test_models_that_callers_make_up_do_not_pile_up() -> None:
    health = Health(random.Random(0))
    for i in range(2 * MAX_TARGETS):
        fail(health, target(f"made-up-{i}"), FailureKind.RATE_LIMITED)
    forgotten = sum(
        isinstance(health.admit(target(f"made-up-{i}"), NOW), Ticket) for i in range(99)
    )
    assert forgotten == 99


def test_models_that_callers_make_up_do_not_push_out_those_in_use() -> None:
    health = Health(random.Random(0))
    used = target()
    fail(health, used, FailureKind.ERROR, times=5)
    assert isinstance(health.admit(used, NOW), Refusal)
    for i in range(2 * MAX_TARGETS):
        fail(health, target(f"made-up-{i}"), FailureKind.REJECTED)
        if i % 100 == 0:
            assert isinstance(health.admit(used, NOW), Refusal)
    assert isinstance(health.admit(used, NOW), Refusal)


def test_a_key_that_was_replaced_is_neither_probed_nor_shown() -> None:
    health = Health(random.Random(0))
    fail(health, target(at=endpoint("old")), FailureKind.ERROR, times=5)
    now = target(at=endpoint("new"))
    assert health.admit_least_bad([now], NOW) is None
    assert health.status(now.endpoint, NOW).state is CircuitState.CLOSED
    assert health.status(now.endpoint, NOW).next_probe_at is None


def test_a_refused_key_is_no_probe() -> None:
    health = Health(random.Random(0))
    only = target(at=endpoint("k"))
    fail(health, only, FailureKind.ERROR, times=4)
    ticket = health.admit(only, NOW)
    last = health.admit(only, NOW)
    assert isinstance(ticket, Ticket)
    assert isinstance(last, Ticket)
    ticket.fail(ProviderFailure(FailureKind.AUTH), NOW)
    last.fail(ProviderFailure(FailureKind.ERROR), NOW)
    assert health.admit_least_bad([only], NOW) is None


def test_of_several_resting_keys_the_first_to_return_is_told() -> None:
    health = Health(random.Random(0))
    both = target(at=endpoint("k1", "k2"))
    for wait_s in (5.0, 50.0):
        ticket = health.admit(both, NOW)
        assert isinstance(ticket, Ticket)
        failure = ProviderFailure(FailureKind.RATE_LIMITED, retry_after_s=wait_s)
        ticket.fail(failure, NOW)
    for _ in range(2):
        refusal = health.admit(both, NOW)
        assert isinstance(refusal, Refusal)
        assert refusal.reason == ErrorReason.ERROR_REASON_PROVIDER_RATE_LIMITED
        assert refusal.until is not None
        assert refusal.until < NOW + 10
