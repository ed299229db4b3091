"""Runs the gateway in this process: event loop, signals, reload, and a tidy end."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import structlog
import uvloop

from turnout_server.app.cli.complaint import Complaint
from turnout_server.app.reload import Reloader
from turnout_server.app.settings import Settings, read_settings
from turnout_server.app.wiring import Gateway
from turnout_server.providers.local.models import ModelFileError
from turnout_server.providers.local.supervisor import LocalModelUnavailable
from turnout_server.rpc.server import PortTaken
from turnout_server.telemetry.observers import Observers, TelemetrySettings, build_observers

LAME_DUCK_S = 5.0
"""How long a server that was told to stop goes on taking calls, for balancers to notice."""

_log = structlog.get_logger(__name__)


def serve(settings: Settings, file: Path | None) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""

    async def say(gateway: Gateway) -> None:
        _log.info("serving", listen=settings.config.server.listen, port=gateway.port)

    telemetry = build_observers(telemetry_of(settings))
    uvloop.run(run(settings, file, say, telemetry))
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
) -> None:
    """Start the gateway, do `then`, and go on serving until a signal comes (not with `once`).

    SIGTERM waits for balancers first; SIGINT does not; a second signal stops at once.
    """
    gateway = Gateway(settings, telemetry.all, telemetry.on_error)
    try:
        await _run(gateway, settings, file, then, telemetry, once=once)
    finally:
        await telemetry.shutdown()


async def _run(
    gateway: Gateway,
    settings: Settings,
    file: Path | None,
    then: Callable[[Gateway], Awaitable[object]],
    telemetry: Observers,
    *,
    once: bool,
) -> None:
    stop = Stop()
    try:
        await gateway.start()
        await telemetry.start(ready=lambda: not stop.asked.is_set(), live=lambda: True)
    except (PortTaken, ModelFileError, LocalModelUnavailable, OSError) as error:
        await gateway.stop(lame_duck_s=0)
        raise Complaint(str(error), exit_status=1) from None
    async with asyncio.TaskGroup() as tasks:
        background = [tasks.create_task(_reload(gateway, settings, file))]
        if gateway.embedded is not None:
            background.append(tasks.create_task(gateway.embedded.run()))
        stop.listen()
        try:
            await then(gateway)
            if not once:
                await stop.asked.wait()
            lame_duck_s = LAME_DUCK_S if stop.patient else 0.0
            ending = tasks.create_task(gateway.stop(lame_duck_s=lame_duck_s))
            await stop.or_again(ending)
        finally:
            for task in background:
                task.cancel()


async def _reload(gateway: Gateway, settings: Settings, file: Path | None) -> None:
    reloader = Reloader(settings, lambda: read_settings(file), gateway.apply)
    with suppress(asyncio.CancelledError):
        await reloader.run()


class Stop:
    """The signals that end the process."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.patient = False
        self._again = asyncio.Event()

    def listen(self) -> None:
        """Take SIGTERM and SIGINT for this loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._hear, number)

    async def or_again(self, ending: asyncio.Task[None]) -> None:
        """Wait for a stop under way, or for a second signal that cuts it short."""
        again = asyncio.create_task(self._again.wait())
        await asyncio.wait((ending, again), return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
        if not ending.done():
            ending.cancel()

    def _hear(self, number: signal.Signals) -> None:
        if self.asked.is_set():
            self._again.set()
        self.patient = number == signal.SIGTERM
        self.asked.set()
