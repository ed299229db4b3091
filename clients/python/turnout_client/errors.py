"""Typed errors, from the ErrorDetail that every failed call of the gateway carries.

TurnoutError
├── InvalidRequest            a rule was broken: `violations` names every field
│   ├── ContextLengthExceeded
│   ├── PromptBlocked
│   ├── TooLarge
│   └── UnsupportedCapability
├── ModelNotFound
├── Unauthenticated
├── Forbidden
├── LimitExceeded             the tenant's own
│   ├── RateLimited
│   └── BudgetExhausted
├── DuplicateRequest
├── Unavailable               the gateway is full, stopping or out of reach
├── ProviderFailed            all that was tried failed: `attempts` tells how
├── StreamInterrupted         output was cut off: `partial` is what came
├── DeadlineExceeded          also a TimeoutError
├── Cancelled
├── InternalError
└── Restarted                 no failure: what was read is void, the stream goes on
"""

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status
from turnout.v1.errors_pb2 import AttemptFailure, ErrorDetail, ErrorReason
from turnout.v1.usage_pb2 import Usage

from turnout_client.answer import Answer


class TurnoutError(Exception):
    """A call failed. Catch this, or one of the classes below it."""

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode,
        reason: str = "",
        request_id: str = "",
        detail: ErrorDetail | None = None,
        retryable: bool = False,
        output_started: bool = False,
        violations: Sequence[BadRequest.FieldViolation] = (),
        partial: Answer | None = None,
    ) -> None:
        super().__init__(message)
        detail = detail or ErrorDetail(retryable=retryable, output_started=output_started)
        self.message = message
        self.code = code
        self.reason: str = reason
        """Name of the contract's ErrorReason, such as `RATE_LIMITED`; "" when none is known."""
        self.retryable: bool = detail.retryable
        """Whether the same call may succeed later."""
        self.retry_delay_s: float | None = (
            detail.retry_delay.ToTimedelta().total_seconds()
            if detail.HasField("retry_delay")
            else None
        )
        self.output_started: bool = detail.output_started or output_started
        self.attempts: tuple[AttemptFailure, ...] = tuple(detail.attempts)
        """What the gateway tried, the last 8 at most."""
        self.usage: Usage | None = detail.usage if detail.HasField("usage") else None
        """What was used all the same; None when not told."""
        self.request_id = detail.request_id or request_id
        """For the logs: the call's `x-request-id`."""
        self.violations = tuple(violations)
        """Fields of the request and what is wrong with each."""
        self.partial = partial
        """Of a stream, what came before it failed."""

    def __str__(self) -> str:
        what = f"{self.reason}, {self.code.name}" if self.reason else self.code.name
        fields = "".join(f"; {v.field}: {v.description}" for v in self.violations)
        return f"{self.message}{fields} ({what}, request {self.request_id or 'unknown'})"


class InvalidRequest(TurnoutError):
    """The request breaks a rule, or the provider refused it; `violations` names the fields."""


class ContextLengthExceeded(InvalidRequest):
    """The conversation does not fit the context window."""


class PromptBlocked(InvalidRequest):
    """The provider would not read the prompt."""


class TooLarge(InvalidRequest):
    """The request, or its answer, would be too large."""


class UnsupportedCapability(InvalidRequest):
    """No target can do what the request needs."""


class ModelNotFound(TurnoutError):
    """There is no such model."""


class Unauthenticated(TurnoutError):
    """The caller did not prove who it is."""


class Forbidden(TurnoutError):
    """The caller may not do this, or not with this model."""


class LimitExceeded(TurnoutError):
    """A limit of the tenant's."""


class RateLimited(LimitExceeded):
    """The tenant is over its rate limit; `retry_delay_s` says when it is not."""


class BudgetExhausted(LimitExceeded):
    """The tenant has spent its budget."""


class DuplicateRequest(TurnoutError):
    """A call with the same idempotency key is under way."""


class Unavailable(TurnoutError):
    """The gateway is full, about to stop or out of reach."""


class ProviderFailed(TurnoutError):
    """Every target that was tried failed; `attempts` tells how, `reason` why the last did."""


class StreamInterrupted(TurnoutError):
    """The answer was cut off after output began; `partial` is what came, `usage` what it took."""


class DeadlineExceeded(TurnoutError, TimeoutError):
    """The call's deadline passed."""


class Cancelled(TurnoutError):
    """The call was cancelled."""


class InternalError(TurnoutError):
    """A fault of the gateway's own."""


class Restarted(TurnoutError):
    """The gateway starts the answer over: text read so far, in `partial`, is void.

    The stream is still open: iterate on to get the new answer from its beginning.
    """


_BY_REASON: dict[str, type[TurnoutError]] = {
    "INVALID_REQUEST": InvalidRequest,
    "PROVIDER_REJECTED": InvalidRequest,
    "CONTEXT_LENGTH_EXCEEDED": ContextLengthExceeded,
    "PROMPT_BLOCKED": PromptBlocked,
    "TOO_LARGE": TooLarge,
    "UNSUPPORTED_CAPABILITY": UnsupportedCapability,
    "MODEL_NOT_FOUND": ModelNotFound,
    "UNAUTHENTICATED": Unauthenticated,
    "FORBIDDEN": Forbidden,
    "RATE_LIMITED": RateLimited,
    "BUDGET_EXHAUSTED": BudgetExhausted,
    "DUPLICATE_REQUEST": DuplicateRequest,
    "OVERLOADED": Unavailable,
    "SHUTTING_DOWN": Unavailable,
    "STREAM_INTERRUPTED": StreamInterrupted,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "INTERNAL": InternalError,
}
_BY_CODE: dict[grpc.StatusCode, type[TurnoutError]] = {
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: Forbidden,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.INTERNAL: InternalError,
}


def class_of(reason: str) -> type[TurnoutError]:
    """The class for a reason of the contract; TurnoutError for one that is newer than this."""
    if reason.startswith("PROVIDER_") and reason not in _BY_REASON:
        return ProviderFailed
    return _BY_REASON.get(reason, TurnoutError)


def reason_name(reason: ErrorReason.ValueType) -> str:
    """`RATE_LIMITED` for ERROR_REASON_RATE_LIMITED; the bare number for a newer one."""
    if reason not in ErrorReason.values():
        return str(reason)
    return ErrorReason.Name(reason).removeprefix("ERROR_REASON_")


def from_rpc(
    error: grpc.RpcError, request_id: str, partial: Answer | None = None, *, started: bool = False
) -> TurnoutError:
    """The typed error of a failed call; `started`: whether output had come."""
    code: grpc.StatusCode = error.code()
    message = error.details() or code.name
    detail, violations = _details_of(error)
    if detail is not None:
        reason = reason_name(detail.reason)
        return class_of(reason)(
            message,
            code=code,
            reason=reason,
            request_id=request_id,
            detail=detail,
            output_started=started,
            violations=violations,
            partial=partial,
        )
    return _without_detail(message, code, request_id, partial, started=started)


def no_finish(request_id: str, partial: Answer | None, *, started: bool) -> StreamInterrupted:
    """The error of a stream whose status was OK though its last event never came."""
    return StreamInterrupted(
        "the stream ended before the answer did",
        code=grpc.StatusCode.UNKNOWN,
        reason="STREAM_INTERRUPTED",
        request_id=request_id,
        output_started=started,
        partial=partial,
    )


def cancelled(request_id: str, partial: Answer | None = None) -> Cancelled:
    """The error of a call that someone other than the reading task cancelled."""
    code = grpc.StatusCode.CANCELLED
    return Cancelled("the call was cancelled", code=code, request_id=request_id, partial=partial)


def _without_detail(
    message: str, code: grpc.StatusCode, request_id: str, partial: Answer | None, *, started: bool
) -> TurnoutError:
    """A status that a proxy or the library itself made: the gateway's own always has details."""
    kind, reason = _BY_CODE.get(code, TurnoutError), ""
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        kind, reason = DeadlineExceeded, "DEADLINE_EXCEEDED"
    elif started and code is not grpc.StatusCode.CANCELLED:
        # Whatever broke it, what was delivered must not be asked for again blindly.
        kind, reason = StreamInterrupted, "STREAM_INTERRUPTED"
    return kind(
        message,
        code=code,
        reason=reason,
        request_id=request_id,
        retryable=kind is Unavailable,
        output_started=started,
        partial=partial,
    )


def _details_of(
    error: grpc.RpcError,
) -> tuple[ErrorDetail | None, Sequence[BadRequest.FieldViolation]]:
    """What `grpc-status-details-bin` holds; nothing when it is absent or nobody's."""
    found = False
    detail, bad_request = ErrorDetail(), BadRequest()
    try:
        for packed in _status_of(error).details:
            found = packed.Unpack(detail) or found
            packed.Unpack(bad_request)
    except DecodeError:
        return None, ()
    return (detail if found else None), bad_request.field_violations


def _status_of(error: grpc.RpcError) -> Status:
    trailers: Any = error.trailing_metadata() or ()  # typed otherwise by grpc and grpc.aio
    for key, value in trailers:
        if key == "grpc-status-details-bin":
            return Status.FromString(value)
    return Status()
