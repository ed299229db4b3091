"""Traces: the caller's trace goes on with a server span, and one client span for each attempt."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from turnout_server.core.call import Call
from turnout_server.core.clock import SYSTEM_CLOCK, Clock
from turnout_server.core.watch import AttemptRecord, CallRecord, Observer
from turnout_server.telemetry import facts

_PROPAGATOR = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
Attributes = dict[str, AttributeValue]


@dataclass(frozen=True, slots=True)
class _Traced:
    """A call under way: its span, and what turns monotonic seconds into the wall clock's."""

    span: Span
    context: Context
    offset_s: float

    def nanoseconds(self, monotonic_s: float) -> int:
        return round((self.offset_s + monotonic_s) * 1e9)


class Tracing(Observer):
    """Makes spans. Names are OpenTelemetry's (RPC, GenAI); nothing of prompt or answer is on them.

    An attempt's span is made when the attempt is over, with the times it had: until then nothing
    would read it, and no attempt can leave a span open.
    """

    def __init__(self, tracer: Tracer, clock: Clock = SYSTEM_CLOCK) -> None:
        self._tracer = tracer
        self._clock = clock
        # By identity: a request id is the caller's choice, and the same may be under way twice.
        self._calls: dict[int, _Traced] = {}

    def trace_id(self, call: Call) -> str:
        """The id of the call's trace, for logs."""
        traced = self._traced(call)
        if traced is None:
            return facts.trace_id(call)
        return trace.format_trace_id(traced.span.get_span_context().trace_id)

    def accepted(self, call: Call) -> None:
        """Start the server span and make it current: each RPC has a context of its own."""
        offset_s = self._clock.wall() - self._clock.monotonic()
        parent = _PROPAGATOR.extract(call.trace_headers, context=Context())
        method = facts.RPC_METHOD[call.method]
        span = self._tracer.start_span(
            method,
            context=parent,
            kind=SpanKind.SERVER,
            attributes={
                "rpc.system.name": "grpc",
                "rpc.method": method,
                "gen_ai.operation.name": facts.OPERATION[call.method],
                "gen_ai.request.model": facts.model_name(call.model),
                "turnout.request_id": call.request_id,
                "turnout.tenant": call.identity.tenant,
            },
            start_time=round((offset_s + call.started) * 1e9),
        )
        context = trace.set_span_in_context(span, parent)
        self._calls[id(call)] = _Traced(span, context, offset_s)
        otel_context.attach(context)

    def attempt_ended(self, call: Call, record: AttemptRecord) -> None:
        """Make the attempt's span, whole."""
        traced = self._traced(call)
        if traced is None or not traced.span.get_span_context().trace_flags.sampled:
            return
        span = self._tracer.start_span(
            f"{facts.OPERATION[call.method]} {facts.model_name(record.attempt.target.model)}",
            context=traced.context,
            kind=SpanKind.CLIENT,
            attributes=_known(_of_attempt(call, record)),
            start_time=traced.nanoseconds(record.started),
        )
        if record.failure is not None:
            span.set_status(Status(StatusCode.ERROR, facts.kind_word(record.failure)))
        span.end(end_time=traced.nanoseconds(record.started + record.duration_s))

    def ended(self, call: Call, record: CallRecord) -> None:
        """End the server span; a failure that is the caller's, or its cancel, is no error here."""
        traced = self._calls.pop(id(call), None)
        if traced is None:
            return
        span = traced.span
        if span.is_recording():
            span.set_attributes(dict(_known(_of_call(record))))
            if facts.is_ours(record.reason):
                span.set_status(Status(StatusCode.ERROR, facts.reason_word(record.reason)))
        span.end(end_time=traced.nanoseconds(call.started + record.duration_s))

    def _traced(self, call: Call) -> _Traced | None:
        """The call's own span; for work beside a call, the span in whose context it was begun.

        Such is an answer that several callers share: it may outlive the caller who began it.
        """
        traced = self._calls.get(id(call))
        span = trace.get_current_span()
        if traced is not None or not span.get_span_context().is_valid:
            return traced
        offset_s = self._clock.wall() - self._clock.monotonic()
        return _Traced(span, otel_context.get_current(), offset_s)


def _of_call(record: CallRecord) -> Iterable[tuple[str, AttributeValue | None]]:
    usage = record.usage
    yield "rpc.response.status_code", record.code
    yield "error.type", facts.reason_word(record.reason)
    yield "gen_ai.provider.name", record.route.provider
    if record.route.model:
        yield "gen_ai.response.model", facts.model_name(record.route.model)
    yield "gen_ai.response.time_to_first_chunk", record.first_output_s
    yield "gen_ai.usage.input_tokens", usage.input_tokens
    yield "gen_ai.usage.output_tokens", usage.output_tokens
    yield "turnout.attempts", record.attempts
    yield "turnout.cache_hits", record.cache_hits
    yield "turnout.cost_nano_usd", usage.cost_nano_usd
    if record.finish_reason:
        yield "gen_ai.response.finish_reasons", (record.finish_reason.lower(),)


def _of_attempt(call: Call, record: AttemptRecord) -> Iterable[tuple[str, AttributeValue | None]]:
    attempt, failure, usage = record.attempt, record.failure, record.usage
    yield "gen_ai.operation.name", facts.OPERATION[call.method]
    yield "gen_ai.provider.name", attempt.target.provider
    yield "gen_ai.request.model", facts.model_name(attempt.target.model)
    yield "gen_ai.response.time_to_first_chunk", record.first_output_s
    yield "server.address", _host(attempt.target.endpoint.base_url)
    yield "turnout.attempt", attempt.number
    yield "turnout.outcome", record.outcome.value
    yield "turnout.provider_request_id", record.provider_request_id
    if failure is not None:
        yield "error.type", facts.kind_word(failure)
        yield "http.response.status_code", failure.http_status
        yield "turnout.provider_request_id", failure.provider_request_id
    if usage is not None:
        yield "gen_ai.usage.input_tokens", usage.input_tokens
        yield "gen_ai.usage.output_tokens", usage.output_tokens
        yield "gen_ai.usage.cache_read.input_tokens", usage.cache_read_input_tokens
        yield "gen_ai.usage.cache_creation.input_tokens", usage.cache_write_input_tokens
        yield "gen_ai.usage.reasoning.output_tokens", usage.thinking_tokens
        yield "turnout.cost_nano_usd", usage.cost_nano_usd


def _known(pairs: Iterable[tuple[str, AttributeValue | None]]) -> Attributes:
    """The pairs that say something: zero and empty stand for unknown in all of our records."""
    return {name: value for name, value in pairs if value}


@lru_cache(maxsize=256)
def _host(base_url: str) -> str:
    try:
        return urlsplit(base_url).hostname or ""
    except ValueError:
        return ""
