"""The log of calls: one line each at the end, one for each failed attempt."""

import asyncio
import json

import pytest
import structlog
from turnout.v1.errors_pb2 import ErrorReason

from tests.unit.telemetry.conftest import Lines
from tests.unit.telemetry.facts_of_a_call import (
    CANARY_KEY,
    TRACE,
    call,
    cancelled,
    failed,
    succeeded,
    tell,
)
from turnout_server.core.call import Method
from turnout_server.telemetry.call_log import CallLog

_R = ErrorReason


def test_a_call_leaves_exactly_one_line_with_all_that_it_was(lines: Lines) -> None:
    tell([CallLog()], call(), succeeded())
    [line] = lines()
    assert line["duration_ms"] >= 0
    assert line["first_output_ms"] >= 0
    wanted = {
        "level": "info",
        "event": "call",
        "request_id": "req-1",
        "trace_id": TRACE,
        "method": "turnout.v1.ChatService/Chat",
        "tenant": "default",
        "model": "smart",
        "provider": "acme",
        "served_model": "m-1",
        "code": "OK",
        "attempts": 1,
        "input_tokens": 10,
        "output_tokens": 20,
        "cost_nano_usd": 5_000_000,
        "finish_reason": "STOP",
    }
    assert {key: line.get(key) for key in wanted} == wanted


def test_a_failed_attempt_leaves_one_warning_and_a_good_one_none(lines: Lines) -> None:
    tell([CallLog()], call(), failed(1, "overloaded_error"), succeeded(2))
    first, last = lines()
    wanted = {
        "level": "warning",
        "event": "attempt failed",
        "request_id": "req-1",
        "trace_id": TRACE,
        "provider": "acme",
        "model": "m-1",
        "attempt": 1,
        "kind": "overloaded",
        "http_status": 529,
        "provider_request_id": "up-0",
        "key_id": "env:KEY",
        "detail": "overloaded_error",
    }
    assert {key: first.get(key) for key in wanted} == wanted
    assert (last["event"], last["attempts"]) == ("call", 2)


@pytest.mark.parametrize(
    ("code", "reason", "level"),
    [
        ("INVALID_ARGUMENT", _R.ERROR_REASON_INVALID_REQUEST, "info"),
        ("RESOURCE_EXHAUSTED", _R.ERROR_REASON_RATE_LIMITED, "info"),
        ("CANCELLED", _R.ERROR_REASON_UNSPECIFIED, "info"),
        ("RESOURCE_EXHAUSTED", _R.ERROR_REASON_PROVIDER_RATE_LIMITED, "warning"),
        ("ABORTED", _R.ERROR_REASON_STREAM_INTERRUPTED, "warning"),
        ("INTERNAL", _R.ERROR_REASON_INTERNAL, "warning"),
    ],
)
def test_what_failed_by_us_is_a_warning(
    lines: Lines, code: str, reason: ErrorReason.ValueType, level: str
) -> None:
    tell([CallLog()], call(), cancelled(), code=code, reason=reason)
    [line] = lines()
    assert (line["level"], line["code"]) == (level, code)


def test_secrets_and_callers_words_stay_out(lines: Lines) -> None:
    prompt = "the canary sings"
    told = call(model=prompt)
    errors = f"refused {CANARY_KEY}: {prompt!r} and labels[{prompt}] at messages[3].role"
    tell([CallLog()], told, failed(1, errors, model=prompt), code="NOT_FOUND", detail=errors)
    text = json.dumps(lines(), ensure_ascii=False)
    assert "canary" not in text
    assert "and labels[…] at messages[3].role" in text


def test_every_line_within_a_call_has_its_ids(lines: Lines) -> None:
    async def serve(name: str) -> None:
        log = CallLog()
        log.accepted(call(name))
        await asyncio.sleep(0)
        structlog.get_logger("deep.inside").info("found")

    async def both() -> None:
        await asyncio.gather(*(asyncio.create_task(serve(name)) for name in ("a", "b")))

    asyncio.run(both())
    assert sorted(line["request_id"] for line in lines()) == ["a", "b"]


@pytest.mark.parametrize("header", ["", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "nonsense"])
def test_a_call_without_a_trace_has_a_trace_id_of_its_own(lines: Lines, header: str) -> None:
    headers = {"traceparent": header}
    tell([CallLog()], call("one", headers=headers))
    tell([CallLog()], call("two", headers=headers, method=Method.EMBED))
    one, two = lines()
    assert len(one["trace_id"]) == len(two["trace_id"]) == 32
    assert one["trace_id"] != two["trace_id"]
    assert two["method"] == "turnout.v1.EmbedService/Embed"
