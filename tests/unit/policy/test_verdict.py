"""Many failures, one reason."""

import pytest
from turnout.v1.errors_pb2 import AttemptFailure, ErrorReason

from turnout_server.core.errors import GatewayError
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.target import Endpoint, ModelCard, Target
from turnout_server.policy.routes import Alias
from turnout_server.policy.ticket import Refusal
from turnout_server.policy.verdict import verdict

NOW = 1000.0
Met = tuple[str, FailureKind] | tuple[str, FailureKind, float]
K, R = FailureKind, ErrorReason


def target(name: str) -> Target:
    return Target(Endpoint(name, name, "wire", "http://x"), ModelCard("m", frozenset()))


ALIAS = Alias("model", (target("a"), target("b")))


def told(failures: list[Met], refusals: dict[str, tuple[str, float | None]]) -> GatewayError:
    return verdict(
        ALIAS,
        [
            ProviderFailure(kind, retry_after_s=wait[0] if wait else None)
            for _, kind, *wait in failures
        ],
        [AttemptFailure(provider=name, model="m") for name, *_ in failures],
        [
            Refusal(target(name), R.Value(f"ERROR_REASON_PROVIDER_{reason}"), until)
            for name, (reason, until) in refusals.items()
        ],
        now=NOW,
    )


def reason_of(failures: list[Met], refusals: dict[str, tuple[str, float | None]]) -> str:
    reason = told(failures, refusals).reason
    return R.Name(reason).removeprefix("ERROR_REASON_").removeprefix("PROVIDER_")


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        ([K.RATE_LIMITED, K.RATE_LIMITED], "RATE_LIMITED"),
        ([K.RATE_LIMITED, K.ERROR, K.RATE_LIMITED], "ERROR"),
        ([K.OVERLOADED, K.AUTH], "OVERLOADED"),
        ([K.CONTEXT_LENGTH, K.CONTEXT_LENGTH], "CONTEXT_LENGTH_EXCEEDED"),
        ([K.ERROR, K.REJECTED], "REJECTED"),
        ([K.REJECTED, K.ERROR], "REJECTED"),
    ],
)
def test_the_reason_is_the_one_that_leaves_most_hope(kinds: list[K], reason: str) -> None:
    assert reason_of([("a", kind) for kind in kinds], {}) == reason


@pytest.mark.parametrize(
    ("reasons", "reason"),
    [
        (["CIRCUIT_OPEN", "CIRCUIT_OPEN"], "CIRCUIT_OPEN"),
        (["RATE_LIMITED", "RATE_LIMITED"], "RATE_LIMITED"),
        (["RATE_LIMITED", "CIRCUIT_OPEN"], "CIRCUIT_OPEN"),
        (["RATE_LIMITED", "QUOTA_EXHAUSTED"], "RATE_LIMITED"),
        (["AUTH_FAILED", "QUOTA_EXHAUSTED"], "AUTH_FAILED"),
        (["OVERLOADED", "AUTH_FAILED"], "OVERLOADED"),
    ],
)
def test_targets_that_were_passed_over_are_judged_alike(reasons: list[str], reason: str) -> None:
    refusals = {name: (one, None) for name, one in zip("ab", reasons, strict=True)}
    assert reason_of([], refusals) == reason


@pytest.mark.parametrize("kind", [K.AUTH, K.CONTEXT_LENGTH, K.MODEL_NOT_FOUND])
def test_a_resting_target_leaves_more_hope_than_a_failure_that_stays(kind: K) -> None:
    error = told([("a", kind)], {"b": ("CIRCUIT_OPEN", NOW + 12)})
    assert error.reason == R.ERROR_REASON_PROVIDER_CIRCUIT_OPEN
    assert error.retry_after_s == 12


def test_what_no_other_try_could_mend_is_told_whoever_rests() -> None:
    assert reason_of([("a", K.REJECTED)], {"b": ("CIRCUIT_OPEN", None)}) == "REJECTED"


def test_the_soonest_of_all_targets_says_when_to_come_back() -> None:
    assert told([("a", K.RATE_LIMITED, 5.0), ("b", K.RATE_LIMITED, 60.0)], {}).retry_after_s == 5


def test_a_target_s_last_word_counts() -> None:
    assert told([("a", K.RATE_LIMITED, 1.0), ("a", K.RATE_LIMITED, 60.0)], {}).retry_after_s == 60
