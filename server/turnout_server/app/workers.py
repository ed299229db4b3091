"""Several processes on one port: a parent that serves nothing starts them and keeps them alive.

They are started by exec, never by fork: grpc's threads do not survive one. The kernel shares
connections out among them (SO_REUSEPORT).
"""

import asyncio
import json
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import structlog

from turnout_server.app.embedded import ModelUrls
from turnout_server.app.settings import Settings
from turnout_server.core.clock import SYSTEM_CLOCK, Monotonic
from turnout_server.rpc.server import PortTaken

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
_SETTLED_AFTER_S = 60.0
"""A worker that lived this long died of something new: begin with short pauses again."""
_COMPLAINTS = (1, 2)
"""Exit statuses by which a process says why it cannot start; a restart would not help."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """What the parent tells one worker: which it is, where to listen, where the models answer."""

    index: int
    listen: str
    models: ModelUrls | None = None

    def adapt(self, settings: Settings) -> Settings:
        """The settings as they hold for this worker: ports of its own lie `index` apart."""
        server = settings.config.server
        changes = {
            "listen": self.listen,
            "admin_listen": _apart(server.admin_listen, self.index),
            "metrics_listen": _apart(server.metrics_listen, self.index),
        }
        config = settings.config.model_copy(update={"server": server.model_copy(update=changes)})
        return replace(settings, config=config)

    def text(self) -> str:
        """This as an argument of a command."""
        return json.dumps(asdict(self))

    @staticmethod
    def parse(text: str) -> "Worker":
        """Read what `text` wrote; raises ValueError or TypeError."""
        fields = json.loads(text)
        models = fields.pop("models")
        return Worker(**fields, models=ModelUrls(**models) if models else None)


def _apart(address: str | None, index: int) -> str | None:
    if address is None or address.startswith("unix:"):
        return address
    host, _, port = address.rpartition(":")
    return f"{host}:{int(port) + index}" if int(port) else address


class Workers:
    """Keeps `count` processes running, each begun by `command(index)`; restarts one that dies.

    A worker ends when its standard input does, so none outlives a parent that was killed.
    """

    def __init__(
        self,
        count: int,
        command: Callable[[int], Sequence[str]],
        *,
        stop_within_s: float,
        monotonic: Monotonic = SYSTEM_CLOCK.monotonic,
    ) -> None:
        self.restarts = 0
        self._count = count
        self._command = command
        self._stop_within_s = stop_within_s
        self._monotonic = monotonic
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._exit_status = 0

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers alive, in the order of their indexes."""
        return [self._running[index].pid for index in sorted(self._running)]

    async def run(self) -> int:
        """Keep them alive until `stop`; returns the exit status that the parent should have."""
        async with asyncio.TaskGroup() as tasks:
            for index in range(self._count):
                tasks.create_task(self._keep(index))
        return self._exit_status

    def stop(self, number: signal.Signals) -> None:
        """Pass a signal on and start nobody anew; who is alive after the bound is killed."""
        if not self._stopping.is_set():
            self._stopping.set()
            asyncio.get_running_loop().call_later(self._stop_within_s, self.pass_on, signal.SIGKILL)
        self.pass_on(number)

    def pass_on(self, number: signal.Signals) -> None:
        """Send a signal to every worker."""
        for process in self._running.values():
            if process.returncode is None:
                process.send_signal(number)

    async def _keep(self, index: int) -> None:
        pause_s = _FIRST_PAUSE_S
        lives = 0
        while not self._stopping.is_set():
            since = self._monotonic()
            status = await self._live(index)
            lives += 1
            lived_s = self._monotonic() - since
            if self._stopping.is_set():
                self._exit_status = self._exit_status or int(status != 0)
                return
            if lives == 1 and status in _COMPLAINTS and lived_s < _SETTLED_AFTER_S:
                self._exit_status = status
                self.stop(signal.SIGTERM)
                return
            pause_s = _FIRST_PAUSE_S if lived_s > _SETTLED_AFTER_S else pause_s
            _log.error("a worker died", exit_status=status, wait_s=pause_s, restarts=self.restarts)
            await self._pause(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            self.restarts += 1

    async def _live(self, index: int) -> int:
        """One life of a worker, to its exit status."""
        process = await asyncio.create_subprocess_exec(
            *self._command(index),
            stdin=asyncio.subprocess.PIPE,
            # Ctrl-C reaches the terminal's whole group; the parent alone passes signals on.
            start_new_session=True,
        )
        self._running[index] = process
        if self._stopping.is_set():
            process.terminate()
        try:
            return await process.wait()
        finally:
            del self._running[index]
            if process.returncode is None:
                process.kill()

    async def _pause(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._stopping.wait()
        except TimeoutError:
            return


def worker_command(file: Path | None, worker: Worker) -> list[str]:
    """How a worker is started."""
    command = [sys.executable, "-m", "turnout_server", "serve", "--worker", worker.text()]
    return command if file is None else [*command, "--config", str(file)]


def reserve(address: str) -> tuple[socket.socket, str]:
    """Hold a port that workers will share, and its address with the number filled in.

    It is bound and never listened on, so no connection comes here. Raises PortTaken.
    """
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        family, _, _, _, where = found[0]
        # Sharing is granted to anybody of this user: ask first whether somebody listens already.
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
        held = socket.socket(family)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(where)
    except OSError as error:
        raise PortTaken(
            f"cannot listen on {address}: {error.strerror}. Set server.listen (or "
            "TURNOUT_SERVER__LISTEN) to a free address"
        ) from error
    return held, f"{host}:{held.getsockname()[1]}"
