"""Runs the gateway in this process: event loop, signals, reload, and a tidy end."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import structlog
import uvloop

from turnout_server.app.cli.complaint import Complaint
from turnout_server.app.settings import Settings, read_settings
from turnout_server.app.supervise import supervise
from turnout_server.app.wiring import Gateway
from turnout_server.app.workers import Worker
from turnout_server.providers.local.models import ModelFileError
from turnout_server.providers.local.supervisor import LocalModelUnavailable
from turnout_server.rpc.server import PortTaken
from turnout_server.store.ledger_file import LedgerUnavailable
from turnout_server.telemetry.observers import Observers, TelemetrySettings, build_observers

_log = structlog.get_logger(__name__)


def serve(settings: Settings, file: Path | None, worker: Worker | None = None) -> int:
    """Serve until SIGTERM or SIGINT, as one of the workers where there are several; returns the
    exit status.
    """
    if worker is None and settings.config.server.workers > 1:
        telemetry = build_observers(replace(telemetry_of(settings), metrics_listen=None))
        return uvloop.run(supervise(settings, file, telemetry))
    if worker is not None:
        settings = worker.adapt(settings)

    async def say(gateway: Gateway) -> None:
        _log.info("serving", listen=settings.config.server.listen, port=gateway.port)

    telemetry = build_observers(telemetry_of(settings))
    uvloop.run(run(settings, file, say, telemetry, worker=worker))
    return 0


def telemetry_of(settings: Settings) -> TelemetrySettings:
    """What the configuration asks to be told of calls."""
    config = settings.config
    return TelemetrySettings(
        log_level=config.telemetry.log_level,
        log_format=config.telemetry.log_format,
        otlp_endpoint=config.telemetry.otlp_endpoint,
        metrics_listen=config.server.metrics_listen,
        service_version=version("turnout-server"),
    )


async def run(
    settings: Settings,
    file: Path | None,
    then: Callable[[Gateway], Awaitable[object]],
    telemetry: Observers,
    *,
    once: bool = False,
    worker: Worker | None = None,
) -> None:
    """Start the gateway, do `then`, and go on serving until a signal comes (not with `once`).

    SIGTERM waits for balancers first; SIGINT does not; a second signal stops at once.
    """

    def read() -> Settings:
        anew = read_settings(file)
        return worker.adapt(anew) if worker else anew

    models = worker.models if worker else None
    stop = Stop(tied_to_stdin=worker is not None)
    try:
        gateway = Gateway(settings, telemetry.all, telemetry.on_error, read=read, models=models)
        gateway.show(telemetry.add_gauge)
        await _run(gateway, stop, then, telemetry, once=once)
    except LedgerUnavailable as error:
        raise Complaint(f"usage.url: {error}", exit_status=1) from None
    finally:
        await telemetry.shutdown()


async def _run(
    gateway: Gateway,
    stop: "Stop",
    then: Callable[[Gateway], Awaitable[object]],
    telemetry: Observers,
    *,
    once: bool,
) -> None:
    def ready() -> bool:
        return not stop.asked.is_set() and gateway.watchdog.ready()

    try:
        await gateway.start()
        await telemetry.start(ready=ready, live=gateway.watchdog.live)
    except (PortTaken, ModelFileError, LocalModelUnavailable, OSError) as error:
        await gateway.stop(lame_duck_s=0)
        raise Complaint(str(error), exit_status=1) from None
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(gateway.run())
        stop.listen()
        try:
            await then(gateway)
            if not once:
                await stop.asked.wait()
            lame_duck_s = gateway.settings.config.server.lame_duck if stop.patient else 0.0
            ending = tasks.create_task(gateway.stop(lame_duck_s=lame_duck_s))
            await stop.or_again(ending, gateway.hurry)
        finally:
            running.cancel()


class Stop:
    """What ends the process: SIGTERM and SIGINT, and for a worker the end of its parent."""

    def __init__(self, *, tied_to_stdin: bool = False) -> None:
        self.asked = asyncio.Event()
        self.patient = False
        self._tied_to_stdin = tied_to_stdin
        self._again = asyncio.Event()

    def listen(self) -> None:
        """Take the signals for this loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._hear, number)
        if self._tied_to_stdin:
            loop.add_reader(sys.stdin.fileno(), self._orphaned)

    async def or_again(
        self, ending: asyncio.Task[None], hurry: Callable[[], Awaitable[None]]
    ) -> None:
        """Wait for a stop under way; a second signal hurries it."""
        again = asyncio.create_task(self._again.wait())
        await asyncio.wait((ending, again), return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
        if not ending.done():
            await hurry()
        await ending

    def _hear(self, number: signal.Signals) -> None:
        if self.asked.is_set():
            self._again.set()
        self.patient = number == signal.SIGTERM
        self.asked.set()

    def _orphaned(self) -> None:
        """The parent writes nothing, so this is the end of the pipe."""
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        self.asked.set()
