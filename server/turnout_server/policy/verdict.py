"""What a caller is told when nothing worked: many failures, one reason."""

from collections.abc import Sequence

from turnout.v1.errors_pb2 import AttemptFailure, ErrorReason

from turnout_server.core.errors import GatewayError, Violation
from turnout_server.core.failure import ProviderFailure
from turnout_server.policy.health import Refusal
from turnout_server.policy.routes import Alias

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
    speaker = _speaker(failures)
    reason = speaker.rule.reason if speaker else _refusal_reason(refusals)
    return GatewayError(
        reason,
        _sentence(reason, failures),
        detail="; ".join(str(failure) for failure in failures),
        retry_after_s=_retry_after_s(reason, failures, refusals, now),
        violations=_violations(speaker),
        attempts=told,
        resource=alias.name,
        named_directly=alias.direct,
    )


def _speaker(failures: Sequence[ProviderFailure]) -> ProviderFailure | None:
    if not failures:
        return None
    final = failures[-1]
    if not final.rule.fall_back:
        return final
    for reasons in _CLASSES:
        for failure in reversed(failures):
            if failure.rule.reason in reasons:
                return failure
    return final


def _refusal_reason(refusals: Sequence[Refusal]) -> ErrorReason.ValueType:
    reasons = {refusal.reason for refusal in refusals}
    return reasons.pop() if len(reasons) == 1 else _R.ERROR_REASON_PROVIDER_CIRCUIT_OPEN


def _sentence(reason: ErrorReason.ValueType, failures: Sequence[ProviderFailure]) -> str:
    sentence = PUBLIC[reason]
    return f"{sentence} ({len(failures)} attempts)" if len(failures) > 1 else sentence


def _retry_after_s(
    reason: ErrorReason.ValueType,
    failures: Sequence[ProviderFailure],
    refusals: Sequence[Refusal],
    now: float,
) -> float | None:
    """The soonest moment at which another try could fare better, over all that were asked."""
    waits = [max(0.0, refusal.until - now) for refusal in refusals if refusal.until is not None]
    stated = (failure.retry_after_s for failure in failures if failure.rule.reason == reason)
    return min((*waits, *(wait_s for wait_s in stated if wait_s is not None)), default=None)


def _violations(speaker: ProviderFailure | None) -> list[Violation]:
    if speaker is None or not speaker.field:
        return []
    return [Violation(speaker.field, PUBLIC[speaker.rule.reason])]
