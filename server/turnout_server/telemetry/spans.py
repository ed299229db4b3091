"""How spans leave the process: a bounded queue, and a count of what a dead collector costs."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

MOST_SPANS = 2048


class BoundedSpans(SpanProcessor):
    """Batches spans towards `exporter`; those beyond `most_spans` waiting are dropped and counted.

    The SDK's own queue drops too, but counts nothing unless an environment variable says so.
    """

    def __init__(self, exporter: SpanExporter, *, most_spans: int = MOST_SPANS) -> None:
        self._most_spans = most_spans
        self._taken = 0
        self._refused = 0
        self._left = _Counted(exporter)
        # A batch of this many leaves at once, so half of the bound is free meanwhile.
        self._batches = BatchSpanProcessor(
            self._left, max_queue_size=most_spans, max_export_batch_size=max(1, most_spans // 4)
        )

    @property
    def dropped(self) -> int:
        """Spans that no collector has got: refused here, or failed to be sent."""
        return self._refused + self._left.failed

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a sampled span. For the event loop's thread."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if self._taken - self._left.spans >= self._most_spans:
            self._refused += 1
            return
        self._taken += 1
        self._batches.on_end(span)

    def shutdown(self) -> None:
        """Send what waits. May take 30 s when the collector hangs: never call it on the loop."""
        self._batches.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits."""
        return self._batches.force_flush(timeout_millis)


class _Counted(SpanExporter):
    """Counts what has gone through another exporter; only the sender's thread writes here."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.spans = 0
        self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self.spans += len(spans)
            if result is not SpanExportResult.SUCCESS:
                self.failed += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()
