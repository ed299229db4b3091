"""The error table of the contract, from a provider's failure to what the caller is told."""

from pathlib import Path

import grpc
import pytest
from turnout.v1.chat_service_pb2 import ChatRequest, Tool
from turnout.v1.content_pb2 import ROLE_USER, Media, Message, Part
from turnout.v1.errors_pb2 import AttemptFailure, ErrorReason

from tests.rpc.serving import Failed, Serving, chat, serve
from turnout_server.core.errors import GatewayError, Violation
from turnout_server.core.failure import RULES, FailureKind
from turnout_server.rpc import status

C = grpc.StatusCode
TABLE = [
    ("REJECTED", C.INVALID_ARGUMENT, "PROVIDER_REJECTED", -1),
    ("AUTH", C.INTERNAL, "PROVIDER_AUTH_FAILED", -1),
    ("MODEL_NOT_FOUND", C.NOT_FOUND, "MODEL_NOT_FOUND", -1),
    ("TIMEOUT", C.UNAVAILABLE, "PROVIDER_TIMEOUT", None),
    ("CONFLICT", C.UNAVAILABLE, "PROVIDER_ERROR", None),
    ("TOO_LARGE", C.INVALID_ARGUMENT, "TOO_LARGE", -1),
    ("RATE_LIMITED:70", C.RESOURCE_EXHAUSTED, "PROVIDER_RATE_LIMITED", 70_000),
    ("QUOTA", C.RESOURCE_EXHAUSTED, "PROVIDER_QUOTA_EXHAUSTED", -1),
    ("ERROR", C.UNAVAILABLE, "PROVIDER_ERROR", None),
    ("OVERLOADED", C.UNAVAILABLE, "PROVIDER_OVERLOADED", None),
    ("UNREACHABLE", C.UNAVAILABLE, "PROVIDER_UNREACHABLE", None),
    ("CONTEXT_LENGTH", C.INVALID_ARGUMENT, "CONTEXT_LENGTH_EXCEEDED", -1),
    ("PROMPT_BLOCKED", C.INVALID_ARGUMENT, "PROMPT_BLOCKED", -1),
    ("CAPABILITY", C.INVALID_ARGUMENT, "UNSUPPORTED_CAPABILITY", -1),
]


@pytest.mark.parametrize(("failure", "code", "reason", "pushback_ms"), TABLE)
async def test_failure_becomes_the_code_and_reason_of_the_table(
    serving: Serving, failure: str, code: C, reason: str, pushback_ms: int | None
) -> None:
    told = await serving.ask(chat(f"first/fail:{failure}"))
    assert isinstance(told, Failed)
    assert (told.code, told.reason) == (code, reason)
    assert (told.info.reason, told.info.domain) == (reason, "turnout")
    if pushback_ms is None:
        assert told.pushback_ms > 0
        assert told.detail.retryable
    else:
        assert told.pushback_ms == pushback_ms
    assert told.detail.request_id == told.trailers["x-request-id"]
    assert told.detail.attempts[0].provider == "first"


async def test_a_wait_beyond_all_measure_is_told_as_a_day(serving: Serving) -> None:
    told = await serving.ask(chat("first/fail:RATE_LIMITED:999999999999999"))
    assert isinstance(told, Failed)
    assert (told.reason, told.pushback_ms) == ("PROVIDER_RATE_LIMITED", 86_400_000)
    await serving.idle()
    assert [call.code for call in serving.seen.calls] == ["RESOURCE_EXHAUSTED"]


def test_every_kind_of_failure_and_every_reason_has_its_row() -> None:
    assert set(RULES) == set(FailureKind)
    reasons = set(ErrorReason.values()) - {ErrorReason.ERROR_REASON_UNSPECIFIED}
    assert set(status.TABLE) == reasons


async def test_unknown_model_is_not_found(serving: Serving) -> None:
    told = await serving.ask(chat("nobody/knows"))
    assert isinstance(told, Failed)
    assert (told.code, told.reason) == (C.NOT_FOUND, "MODEL_NOT_FOUND")


async def test_every_violation_is_named_at_once_and_nobody_is_called(serving: Serving) -> None:
    request = ChatRequest(
        model="first/say:hi",
        messages=[
            Message(role=ROLE_USER, text="a", parts=[Part(text="b")]),
            Message(text="no role"),
            Message(role=ROLE_USER, parts=[Part(media=Media(data=b"x"))]),
        ],
        temperature=2.5,
        top_p=0.0,
        stop_sequences=[""],
        tools=[Tool(name="bad name"), Tool(name="f", parameters_json_schema="[]")],
    )
    told = await serving.ask(request)
    assert isinstance(told, Failed)
    assert (told.code, told.reason) == (C.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert [violation.field for violation in told.bad_request.field_violations] == [
        "messages[0]",
        "messages[1].role",
        "messages[2].parts[0].media.mime_type",
        "temperature",
        "top_p",
        "stop_sequences[0]",
        "tools[0].name",
        "tools[1].parameters_json_schema",
    ]
    assert serving.provider("first").calls.total() == 0


async def test_a_capability_nobody_has_is_refused_with_its_field(tmp_path: Path) -> None:
    config = """
providers: {openai: {base_url: "http://127.0.0.1:9/v1", keys: []}}
models: {smart: {targets: [openai/gpt-4o-mini]}}
"""
    audio = Part(media=Media(data=b"RIFF", mime_type="audio/wav"))
    request = ChatRequest(model="smart", messages=[Message(role=ROLE_USER, parts=[audio])])
    async with serve(tmp_path, config) as serving:
        told = await serving.ask(request)
        assert isinstance(told, Failed)
        assert told.reason == "UNSUPPORTED_CAPABILITY"
        assert told.bad_request.field_violations[0].field == "messages[0].parts[0].media"
        assert serving.seen.attempts == []


async def test_mixed_failures_are_told_by_the_most_hopeful(serving: Serving) -> None:
    request = chat("first/fail:OVERLOADED")
    request.routing.fallback_models.append("second/fail:AUTH")
    told = await serving.ask(request)
    assert isinstance(told, Failed)
    assert (told.code, told.reason) == (C.UNAVAILABLE, "PROVIDER_OVERLOADED")
    assert {attempt.provider for attempt in told.detail.attempts} == {"first", "second"}


async def test_rested_target_is_skipped_without_a_call(serving: Serving) -> None:
    request = chat("first/fail:RATE_LIMITED:70")
    await serving.ask(request)
    before = serving.provider("first").calls.total()
    told = await serving.ask(request)
    assert isinstance(told, Failed)
    assert told.reason == "PROVIDER_RATE_LIMITED"
    assert serving.provider("first").calls.total() == before


class _Context:
    """Keeps what a handler would have sent."""

    def __init__(self) -> None:
        self.trailers: tuple[tuple[str, bytes], ...] = ()
        self.message = ""

    def set_code(self, _: grpc.StatusCode) -> None: ...

    def set_details(self, message: str) -> None:
        self.message = message

    def set_trailing_metadata(self, trailers: tuple[tuple[str, bytes], ...]) -> None:
        self.trailers = trailers


def test_details_never_pass_what_a_header_may_hold() -> None:
    error = GatewayError(
        ErrorReason.ERROR_REASON_INVALID_REQUEST,
        "é" * 4000,
        violations=[Violation(f"messages[{i}].text" * 20, "ü" * 500) for i in range(100)],
        attempts=[AttemptFailure(model="m" * 256, message="x" * 160) for _ in range(40)],
    )
    context = _Context()
    status.fail(context, error, "id")  # type: ignore[arg-type]
    details = dict(context.trailers)["grpc-status-details-bin"]
    assert len(details) <= status.MAX_DETAILS_BYTES
    assert len(context.message.encode()) <= status.MAX_MESSAGE_BYTES
