"""OpenTelemetry's machinery, for a process that has somewhere to send to.

Importing this costs a tenth of a second and using it starts threads: only `observers` does so,
and only when the settings name somewhere.
"""

from collections.abc import Callable

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from turnout_server.telemetry.metrics import Metrics
from turnout_server.telemetry.spans import BoundedSpans
from turnout_server.telemetry.tracing import Tracing

_SCOPE = "turnout"


class Export:
    """Where spans and metrics go: to a collector by OTLP over gRPC, to whoever scrapes, or both.

    `shutdowns` are the blocking ends of its parts: each may take half a minute when a collector
    hangs, and none needs another.
    """

    def __init__(
        self, *, otlp_endpoint: str | None, scraped: bool, service: str, version: str
    ) -> None:
        resource = Resource.create({SERVICE_NAME: service, SERVICE_VERSION: version})
        self.tracing: Tracing | None = None
        self.shutdowns: list[Callable[[], None]] = []
        readers: list[MetricReader] = []
        self._registry = CollectorRegistry()
        if scraped:
            readers.append(
                PrometheusMetricReader(registry=self._registry, scope_info_enabled=False)
            )
        spans: BoundedSpans | None = None
        if otlp_endpoint is not None:
            spans = BoundedSpans(OTLPSpanExporter(endpoint=otlp_endpoint))
            tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
            tracers.add_span_processor(spans)
            self.tracing = Tracing(tracers.get_tracer(_SCOPE, version))
            self.shutdowns.append(tracers.shutdown)
            readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(otlp_endpoint)))
        meters = MeterProvider(
            readers,
            resource=resource,
            # An exemplar for each recording of a traced call costs 50 µs a call; logs have the ids.
            exemplar_filter=AlwaysOffExemplarFilter(),
            shutdown_on_exit=False,
        )
        self.shutdowns.append(meters.shutdown)
        self.metrics = Metrics(meters.get_meter(_SCOPE, version))
        if spans is not None:
            self.metrics.add_counter(
                "turnout.spans.dropped", "Spans no collector got", lambda: spans.dropped
            )

    def render(self, accept: str) -> tuple[bytes, str]:
        """The metrics as text, and its type, for a scraper's Accept header. Blocks."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
