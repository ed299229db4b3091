"""The queue of spans: bounded, counted, and no slower for a dead collector."""

import threading
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from turnout_server.telemetry.spans import BoundedSpans


class Held(SpanExporter):
    """An exporter that waits until it is let go, and then answers `result`."""

    def __init__(self, result: SpanExportResult) -> None:
        self.go = threading.Event()
        self.result = result
        self.sent = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.go.wait(10)
        self.sent += len(spans)
        return self.result

    def shutdown(self) -> None:
        self.go.set()


def fill(exporter: Held, spans: int) -> tuple[BoundedSpans, TracerProvider]:
    bounded = BoundedSpans(exporter, most_spans=100)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(bounded)
    tracer = provider.get_tracer("test")
    for _ in range(spans):
        tracer.start_span("x").end()
    return bounded, provider


def test_spans_beyond_the_bound_are_dropped_and_counted() -> None:
    exporter = Held(SpanExportResult.SUCCESS)
    bounded, provider = fill(exporter, 1000)
    assert bounded.dropped == 900
    exporter.go.set()
    provider.shutdown()
    assert (exporter.sent, bounded.dropped) == (100, 900)


def test_spans_that_a_collector_refused_are_counted() -> None:
    exporter = Held(SpanExportResult.FAILURE)
    exporter.go.set()
    bounded, provider = fill(exporter, 10)
    provider.shutdown()
    assert bounded.dropped == 10
