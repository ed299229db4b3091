"""Calls and records as rpc and dispatch make them, and a way to tell observers of one."""

from collections.abc import Sequence

from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.call import ANONYMOUS, Call, Identity, Method
from turnout_server.core.clock import SYSTEM_CLOCK
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.target import Attempt, Endpoint, Key, ModelCard, Secret, Target
from turnout_server.core.watch import AttemptOutcome, AttemptRecord, Observer, Watch

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
CANARY_KEY = "sk-canary-key-0123456789"


def call(
    request_id: str = "req-1",
    *,
    method: Method = Method.CHAT,
    model: str = "smart",
    tenant: str = ANONYMOUS.tenant,
    headers: dict[str, str] | None = None,
) -> Call:
    now = SYSTEM_CLOCK.monotonic()
    return Call(
        request_id=request_id,
        method=method,
        identity=Identity(tenant),
        deadline=now + 60,
        started=now,
        model=model,
        trace_headers=HEADERS if headers is None else headers,
    )


def attempt(number: int = 1, *, model: str = "m-1", known: bool = True) -> Attempt:
    endpoint = Endpoint("acme", "openai", "openai_chat", "https://api.acme.test/v1")
    target = Target(endpoint, ModelCard(model, frozenset(), known=known))
    return Attempt(number, target, Key("env:KEY", Secret(CANARY_KEY)), 1.0, 1.0)


def succeeded(number: int = 1, model: str = "m-1") -> AttemptRecord:
    return AttemptRecord(
        attempt(number, model=model),
        AttemptOutcome.OK,
        SYSTEM_CLOCK.monotonic(),
        0.2,
        first_output_s=0.1,
        provider_request_id="up-1",
        usage=Usage(input_tokens=10, output_tokens=20, cost_nano_usd=5_000_000),
        output_started=True,
    )


def failed(number: int = 1, detail: str = "", model: str = "m-1") -> AttemptRecord:
    failure = ProviderFailure(
        FailureKind.OVERLOADED, detail, http_status=529, provider_request_id="up-0"
    )
    return AttemptRecord(
        attempt(number, model=model),
        AttemptOutcome.FAILED,
        SYSTEM_CLOCK.monotonic(),
        0.05,
        failure=failure,
    )


def cancelled(number: int = 1) -> AttemptRecord:
    return AttemptRecord(attempt(number), AttemptOutcome.CANCELLED, SYSTEM_CLOCK.monotonic(), 0.05)


def tell(
    observers: Sequence[Observer],
    told: Call,
    *records: AttemptRecord,
    code: str = "OK",
    reason: ErrorReason.ValueType = ErrorReason.ERROR_REASON_UNSPECIFIED,
    detail: str = "",
) -> None:
    """A whole call, as `Watch` tells of it; an observer's error fails the test."""

    def fail(_observer: Observer, error: Exception) -> None:
        raise error

    watch = Watch(told, observers, on_error=fail)
    watch.accepted()
    for record in records:
        if record.outcome is AttemptOutcome.OK:
            watch.first_output(record.attempt, record.provider_request_id)
        watch.attempt_ended(record)
    watch.ended(code, reason, finish_reason="STOP" if code == "OK" else "", detail=detail)
