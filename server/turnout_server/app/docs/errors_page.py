"""docs/errors.md: what failures become, from the contract and the two tables that decide it."""

import re
from collections.abc import Iterator
from pathlib import Path

from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.app.docs.markdown import code, page, table
from turnout_server.core.failure import RULES, FailureKind, KeyFate, Rule
from turnout_server.rpc.status import TABLE, Retry, Row

_CONTRACT = Path(__file__).parents[4] / "protos/turnout/v1/errors.proto"
_MEANING = re.compile(r"((?: *// .*\n)+) *ERROR_REASON_(\w+) = \d+;")
_R = ErrorReason

_INTRODUCTION = """\
Every failed call of `turnout.v1` ends with a gRPC status; its `grpc-status-details-bin` holds
`turnout.v1.ErrorDetail` and `google.rpc.ErrorInfo` (domain `turnout`, the reason without its
prefix), beside what the table names. Its trailers hold `x-request-id` and `grpc-retry-pushback-ms`,
which gRPC's own retries obey.

| retry | pushback | `ErrorDetail.retryable` |
| --- | --- | --- |
| no | -1 | false |
| after a delay | what the provider or a limit asks for, else 100 to 1,000 ms at random | true |
| at once | 1 ms, since clients written on gRPC's core hang on 0 | true |

## What a caller is told
"""

_BENEATH = """\
gRPC itself answers some calls before any of this: UNIMPLEMENTED for a method it does not know,
RESOURCE_EXHAUSTED for a message above 32 MiB or metadata above 16 KiB. These carry no details.

## What the gateway does first

A failing provider is retried or replaced before the first output of an answer, as far as the call's
attempts, its deadline and the target's retry budget allow. After the first output a failure ends
the call with `STREAM_INTERRUPTED`, unless the caller or the alias asked for another policy.
"""

_SPEAKER = """\
A failure after which no other target is asked speaks for itself. Where every target failed, the
reason that leaves the most hope is told: of the transient ones (overloaded, error, timeout,
unreachable) the latest, else a rate limit, else a refused key, else the latest. Where no target
could be asked at all, what all of them have in common is told, else `PROVIDER_CIRCUIT_OPEN`.
`ErrorDetail.attempts` names each attempt in either case.
"""

_RETRY = {
    Retry.NEVER: "no",
    Retry.DELAYED: "after a delay",
    Retry.AT_ONCE: "at once",
}
_KEY = {
    KeyFate.KEPT: "",
    KeyFate.RESTED: "rests",
    KeyFate.DISABLED: "is out",
}
_LED_BY_OTHERS = {
    _R.ERROR_REASON_PROVIDER_CIRCUIT_OPEN: "none was asked: all rest",
    _R.ERROR_REASON_STREAM_INTERRUPTED: "any, after output",
}


def errors_page() -> str:
    """The page's text."""
    return page("Errors", _lines())


def _lines() -> Iterator[str]:
    meanings = _meanings()
    yield _INTRODUCTION
    yield from table(
        ["reason", "means", "status", "retry", "further details", "failures that lead there"],
        (
            (
                code(_name(reason)),
                meanings[_name(reason)],
                _status(reason, row),
                _RETRY[row.retry],
                _details(reason, row),
                _led_by(reason),
            )
            for reason, row in sorted(TABLE.items())
        ),
    )
    yield _BENEATH
    yield from table(
        [
            "failure",
            "tries again at the same target",
            "next target",
            "counts for the breaker",
            "its key",
            "reason told",
        ],
        (_rule(kind, rule) for kind, rule in RULES.items()),
    )
    yield _SPEAKER


def _meanings() -> dict[str, str]:
    """The contract's own comment on each reason."""
    return {
        name: " ".join(line.strip().removeprefix("// ") for line in comment.splitlines())
        for comment, name in _MEANING.findall(_CONTRACT.read_text("utf-8"))
    }


def _status(reason: "ErrorReason.ValueType", row: Row) -> str:
    if reason == _R.ERROR_REASON_MODEL_NOT_FOUND:
        return f"{row.code.name}; INTERNAL where only an alias named the model"
    return row.code.name


def _details(reason: "ErrorReason.ValueType", row: Row) -> str:
    names = []
    if row.retry is not Retry.NEVER:
        names.append("RetryInfo")
    if row.quota:
        names.append("QuotaFailure")
    if reason == _R.ERROR_REASON_INVALID_REQUEST:
        names.append("BadRequest")
    elif row.code.name == "INVALID_ARGUMENT":
        names.append("BadRequest where a field is to blame")
    if row.resource:
        names.append("ResourceInfo")
    return ", ".join(names)


def _led_by(reason: "ErrorReason.ValueType") -> str:
    kinds = [_words(kind) for kind, rule in RULES.items() if rule.reason == reason]
    return ", ".join(kinds) or _LED_BY_OTHERS.get(reason, "")


def _rule(kind: FailureKind, rule: Rule) -> tuple[str, ...]:
    return (
        _words(kind),
        _tries(rule),
        "yes" if rule.fall_back else "",
        "yes" if rule.trips_breaker else "",
        _KEY[rule.key],
        code(_name(rule.reason)),
    )


def _tries(rule: Rule) -> str:
    if rule.retry == rule.retry_last:
        return str(rule.retry) if rule.retry else ""
    return f"{rule.retry}, as the last target {rule.retry_last}"


def _words(kind: FailureKind) -> str:
    return kind.name.lower().replace("_", " ")


def _name(reason: "ErrorReason.ValueType") -> str:
    return ErrorReason.Name(reason).removeprefix("ERROR_REASON_")
