"""The one table from the reason of a failure to what a caller sees of it (docs/errors.md)."""

import random
from dataclasses import dataclass
from enum import Enum, auto

import grpc
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as rpc_details
from google.rpc.status_pb2 import Status
from turnout.v1.errors_pb2 import ErrorDetail, ErrorReason

from turnout_server.core.errors import GatewayError
from turnout_server.rpc.context import Context

DOMAIN = "turnout"
MAX_MESSAGE_BYTES = 256
MAX_DETAILS_BYTES = 4096
"""grpc-java refuses headers over 8 KiB, and C-core then replaces our code by its own."""
MAX_ATTEMPTS_TOLD = 8
DEFAULT_DELAY_S = (0.1, 1.0)
MAX_DELAY_S = 86_400.0
"""Of a provider's wish; clients read the pushback as 32 bits of milliseconds."""


class Retry(Enum):
    """Whether the caller may try the same call again."""

    NEVER = auto()
    DELAYED = auto()
    AT_ONCE = auto()


@dataclass(frozen=True, slots=True)
class Row:
    """What becomes of one reason: status code, pushback, and the standard details it carries."""

    code: grpc.StatusCode
    retry: Retry = Retry.NEVER
    quota: bool = False
    resource: bool = False


_C = grpc.StatusCode
_R = ErrorReason
TABLE: dict[ErrorReason.ValueType, Row] = {
    _R.ERROR_REASON_INVALID_REQUEST: Row(_C.INVALID_ARGUMENT),
    _R.ERROR_REASON_MODEL_NOT_FOUND: Row(_C.NOT_FOUND, resource=True),
    _R.ERROR_REASON_UNSUPPORTED_CAPABILITY: Row(_C.INVALID_ARGUMENT),
    _R.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED: Row(_C.INVALID_ARGUMENT),
    _R.ERROR_REASON_TOO_LARGE: Row(_C.INVALID_ARGUMENT),
    _R.ERROR_REASON_PROMPT_BLOCKED: Row(_C.INVALID_ARGUMENT),
    _R.ERROR_REASON_PROVIDER_REJECTED: Row(_C.INVALID_ARGUMENT),
    _R.ERROR_REASON_UNAUTHENTICATED: Row(_C.UNAUTHENTICATED),
    _R.ERROR_REASON_FORBIDDEN: Row(_C.PERMISSION_DENIED),
    _R.ERROR_REASON_RATE_LIMITED: Row(_C.RESOURCE_EXHAUSTED, Retry.DELAYED, quota=True),
    _R.ERROR_REASON_BUDGET_EXHAUSTED: Row(_C.RESOURCE_EXHAUSTED, quota=True),
    _R.ERROR_REASON_OVERLOADED: Row(_C.UNAVAILABLE, Retry.DELAYED),
    _R.ERROR_REASON_SHUTTING_DOWN: Row(_C.UNAVAILABLE, Retry.AT_ONCE),
    _R.ERROR_REASON_PROVIDER_RATE_LIMITED: Row(_C.RESOURCE_EXHAUSTED, Retry.DELAYED, quota=True),
    _R.ERROR_REASON_PROVIDER_QUOTA_EXHAUSTED: Row(_C.RESOURCE_EXHAUSTED, quota=True),
    _R.ERROR_REASON_PROVIDER_OVERLOADED: Row(_C.UNAVAILABLE, Retry.DELAYED),
    _R.ERROR_REASON_PROVIDER_ERROR: Row(_C.UNAVAILABLE, Retry.DELAYED),
    _R.ERROR_REASON_PROVIDER_TIMEOUT: Row(_C.UNAVAILABLE, Retry.DELAYED),
    _R.ERROR_REASON_PROVIDER_UNREACHABLE: Row(_C.UNAVAILABLE, Retry.DELAYED),
    # INTERNAL, so that callers do not refresh their own credentials for our bad key.
    _R.ERROR_REASON_PROVIDER_AUTH_FAILED: Row(_C.INTERNAL),
    _R.ERROR_REASON_PROVIDER_CIRCUIT_OPEN: Row(_C.UNAVAILABLE, Retry.DELAYED),
    # ABORTED, so that a blanket retry of UNAVAILABLE never repeats text that was delivered.
    _R.ERROR_REASON_STREAM_INTERRUPTED: Row(_C.ABORTED),
    _R.ERROR_REASON_DEADLINE_EXCEEDED: Row(_C.DEADLINE_EXCEEDED),
    _R.ERROR_REASON_DUPLICATE_REQUEST: Row(_C.ABORTED, Retry.DELAYED),
    _R.ERROR_REASON_INTERNAL: Row(_C.INTERNAL),
}


def code_of(error: GatewayError) -> grpc.StatusCode:
    """The status code; a model that only an alias led to is our fault, not the caller's."""
    if error.reason == _R.ERROR_REASON_MODEL_NOT_FOUND and not error.named_directly:
        return _C.INTERNAL
    return TABLE[error.reason].code


def fail(context: Context, error: GatewayError, request_id: str) -> None:
    """Set the call's status, details and trailers; the handler must then return None.

    It must not abort a stream: towards a caller that does not read that would wait for ever. For
    unary methods the guard does it.
    """
    context.set_code(code_of(error))
    context.set_details(message_of(error))
    context.set_trailing_metadata(_trailers(error, request_id))


def _trailers(error: GatewayError, request_id: str) -> tuple[tuple[str, str | bytes], ...]:
    delay_s = _delay_s(error)
    # Never 0: C-core's clients then wait until their deadline instead of retrying (measured).
    pushback_ms = -1 if delay_s is None else max(1, round(delay_s * 1000))
    return (
        ("x-request-id", request_id),
        ("grpc-status-details-bin", _details(error, request_id, delay_s)),
        ("grpc-retry-pushback-ms", str(pushback_ms)),
    )


def _delay_s(error: GatewayError) -> float | None:
    """Seconds to wait before a retry; None when there is to be none."""
    retry = TABLE[error.reason].retry
    if retry is Retry.NEVER:
        return None
    if retry is Retry.AT_ONCE:
        return 0.0
    if error.retry_after_s is not None:
        return min(max(0.0, error.retry_after_s), MAX_DELAY_S)
    return random.uniform(*DEFAULT_DELAY_S)


def _details(error: GatewayError, request_id: str, delay_s: float | None) -> bytes:
    """The serialized google.rpc.Status, at most MAX_DETAILS_BYTES long."""
    serialized = b""
    for attempts, violations in ((MAX_ATTEMPTS_TOLD, 32), (3, 16), (1, 8), (0, 1), (0, 0)):
        status = Status(code=code_of(error).value[0], message=message_of(error))
        for detail in _all_details(error, request_id, delay_s, attempts, violations):
            packed = Packed()
            packed.Pack(detail)
            status.details.append(packed)
        serialized = bytes(status.SerializeToString())
        if len(serialized) <= MAX_DETAILS_BYTES:
            break
    return serialized


def _all_details(
    error: GatewayError, request_id: str, delay_s: float | None, attempts: int, violations: int
) -> list[Message]:
    row = TABLE[error.reason]
    reason = ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_")
    details: list[Message] = [
        _our_detail(error, request_id, delay_s, attempts),
        rpc_details.ErrorInfo(reason=reason, domain=DOMAIN, metadata={"request_id": request_id}),
    ]
    if delay_s is not None:
        retry = rpc_details.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(delay_s * 1e9))
        details.append(retry)
    if row.quota:
        subject = error.resource or "provider"
        quota = rpc_details.QuotaFailure.Violation(subject=subject, description=message_of(error))
        details.append(rpc_details.QuotaFailure(violations=[quota]))
    if error.violations:
        details.append(_bad_request(error, violations))
    if row.resource and error.resource:
        details.append(
            rpc_details.ResourceInfo(
                resource_type="model", resource_name=error.resource, description=message_of(error)
            )
        )
    return details


def _our_detail(
    error: GatewayError, request_id: str, delay_s: float | None, attempts: int
) -> ErrorDetail:
    detail = ErrorDetail(
        reason=error.reason,
        request_id=request_id,
        retryable=delay_s is not None,
        output_started=error.output_started,
        attempts=error.attempts[-attempts:] if attempts else (),
    )
    if delay_s is not None:
        detail.retry_delay.FromNanoseconds(round(delay_s * 1e9))
    if error.usage is not None:
        detail.usage.CopyFrom(error.usage)
    return detail


def _bad_request(error: GatewayError, at_most: int) -> rpc_details.BadRequest:
    told = error.violations[:at_most]
    fields = [
        rpc_details.BadRequest.FieldViolation(
            field=_cut(violation.field), description=_cut(violation.description)
        )
        for violation in told
    ]
    untold = len(error.violations) - len(told)
    if untold:
        more = rpc_details.BadRequest.FieldViolation(field="", description=f"and {untold} more")
        fields.append(more)
    return rpc_details.BadRequest(field_violations=fields)


def message_of(error: GatewayError) -> str:
    """The sentence a caller reads, cut to what a header may hold."""
    return _cut(error.public)


def _cut(text: str) -> str:
    raw = text.encode("utf-8", "replace")
    return text if len(raw) <= MAX_MESSAGE_BYTES else raw[:253].decode("utf-8", "ignore") + "…"
