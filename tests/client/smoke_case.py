"""The table of clients/smoke, and what its rows want, asked of the Python client."""

import json
import os
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from google.protobuf.json_format import ParseDict
from turnout.v1.chat_service_pb2 import ChatRequest

from turnout_client import Answer, TurnoutError

SMOKE = Path(__file__).resolve().parents[2] / "clients" / "smoke"
TABLE = Path(os.environ.get("SMOKE_CASES", SMOKE / "cases.json"))
CASES: list[dict[str, Any]] = json.loads(TABLE.read_text("utf-8"))["cases"]
USAGE_START = "2026-11-01T00:00:00+00:00"


@dataclass(slots=True)
class Outcome:
    """What a client showed its caller."""

    answer: Answer = field(default_factory=Answer)
    error: TurnoutError | None = None
    vectors: dict[int, Sequence[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


def chat_request(case: dict[str, Any]) -> ChatRequest:
    request = ParseDict(case["request"], ChatRequest())
    size = case.get("fill", {}).get("message_text_size_bytes")
    if size:
        request.messages[0].text = "x" * size
    return request


def texts(case: dict[str, Any]) -> list[str]:
    return [f"text {number}" for number in range(case["fill"]["texts"])]


def client_options(case: dict[str, Any], ready: dict[str, str]) -> dict[str, Any]:
    return {
        "api_key": case.get("api_key", ready["api_key"]),
        "tenant": case.get("metadata", {}).get("x-tenant-id"),
    }


def call_options(case: dict[str, Any], request_id: str) -> dict[str, Any]:
    options: dict[str, Any] = {"request_id": request_id}
    metadata = case.get("metadata", {})
    if "idempotency-key" in metadata:
        options["idempotency_key"] = metadata["idempotency-key"]
    if "x-priority" in metadata:
        options["priority"] = metadata["x-priority"]
    if "deadline_ms" in case:
        options["timeout_s"] = case["deadline_ms"] / 1000
    return options


def calls_seen(ready: dict[str, str], request_id: str) -> list[dict[str, Any]]:
    url = f"{ready['report']}/calls?request_id={quote(request_id)}"
    with urllib.request.urlopen(url) as response:
        calls: list[dict[str, Any]] = json.load(response)["calls"]
    return calls


def check(
    case: dict[str, Any], outcome: Outcome, request_id: str, seen: list[dict[str, Any]]
) -> None:
    """Compare everything that the case wants with what there was."""
    want = case["want"]
    answer, error = outcome.answer, outcome.error
    status = error.code.name if error else "OK"
    # Closing an iterator is a cancel that Python does not tell as an error.
    assert status == want["status"] or (status == "OK" and "client" in case), error
    assert answer.text == want.get("text", answer.text)
    assert len(answer.text) == want.get("text_size_bytes", len(answer.text))
    assert answer.thinking == want.get("thinking", answer.thinking)
    assert answer.finish_reason == want.get("finish_reason", "")
    assert answer.generation == want.get("generation", answer.generation)
    if "tool_calls" in want:
        told = [
            {"id": call.id, "name": call.name, "arguments_json": call.arguments_json}
            for call in answer.tool_calls
        ]
        assert told == want["tool_calls"]
    _check_fields(answer.usage, want.get("usage", {}))
    _check_fields(answer.route, want.get("route", {}))
    if "error" in want:
        assert error is not None
        _check_error(want["error"], error, request_id)
    if "embeddings" in want:
        _check_embeddings(want["embeddings"], outcome)
    assert outcome.names == want.get("names", outcome.names)
    if "server" in want:
        _check_seen(want["server"], seen)


def _check_fields(message: Any, want: dict[str, Any]) -> None:
    for name, value in want.items():
        assert getattr(message, name) == value, name


def _check_error(want: dict[str, Any], error: TurnoutError, request_id: str) -> None:
    assert error.reason == want["reason"]
    assert error.request_id == request_id
    assert error.retryable == want.get("retryable", error.retryable)
    assert error.output_started == want.get("output_started", error.output_started)
    if "retry_delay_ms" in want:
        assert error.retry_delay_s == want["retry_delay_ms"] / 1000
    assert len(error.attempts) == want.get("attempts", len(error.attempts))
    _check_fields(error.usage, want.get("usage", {}))
    if "violations" in want:
        assert [violation.field for violation in error.violations] == want["violations"]


def _check_embeddings(want: dict[str, Any], outcome: Outcome) -> None:
    assert len(outcome.vectors) == want["count"]
    assert outcome.failed == want.get("failed", {})
    for position, vector in outcome.vectors.items():
        assert len(vector) == want["dimensions"]
        assert vector[0] == position


def _check_seen(want: dict[str, Any], seen: list[dict[str, Any]]) -> None:
    assert len(seen) == want.get("calls", len(seen))
    assert want.get("calls_at_least", 0) <= len(seen) <= want.get("calls_at_most", len(seen))
    last = seen[-1]
    assert last["outcome"] == want.get("outcome", last["outcome"])
    if "has_deadline" in want:
        assert all(call["has_deadline"] == want["has_deadline"] for call in seen)
    if "gap_at_least_ms" in want:
        assert seen[1]["started_ms"] - seen[0]["ended_ms"] >= want["gap_at_least_ms"]
    assert want.get("metadata", {}).items() <= last["metadata"].items()
    if "trace_id" in want:
        assert last["metadata"]["traceparent"].split("-")[1] == want["trace_id"]
    assert last["upstreams_open"] == want.get("upstreams_open", last["upstreams_open"])
    assert last["request_size_bytes"] >= want.get("request_size_at_least_bytes", 0)
    if "unanswered_items_at_most" in want:
        assert 0 < last["unanswered_items_at_most"] <= want["unanswered_items_at_most"]
