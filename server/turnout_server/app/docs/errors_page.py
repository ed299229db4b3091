"""docs/errors.md: what failures become, from the two tables that decide it."""

from collections.abc import Iterator

from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.app.docs.markdown import code, page, table
from turnout_server.core.failure import RULES, FailureKind, KeyFate, Rule
from turnout_server.rpc.status import TABLE, Retry, Row

_INTRODUCTION = """\
Every failed call ends with a gRPC status; its `grpc-status-details-bin` holds
`turnout.v1.ErrorDetail` and `google.rpc.ErrorInfo` (domain `turnout`), beside what the table names.
Its trailers hold `x-request-id` and `grpc-retry-pushback-ms`: how long to wait before a retry, or
-1 for none.

## What a caller is told
"""

_INSIDE = """\
## What the gateway does first

A failing provider is retried or replaced before the first output of an answer, as far as the call's
attempts, its deadline and the retry budget allow. After the first output a failure ends the call
with `STREAM_INTERRUPTED`, unless the caller asked for another policy. When every target failed, the
caller is told the last reason; the code is the attempts' common one, else `UNAVAILABLE` if any of
them was transient, else `INTERNAL`.
"""

_RETRY = {
    Retry.NEVER: "no",
    Retry.DELAYED: "after the delay",
    Retry.AT_ONCE: "at once",
}
_KEY = {
    KeyFate.KEPT: "",
    KeyFate.RESTED: "rests",
    KeyFate.DISABLED: "is out",
}


def errors_page() -> str:
    """The page's text."""
    return page("Errors", _lines())


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    yield from table(
        ["reason", "status", "retry", "details beside ErrorDetail and ErrorInfo"],
        (
            (code(_name(reason)), _status(reason, row), _RETRY[row.retry], _details(row))
            for reason, row in sorted(TABLE.items())
        ),
    )
    yield _INSIDE
    yield from table(
        [
            "failure",
            "retries at the same target",
            "next target",
            "counts for the breaker",
            "its key",
            "reason told",
        ],
        (_rule(kind, rule) for kind, rule in RULES.items()),
    )


def _status(reason: "ErrorReason.ValueType", row: Row) -> str:
    if reason == ErrorReason.ERROR_REASON_MODEL_NOT_FOUND:
        return f"{row.code.name}; INTERNAL where only an alias named the model"
    return row.code.name


def _details(row: Row) -> str:
    named = {
        "RetryInfo": row.retry is not Retry.NEVER,
        "QuotaFailure": row.quota,
        "BadRequest": row.code.name == "INVALID_ARGUMENT",
        "ResourceInfo": row.resource,
    }
    return ", ".join(name for name, present in named.items() if present)


def _rule(kind: FailureKind, rule: Rule) -> tuple[str, ...]:
    return (
        kind.name.lower().replace("_", " "),
        str(rule.retry) if rule.retry else "",
        "yes" if rule.fall_back else "",
        "yes" if rule.trips_breaker else "",
        _KEY[rule.key],
        code(_name(rule.reason)),
    )


def _name(reason: "ErrorReason.ValueType") -> str:
    return ErrorReason.Name(reason).removeprefix("ERROR_REASON_")
