"""A scripted failure as status, details and trailers, laid out as docs/errors.md says."""

from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    QuotaFailure,
    ResourceInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status
from turnout.v1.errors_pb2 import ErrorDetail

QUOTA = {"RATE_LIMITED", "BUDGET_EXHAUSTED", "PROVIDER_RATE_LIMITED", "PROVIDER_QUOTA_EXHAUSTED"}


async def fail(
    context: grpc.aio.ServicerContext[Any, Any], failure: dict[str, Any], request_id: str
) -> NoReturn:
    """End the call; without a `reason` there are no details, as from a proxy.

    By `abort`: a unary handler that sets a code and returns sends an empty message first, which
    ends a client library's own retries (seen with grpcio 1.85).
    """
    code = grpc.StatusCode[failure["code"]]
    trailers: list[tuple[str, str | bytes]] = [("x-request-id", request_id)]
    if "pushback_ms" in failure:
        trailers.append(("grpc-retry-pushback-ms", str(failure["pushback_ms"])))
    if "reason" in failure:
        status = Status(code=code.value[0], message=failure["message"])
        for detail in _details(failure, request_id):
            packed = AnyMessage()
            packed.Pack(detail)
            status.details.append(packed)
        trailers.append(("grpc-status-details-bin", status.SerializeToString()))
    await context.abort(code, failure["message"], tuple(trailers))


def _details(failure: dict[str, Any], request_id: str) -> list[Message]:
    reason = failure["reason"]
    detail = ParseDict(failure.get("detail", {}), ErrorDetail())
    ParseDict({"reason": f"ERROR_REASON_{reason}", "requestId": request_id}, detail)
    details: list[Message] = [
        detail,
        ErrorInfo(reason=reason, domain="turnout", metadata={"request_id": request_id}),
    ]
    if detail.HasField("retry_delay"):
        details.append(RetryInfo(retry_delay=detail.retry_delay))
    if reason in QUOTA:
        broken = QuotaFailure.Violation(subject="tenant", description=failure["message"])
        details.append(QuotaFailure(violations=[broken]))
    if "violations" in failure:
        details.append(ParseDict({"fieldViolations": failure["violations"]}, BadRequest()))
    if "resource" in failure:
        details.append(ResourceInfo(resource_type="model", resource_name=failure["resource"]))
    return details
