"""Says in one line why a call failed: reason, what was tried, and what to do."""

import grpc
from grpc_status import rpc_status
from turnout.v1.errors_pb2 import AttemptFailure, ErrorDetail, ErrorReason


def describe(error: grpc.RpcError, address: str) -> str:
    """One line about a failed call; details of ours are shown where the server sent them."""
    code, message = error.code(), error.details() or "no message"
    detail = _detail_of(error)
    if detail is None:
        return f"{code.name}: {message}{_hint(code, address)}"
    parts = [f"{reason_name(detail.reason)} ({code.name}): {message}"]
    if detail.attempts:
        parts.append("tried " + ", ".join(map(_attempt, detail.attempts)))
    if detail.HasField("retry_delay"):
        parts.append(f"try again in {detail.retry_delay.ToTimedelta().total_seconds():.1f} s")
    parts.append(f"request {detail.request_id}")
    return "; ".join(parts)


def reason_name(reason: int) -> str:
    """The reason without its prefix; numbers from a newer server stay numbers."""
    if reason not in ErrorReason.values():
        return str(reason)
    return ErrorReason.Name(reason).removeprefix("ERROR_REASON_")  # type: ignore[arg-type]


def _detail_of(error: grpc.RpcError) -> ErrorDetail | None:
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # an RpcError is its call
    except ValueError:  # details that contradict the status: none of ours
        return None
    for packed in status.details if status else ():
        detail = ErrorDetail()
        if packed.Unpack(detail):
            return detail
    return None


def _attempt(attempt: AttemptFailure) -> str:
    http = f" {attempt.http_status}" if attempt.http_status else ""
    return f"{attempt.provider}/{attempt.model} {reason_name(attempt.reason)}{http}"


def _hint(code: grpc.StatusCode, address: str) -> str:
    if code is grpc.StatusCode.UNAVAILABLE:
        return f"; is a server listening on {address}? start one: turnout serve"
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return "; put a key into TURNOUT_API_KEY"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return "; a longer --timeout may help"
    return ""
