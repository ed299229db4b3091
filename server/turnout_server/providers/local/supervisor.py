"""Keeps one local model's server running: started, watched, restarted, and never left behind."""

import asyncio
import contextlib
import importlib.util
import logging
import os
import socket
import sys
from pathlib import Path

from turnout_server.core.clock import SYSTEM_CLOCK, Monotonic
from turnout_server.providers.local import models
from turnout_server.providers.local.child import READY

_CHILD_MODULE = "turnout_server.providers.local.child"
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
# A child that lived this long died of something new: begin with short pauses again.
_SETTLED_AFTER_S = 60.0
_KEPT_OUTPUT_BYTES = 4096

_log = logging.getLogger(__name__)


class LocalModelUnavailable(Exception):
    """The model's server cannot be started or was not ready in time; its text is one line."""


class Supervisor:
    """Owns the child process that serves one model on a port of 127.0.0.1.

    The port is reserved for the supervisor's whole life, so `base_url` holds across restarts and
    nobody else can answer there. While no child listens connections are refused; while a child
    loads llama.cpp answers 503. Use it as: `await start()`, `run()` in a task, `await stop()`.
    """

    def __init__(
        self,
        model: models.ModelFile,
        folder: Path,
        *,
        parallel: int = 4,
        threads: int = 1,
        kill_after_s: float = 5.0,
        monotonic: Monotonic = SYSTEM_CLOCK.monotonic,
    ) -> None:
        """Reserve the port. `threads` above 1 is slower on a machine that has other work."""
        self.model = model
        self.restarts = 0
        self._folder = folder
        self._parallel = parallel
        self._threads = threads
        self._kill_after_s = kill_after_s
        self._monotonic = monotonic
        self._port = _reserve_port()
        # Without a path for clients of Anthropic's wire, with one for those of OpenAI's.
        self.origin = "http://{}:{}".format(*self._port.getsockname())
        self.base_url = f"{self.origin}/v1"
        self._process: asyncio.subprocess.Process | None = None
        self._ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._spawning = asyncio.Lock()
        self._output = b""

    @property
    def is_ready(self) -> bool:
        """Whether the model is loaded and its process alive."""
        return self._ready.is_set()

    @property
    def pid(self) -> int | None:
        """The child's process id, None while there is no child."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process and alive else None

    async def start(self) -> None:
        """Check the model file and the runtime, then start the first child without awaiting it.

        Raises ModelFileError or LocalModelUnavailable when a restart could not help.
        """
        if importlib.util.find_spec("xllamacpp") is None:
            raise LocalModelUnavailable(
                "local models need the package xllamacpp: install turnout-server[local]"
            )
        await asyncio.to_thread(models.verify, self.model, self._folder)
        await self._spawn()

    async def run(self) -> None:
        """Watch the child and restart it whenever it dies; returns after `stop`.

        Cancelling it ends the child too.
        """
        pause_s = _FIRST_PAUSE_S
        try:
            while not self._stopping.is_set():
                since = self._monotonic()
                await self._watch()
                if self._stopping.is_set():
                    break
                if self._monotonic() - since > _SETTLED_AFTER_S:
                    pause_s = _FIRST_PAUSE_S
                _log.warning("%s: restarting in %.1f s", self._obituary(), pause_s)
                if await self._stops_within(pause_s):
                    break
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                self.restarts += 1
                await self._spawn()
        finally:
            await self._end_child()

    async def wait_ready(self, timeout_s: float) -> None:
        """Return once the model answers; raises LocalModelUnavailable after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
        except TimeoutError:
            raise LocalModelUnavailable(
                f"local model {self.model.name} was not ready within {timeout_s:g} s"
                f" ({self.restarts} restarts); {self._obituary()}"
            ) from None

    async def stop(self) -> None:
        """End the child, by SIGTERM and after a bound by SIGKILL, and give the port back."""
        self._stopping.set()
        async with self._spawning:
            await self._end_child()
        self._port.close()

    async def _spawn(self) -> None:
        self._output = b""
        async with self._spawning:
            if self._stopping.is_set():
                return
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", _CHILD_MODULE),
                *("--model", str(self._folder / self.model.file_name)),
                *("--name", self.model.name),
                *("--task", self.model.task),
                *("--port", str(self._port.getsockname()[1])),
                *("--context-tokens", str(self.model.context_tokens)),
                *("--parallel", str(self._parallel)),
                *("--threads", str(self._threads)),
                # The child lives as long as this pipe: the kernel closes it however we die.
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                # Nothing else of our environment: it holds the keys of every provider.
                env={"PYTHONPATH": os.pathsep.join(sys.path)},
                # Ctrl-C reaches the terminal's whole group; calls in flight still need the child.
                start_new_session=True,
            )

    async def _watch(self) -> None:
        """Read what the child says until it ends."""
        process = self._process
        if process is None:
            return
        assert process.stdout is not None
        while said := await process.stdout.read(_KEPT_OUTPUT_BYTES):
            self._output = (self._output + said)[-_KEPT_OUTPUT_BYTES:]
            if READY in self._output:
                self._ready.set()
        self._ready.clear()
        await process.wait()

    async def _stops_within(self, wait_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def _end_child(self) -> None:
        process, self._process = self._process, None
        self._ready.clear()
        if process is None or process.returncode is not None:
            return
        try:
            process.terminate()
            async with asyncio.timeout(self._kill_after_s):
                await process.wait()
        except TimeoutError:
            pass
        finally:
            # Also when this wait itself was cancelled: no way out leaves a process behind.
            if process.returncode is None:
                process.kill()
        await process.wait()

    def _obituary(self) -> str:
        """Say in one line how the child is, or how it ended and its last words."""
        said = self._output.replace(READY, b"").decode(errors="replace").strip()
        last_line = said.rpartition("\n")[2] or "no output"
        status = self._process.returncode if self._process else None
        life = "is still loading" if status is None else f"ended with status {status}"
        return f"local model {self.model.name} {life}: {last_line}"


def _reserve_port() -> socket.socket:
    """Bind a free port without listening: only sockets of this user that ask for it may share."""
    port = socket.socket()
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    port.bind(("127.0.0.1", 0))
    return port
