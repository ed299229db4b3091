"""A real redis-server of the test's own, and every way to hurt it."""

import asyncio
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Self

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

MISSING = "these tests need redis-server: apt-get install redis-server"


class RedisServer:
    """An async context manager; `kill` and `start` may follow one another on the same port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill()

    async def start(self) -> None:
        program = shutil.which("redis-server")
        assert program is not None, MISSING
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "no", "--dir", str(self._folder), "--loglevel", "warning"]
        command += ["--enable-debug-command", "yes", *self._options]
        self._process = _spawn(command)
        async with asyncio.timeout(10), self.client() as client:
            while True:
                try:
                    await client.ping()
                except (RedisConnectionError, OSError):
                    await asyncio.sleep(0.01)
                else:
                    return

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It keeps its connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> Redis:
        return Redis(port=self.port, decode_responses=True)

    async def do(self, *command: str | int) -> object:
        """Run a command on a connection of its own."""
        async with self.client() as client:
            return await client.execute_command(*command)


def _spawn(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
