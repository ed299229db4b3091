"""All observers of a process, by its settings: what `app` introduces to every call."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from turnout_server.core.watch import Observer
from turnout_server.telemetry import logs
from turnout_server.telemetry.call_log import CallLog
from turnout_server.telemetry.metrics_port import MetricsPort, Probe

if TYPE_CHECKING:
    from turnout_server.telemetry.export import Export

EXPORT_END_S = 2.4
LOG_END_S = 0.5
"""Together under the three seconds that the end of a process may take for this."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """What the process tells of itself, and where. Without addresses only logs are written."""

    log_level: str = "info"
    log_format: str = "json"
    log_fd: int = 1
    otlp_endpoint: str | None = None
    metrics_listen: str | None = None
    service_name: str = "turnout"
    service_version: str = ""


class ObserverErrors:
    """Counts what observers raise; the first of each is logged."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, observer: Observer, error: Exception) -> None:
        """Note one error, as `Watch` tells of it."""
        name = type(observer).__name__
        self.counts[name] += 1
        if self.counts[name] == 1:
            _log.error(
                "an observer failed; from now on it is only counted", observer=name, exc_info=error
            )


class Observers:
    """The observers and what they write to. `start` on the event loop, `shutdown` at its end.

    `all` is for every call's Watch, in this order, and `on_error` beside it. Making one takes over
    every log line of the process; with an address to send to it also imports OpenTelemetry, which
    takes 0.15 s.
    """

    def __init__(self, settings: TelemetrySettings) -> None:
        self._settings = settings
        self._sink = logs.configure(
            level=settings.log_level, line_format=settings.log_format, fd=settings.log_fd
        )
        self.on_error = ObserverErrors()
        self._port: MetricsPort | None = None
        self._export = self._make_export()
        self.all = self._make_all()

    async def start(self, *, ready: Probe, live: Probe) -> int:
        """Open the metrics port, if there is to be one; returns its number, else 0.

        Raises OSError when the address cannot be listened on.
        """
        if self._export is None or self._settings.metrics_listen is None:
            return 0
        self._port = MetricsPort(
            self._settings.metrics_listen, self._export.render, ready=ready, live=live
        )
        return await self._port.start()

    def add_gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Show a level that another room keeps as a metric, where metrics go anywhere.

        `read` runs in the collecting thread: it may read a number and nothing more.
        """
        if self._export is not None:
            self._export.metrics.add_gauge(name, description, read)

    async def shutdown(self) -> None:
        """Send and write what waits, for at most three seconds, whatever hangs."""
        if self._port is not None:
            self._port.close()
        if self._export is not None:
            await run_within(EXPORT_END_S, *self._export.shutdowns)
        await run_within(LOG_END_S, self._sink.close)

    def _make_export(self) -> "Export | None":
        settings = self._settings
        if settings.otlp_endpoint is None and settings.metrics_listen is None:
            return None
        from turnout_server.telemetry.export import Export

        export = Export(
            otlp_endpoint=settings.otlp_endpoint,
            scraped=settings.metrics_listen is not None,
            service=settings.service_name,
            version=settings.service_version,
        )
        export.metrics.add_counter(
            "turnout.log.lines_dropped", "Log lines nobody got", lambda: self._sink.dropped
        )
        export.metrics.add_counters(
            "turnout.observer.errors",
            "Errors of observers",
            "observer",
            lambda: self.on_error.counts,
        )
        return export

    def _make_all(self) -> Sequence[Observer]:
        if self._export is None:
            return (CallLog(),)
        if self._export.tracing is None:
            return (CallLog(), self._export.metrics)
        # Tracing first: when a call is accepted, the log asks it for the trace's id.
        tracing = self._export.tracing
        return (tracing, CallLog(tracing.trace_id), self._export.metrics)


def build_observers(settings: TelemetrySettings) -> Observers:
    """The observers that these settings ask for."""
    return Observers(settings)


async def run_within(wait_s: float, *works: Callable[[], None]) -> bool:
    """Do blocking works side by side; False when they were not done in time and are left behind.

    Not `asyncio.to_thread`: the end of the process would wait for a pool's threads.
    """
    loop = asyncio.get_running_loop()
    done = asyncio.Semaphore(0)

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            with suppress(RuntimeError):  # the loop may have closed meanwhile
                loop.call_soon_threadsafe(done.release)

    for work in works:
        threading.Thread(target=run, args=(work,), name="turnout-end", daemon=True).start()
    try:
        async with asyncio.timeout(wait_s):
            for _ in works:
                await done.acquire()
    except TimeoutError:
        return False
    return True
