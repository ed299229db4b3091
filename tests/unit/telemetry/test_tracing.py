"""Spans as an exporter gets them: the caller's trace, its tree, its times and its statuses."""

import asyncio

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, get_current_span
from turnout.v1.errors_pb2 import ErrorReason

from tests.unit.telemetry.facts_of_a_call import (
    CANARY_KEY,
    HEADERS,
    PARENT,
    TRACE,
    attempt,
    call,
    cancelled,
    failed,
    succeeded,
    tell,
)
from turnout_server.core.clock import SYSTEM_CLOCK
from turnout_server.core.watch import AttemptOutcome, AttemptRecord
from turnout_server.telemetry.tracing import Tracing

_R = ErrorReason


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter: InMemorySpanExporter) -> Tracing:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracing(provider.get_tracer("test"))


def split(exporter: InMemorySpanExporter) -> tuple[ReadableSpan, list[ReadableSpan]]:
    """The one server span, and the attempts in their order."""
    spans = exporter.get_finished_spans()
    [server] = [span for span in spans if span.kind is SpanKind.SERVER]
    return server, [span for span in spans if span.kind is SpanKind.CLIENT]


def test_the_callers_trace_goes_on(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    tell([tracing], call(), succeeded())
    server, _ = split(exporter)
    assert server.name == "turnout.v1.ChatService/Chat"
    assert server.context is not None
    assert server.parent is not None
    assert f"{server.context.trace_id:032x}" == TRACE
    assert f"{server.parent.span_id:016x}" == PARENT
    assert server.parent.is_remote
    assert server.context.trace_state.to_header() == "vendor=1"


def test_attempts_are_children_of_the_call(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    tell([tracing], call(), failed(1), succeeded(2))
    server, attempts = split(exporter)
    assert server.context is not None
    assert [span.parent and span.parent.span_id for span in attempts] == [
        server.context.span_id
    ] * 2
    assert [span.status.status_code for span in attempts] == [StatusCode.ERROR, StatusCode.UNSET]
    assert server.status.status_code is StatusCode.UNSET
    first, second = (span.attributes or {} for span in attempts)
    assert first["error.type"] == "overloaded"
    assert first["http.response.status_code"] == 529
    assert second["gen_ai.operation.name"] == "chat"
    assert second["gen_ai.provider.name"] == "acme"
    assert second["gen_ai.request.model"] == "m-1"
    assert second["gen_ai.usage.output_tokens"] == 20
    assert second["server.address"] == "api.acme.test"


def test_an_attempt_has_the_times_it_had(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    told = call()
    record = AttemptRecord(attempt(), AttemptOutcome.OK, told.started + 0.25, 0.5)
    tell([tracing], told, record)
    server, [span] = split(exporter)
    assert span.start_time
    assert span.end_time
    assert server.start_time
    assert (span.start_time - server.start_time) / 1e9 == pytest.approx(0.25, abs=1e-4)
    assert (span.end_time - span.start_time) / 1e9 == pytest.approx(0.5, abs=1e-4)
    assert server.start_time / 1e9 == pytest.approx(SYSTEM_CLOCK.wall(), abs=60)


@pytest.mark.parametrize(
    ("code", "reason", "status"),
    [
        ("CANCELLED", _R.ERROR_REASON_UNSPECIFIED, StatusCode.UNSET),
        ("INVALID_ARGUMENT", _R.ERROR_REASON_INVALID_REQUEST, StatusCode.UNSET),
        ("UNAVAILABLE", _R.ERROR_REASON_PROVIDER_OVERLOADED, StatusCode.ERROR),
        ("ABORTED", _R.ERROR_REASON_STREAM_INTERRUPTED, StatusCode.ERROR),
        ("DEADLINE_EXCEEDED", _R.ERROR_REASON_DEADLINE_EXCEEDED, StatusCode.ERROR),
    ],
)
def test_only_what_is_not_the_callers_doing_is_an_error(
    tracing: Tracing,
    exporter: InMemorySpanExporter,
    code: str,
    reason: ErrorReason.ValueType,
    status: StatusCode,
) -> None:
    tell([tracing], call(), cancelled(), code=code, reason=reason)
    server, [span] = split(exporter)
    assert server.status.status_code is status
    assert (server.attributes or {})["rpc.response.status_code"] == code
    assert span.status.status_code is StatusCode.UNSET


def test_an_unsampled_trace_stays_unsampled(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    told = call(headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    tell([tracing], told, succeeded())
    assert exporter.get_finished_spans() == ()


def test_a_call_without_a_trace_begins_one(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    told = call(headers={"traceparent": "rubbish"})
    tracing.accepted(told)
    seen = tracing.trace_id(told)
    tracing.attempt_ended(told, succeeded())
    tell([tracing], call(headers={}))
    server = exporter.get_finished_spans()[-1]
    assert server.parent is None
    assert len(seen) == 32
    assert seen != TRACE


def test_logs_and_traces_agree_on_the_trace(tracing: Tracing) -> None:
    told = call()
    tracing.accepted(told)
    assert tracing.trace_id(told) == TRACE


def test_two_calls_of_one_request_id_keep_their_own_spans(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    one, two = call("same"), call("same", headers={})
    for each in (one, two):
        tracing.accepted(each)
    assert tracing.trace_id(one) != tracing.trace_id(two)
    tell([tracing], one)
    tell([tracing], two)
    assert tracing._calls == {}


async def test_the_server_span_is_current_in_the_calls_own_task(tracing: Tracing) -> None:
    async def serve() -> int:
        tracing.accepted(call())
        await asyncio.sleep(0)
        return get_current_span().get_span_context().trace_id

    before = get_current_span()
    assert f"{await asyncio.create_task(serve()):032x}" == TRACE
    assert get_current_span() is before


def test_no_word_of_a_prompt_and_no_key_is_on_a_span(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    prompt = "the canary sings"
    headers = HEADERS | {"baggage": "user=canary"}
    told = call(model=prompt, headers=headers)
    tell(
        [tracing],
        told,
        failed(1, f"{prompt} {CANARY_KEY}", model=prompt),
        code="UNAVAILABLE",
        reason=_R.ERROR_REASON_PROVIDER_ERROR,
        detail=f"{prompt} {CANARY_KEY}",
    )
    assert len(exporter.get_finished_spans()) == 2
    assert all("canary" not in str(span.to_json()) for span in exporter.get_finished_spans())
