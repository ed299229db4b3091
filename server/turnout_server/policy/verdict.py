"""What a caller is told when nothing worked: many failures, one reason."""

from collections.abc import Sequence

from turnout.v1.errors_pb2 import AttemptFailure, ErrorReason

from turnout_server.core.errors import GatewayError, Violation
from turnout_server.core.failure import ProviderFailure
from turnout_server.policy.routes import Alias
from turnout_server.policy.ticket import Refusal

_R = ErrorReason
_TRANSIENT = (
    _R.ERROR_REASON_PROVIDER_OVERLOADED,
    _R.ERROR_REASON_PROVIDER_ERROR,
    _R.ERROR_REASON_PROVIDER_TIMEOUT,
    _R.ERROR_REASON_PROVIDER_UNREACHABLE,
    _R.ERROR_REASON_PROVIDER_CIRCUIT_OPEN,
)
_OURS = (_R.ERROR_REASON_PROVIDER_AUTH_FAILED,)
_CLASSES = (_TRANSIENT, (_R.ERROR_REASON_PROVIDER_RATE_LIMITED,), _OURS)
"""Which reason speaks for a mixed lot: the one that leaves the caller most hope comes first."""

PUBLIC = {
    _R.ERROR_REASON_PROVIDER_REJECTED: "the provider rejected the request",
    _R.ERROR_REASON_UNSUPPORTED_CAPABILITY: "the provider does not support what was asked",
    _R.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED: "the prompt is longer than the model's context window",
    _R.ERROR_REASON_TOO_LARGE: "the request is larger than the provider takes",
    _R.ERROR_REASON_PROMPT_BLOCKED: "the provider's content policy blocked the prompt",
    _R.ERROR_REASON_MODEL_NOT_FOUND: "the provider does not know the model",
    _R.ERROR_REASON_PROVIDER_AUTH_FAILED: "the gateway's own key was refused by the provider",
    _R.ERROR_REASON_PROVIDER_RATE_LIMITED: "the provider is limiting the rate of requests",
    _R.ERROR_REASON_PROVIDER_QUOTA_EXHAUSTED: "the gateway's quota at the provider is used up",
    _R.ERROR_REASON_PROVIDER_OVERLOADED: "the provider is overloaded",
    _R.ERROR_REASON_PROVIDER_ERROR: "the provider failed",
    _R.ERROR_REASON_PROVIDER_TIMEOUT: "the provider did not answer in time",
    _R.ERROR_REASON_PROVIDER_UNREACHABLE: "the provider could not be reached",
    _R.ERROR_REASON_PROVIDER_CIRCUIT_OPEN: "every target of this model is resting after failures",
}
"""What a caller reads, from a fixed table: an upstream's own words may echo a prompt or a key."""


def verdict(
    alias: Alias,
    failures: Sequence[ProviderFailure],
    told: Sequence[AttemptFailure],
    refusals: Sequence[Refusal],
    *,
    now: float,
) -> GatewayError:
    """The error for a call whose every target failed or was passed over."""
    if not failures and not refusals:
        return GatewayError(_R.ERROR_REASON_DEADLINE_EXCEEDED, "no time is left for any attempt")
    reason = _reason(failures, refusals)
    met = zip(told, failures, strict=True)
    last_words = {(one.provider, one.model): failure for one, failure in met}
    waits = [f.retry_after_s for f in last_words.values() if f.rule.reason == reason]
    return GatewayError(
        reason,
        _sentence(reason, failures),
        detail="; ".join(str(failure) for failure in failures),
        retry_after_s=_soonest_s(waits, refusals, now),
        violations=_violations(reason, failures),
        attempts=told,
        resource=alias.name,
        named_directly=alias.direct,
    )


def _reason(
    failures: Sequence[ProviderFailure], refusals: Sequence[Refusal]
) -> ErrorReason.ValueType:
    """What no other try could mend speaks for all; else what leaves most hope, the latest first."""
    for failure in reversed(failures):
        if failure.rule.is_final or (failure is failures[-1] and not failure.rule.fall_back):
            return failure.rule.reason
    met = [failure.rule.reason for failure in reversed(failures)]
    met += [refusal.reason for refusal in refusals]
    return next((one for reasons in _CLASSES for one in met if one in reasons), met[0])


def _sentence(reason: ErrorReason.ValueType, failures: Sequence[ProviderFailure]) -> str:
    sentence = PUBLIC[reason]
    return f"{sentence} ({len(failures)} attempts)" if len(failures) > 1 else sentence


def _soonest_s(
    waits: Sequence[float | None], refusals: Sequence[Refusal], now: float
) -> float | None:
    """The soonest moment at which another try could fare better."""
    ends = [max(0.0, refusal.until - now) for refusal in refusals if refusal.until is not None]
    return min([*ends, *(wait_s for wait_s in waits if wait_s is not None)], default=None)


def _violations(
    reason: ErrorReason.ValueType, failures: Sequence[ProviderFailure]
) -> list[Violation]:
    fields = [f.field for f in failures if f.field and f.rule.reason == reason]
    return [Violation(fields[-1], PUBLIC[reason])] if fields else []
