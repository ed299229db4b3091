"""Upstream went wrong: the one vocabulary for it, and what each kind allows next.

ProviderFailure(kind)  --RULES[kind]-->  reason told to the caller, retry here?, try the next?,
                                         counts for the breaker?, what becomes of the key
"""

from dataclasses import dataclass
from enum import Enum, auto

from turnout.v1.errors_pb2 import ErrorReason


class FailureKind(Enum):
    """Every way an attempt can go wrong, told apart only where the answer to it differs."""

    REJECTED = auto()
    CAPABILITY = auto()
    STATE_REJECTED = auto()
    CONTEXT_LENGTH = auto()
    TOO_LARGE = auto()
    PROMPT_BLOCKED = auto()
    MODEL_NOT_FOUND = auto()
    AUTH = auto()
    RATE_LIMITED = auto()
    QUOTA = auto()
    CONFLICT = auto()
    OVERLOADED = auto()
    ERROR = auto()
    TIMEOUT = auto()
    UNREACHABLE = auto()


class KeyFate(Enum):
    """What a failure means for the key that was used."""

    KEPT = auto()
    RESTED = auto()
    DISABLED = auto()


@dataclass(frozen=True, slots=True)
class Rule:
    """What a kind allows. `retry` counts extra tries at the same target while others wait;
    `retry_last`, those where no other target is left. Both are capped by the caller's attempts.
    """

    reason: ErrorReason.ValueType
    retry: int = 0
    retry_last: int = 0
    fall_back: bool = False
    trips_breaker: bool = False
    key: KeyFate = KeyFate.KEPT

    @property
    def is_final(self) -> bool:
        """Whether no other try could fare better."""
        return not (self.retry or self.fall_back)


_R = ErrorReason
RULES: dict[FailureKind, Rule] = {
    FailureKind.REJECTED: Rule(_R.ERROR_REASON_PROVIDER_REJECTED),
    FailureKind.CAPABILITY: Rule(_R.ERROR_REASON_UNSUPPORTED_CAPABILITY, fall_back=True),
    # A signature that another model made: the same target accepts the turn without it.
    FailureKind.STATE_REJECTED: Rule(_R.ERROR_REASON_PROVIDER_REJECTED, retry=1, retry_last=1),
    FailureKind.CONTEXT_LENGTH: Rule(_R.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED, fall_back=True),
    FailureKind.TOO_LARGE: Rule(_R.ERROR_REASON_TOO_LARGE, fall_back=True),
    FailureKind.PROMPT_BLOCKED: Rule(_R.ERROR_REASON_PROMPT_BLOCKED),
    FailureKind.MODEL_NOT_FOUND: Rule(_R.ERROR_REASON_MODEL_NOT_FOUND, fall_back=True),
    FailureKind.AUTH: Rule(
        _R.ERROR_REASON_PROVIDER_AUTH_FAILED, fall_back=True, key=KeyFate.DISABLED
    ),
    FailureKind.RATE_LIMITED: Rule(
        _R.ERROR_REASON_PROVIDER_RATE_LIMITED, retry_last=2, fall_back=True, key=KeyFate.RESTED
    ),
    FailureKind.QUOTA: Rule(
        _R.ERROR_REASON_PROVIDER_QUOTA_EXHAUSTED, fall_back=True, key=KeyFate.DISABLED
    ),
    FailureKind.CONFLICT: Rule(
        _R.ERROR_REASON_PROVIDER_ERROR, retry=1, retry_last=1, fall_back=True
    ),
    FailureKind.OVERLOADED: Rule(
        _R.ERROR_REASON_PROVIDER_OVERLOADED,
        retry=1,
        retry_last=2,
        fall_back=True,
        trips_breaker=True,
    ),
    FailureKind.ERROR: Rule(
        _R.ERROR_REASON_PROVIDER_ERROR, retry=1, retry_last=2, fall_back=True, trips_breaker=True
    ),
    FailureKind.TIMEOUT: Rule(
        _R.ERROR_REASON_PROVIDER_TIMEOUT, retry_last=1, fall_back=True, trips_breaker=True
    ),
    FailureKind.UNREACHABLE: Rule(
        _R.ERROR_REASON_PROVIDER_UNREACHABLE, retry_last=2, fall_back=True, trips_breaker=True
    ),
}
"""The inner half of the error table in docs/errors.md; `rpc.status` holds the outer half."""


class ProviderFailure(Exception):
    """One attempt went wrong. `detail` is for logs and is cut and redacted before callers see it.

    `retry_after_s` is the provider's own wish, unclamped. `field` is the request field the provider
    named, if it named one. `fresh_connection` marks a reused connection that died before any byte
    of an answer: worth one more try that no budget pays for (fault 9). `output_started` is set by
    whoever has passed output on: the same target is then not asked again while others are left.
    """

    def __init__(
        self,
        kind: FailureKind,
        detail: str = "",
        *,
        http_status: int = 0,
        retry_after_s: float | None = None,
        provider_request_id: str = "",
        field: str = "",
        fresh_connection: bool = False,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.http_status = http_status
        self.retry_after_s = retry_after_s
        self.provider_request_id = provider_request_id
        self.field = field
        self.fresh_connection = fresh_connection
        self.output_started = False

    @property
    def rule(self) -> Rule:
        """What this failure allows next."""
        return RULES[self.kind]

    def __str__(self) -> str:
        status = f" (HTTP {self.http_status})" if self.http_status else ""
        return f"{self.kind.name}{status}: {self.detail}"
