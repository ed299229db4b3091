"""The parent of several workers: it holds the port, runs the embedded models, serves nothing."""

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from turnout_server.app.cli.complaint import Complaint
from turnout_server.app.clients import uses_local
from turnout_server.app.embedded import Embedded
from turnout_server.app.settings import Settings
from turnout_server.app.workers import Worker, Workers, reserve, worker_command
from turnout_server.providers.local.models import ModelFileError
from turnout_server.providers.local.supervisor import LocalModelUnavailable
from turnout_server.rpc.server import PortTaken
from turnout_server.telemetry.observers import Observers

LAST_STEPS_S = 10.0
"""What a worker may take beyond its own bounds before it is killed."""

_log = structlog.get_logger(__name__)


async def supervise(settings: Settings, file: Path | None, telemetry: Observers) -> int:
    """Run the workers until a signal ends them; returns the exit status. Raises Complaint."""
    server = settings.config.server
    async with AsyncExitStack() as stack:
        stack.push_async_callback(telemetry.shutdown)
        embedded = Embedded() if uses_local(settings) else None
        try:
            held, listen = reserve(server.listen)
            stack.callback(held.close)
            if embedded is not None:
                stack.push_async_callback(embedded.stop)
                await embedded.start()
        except (PortTaken, ModelFileError, LocalModelUnavailable) as error:
            raise Complaint(str(error), exit_status=1) from None
        models = embedded.urls if embedded else None

        def command(index: int) -> list[str]:
            return worker_command(file, Worker(index, listen, models))

        stop_within_s = server.lame_duck + server.drain_grace + LAST_STEPS_S
        workers = Workers(server.workers, command, stop_within_s=stop_within_s)
        _listen_for_signals(workers)
        _log.info("starting workers", listen=listen, workers=server.workers)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(embedded.run()) if embedded else None
            status = await workers.run()
            if running is not None:
                running.cancel()
        return status


def _listen_for_signals(workers: Workers) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, workers.stop, number)
    loop.add_signal_handler(signal.SIGHUP, workers.pass_on, signal.SIGHUP)
