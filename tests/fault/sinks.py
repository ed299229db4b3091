"""Everything the server tells of itself while a fault is played: logs, spans, metrics, records."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from tests.fault.invariants import Text
from turnout_server.core.call import Call
from turnout_server.core.watch import AttemptRecord, CallRecord, Observer
from turnout_server.telemetry import logs
from turnout_server.telemetry.call_log import CallLog
from turnout_server.telemetry.metrics import Metrics
from turnout_server.telemetry.tracing import Tracing


class Seen(Observer):
    """Every record that the gateway made."""

    def __init__(self) -> None:
        self.accepted_calls: list[Call] = []
        self.attempts: list[AttemptRecord] = []
        self.calls: list[CallRecord] = []

    def accepted(self, call: Call) -> None:
        self.accepted_calls.append(call)

    def attempt_ended(self, call: Call, record: AttemptRecord) -> None:
        self.attempts.append(record)

    def ended(self, call: Call, record: CallRecord) -> None:
        self.calls.append(record)

    def forget(self) -> None:
        """Start anew."""
        self.accepted_calls.clear()
        self.attempts.clear()
        self.calls.clear()

    def text(self) -> str:
        """All that a log of these records could say."""
        failures = [f"{record.failure} {record.provider_request_id}" for record in self.attempts]
        return "\n".join([*failures, *(f"{call.detail} {call.route}" for call in self.calls)])


class Spans(SpanProcessor):
    """Spans begun and ended, and what they carry."""

    def __init__(self) -> None:
        self.started = 0
        self.ended = 0
        self.texts: list[str] = []

    def on_start(self, span: Span, parent_context: object = None) -> None:
        self.started += 1

    def on_end(self, span: ReadableSpan) -> None:
        self.ended += 1
        self.texts.append(f"{span.name} {dict(span.attributes or {})} {span.status.description}")


class Sinks:
    """The server's real log pipeline, tracer and meter, made readable. See `open_sinks`."""

    def __init__(self, log_file: Path) -> None:
        self.seen = Seen()
        self.spans = Spans()
        self._log_file = log_file
        self._log_fd = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._log = logs.configure(level="debug", fd=self._log_fd)
        self._tracers = TracerProvider()
        self._tracers.add_span_processor(self.spans)
        self._metrics = InMemoryMetricReader()
        self._meters = MeterProvider([self._metrics])
        tracing = Tracing(self._tracers.get_tracer("fault"))
        self.observers: list[Observer] = [
            self.seen,
            tracing,
            CallLog(tracing.trace_id),
            Metrics(self._meters.get_meter("fault")),
        ]

    @property
    def texts(self) -> Mapping[str, Text]:
        """What each sink holds so far, by name."""
        return {
            "log": self.log_text,
            "spans": lambda: "\n".join(self.spans.texts),
            "metrics": self._metrics_text,
            "records": self.seen.text,
        }

    def log_text(self) -> str:
        """The log so far; the last lines may still be on their way until `close`."""
        return self._log_file.read_text("utf-8")

    def close(self) -> None:
        """Write what waits and stop."""
        self._log.close()
        os.close(self._log_fd)
        self._tracers.shutdown()
        self._meters.shutdown()

    def _metrics_text(self) -> str:
        data = self._metrics.get_metrics_data()
        return data.to_json() if data is not None else ""


@contextmanager
def open_sinks(log_file: Path) -> Iterator[Sinks]:
    """Take over every log line of the process for as long as this lasts."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    sinks = Sinks(log_file)
    try:
        yield sinks
    finally:
        sinks.close()
        structlog.reset_defaults()
        root.handlers[:], root.level = handlers, level
