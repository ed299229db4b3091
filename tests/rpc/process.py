"""The server as an operator starts it: a process of its own, its log, and signals."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from turnout.v1.chat_service_pb2_grpc import ChatServiceStub

READY_WITHIN_S = 30.0


class ServerProcess:
    """One `turnout serve` with what it has logged so far."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.lines: list[dict[str, Any]] = []
        self.address = address
        self._process = process
        self._reading = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    def channel(self) -> grpc.aio.Channel:
        """A connection of its own, so that the kernel may choose another worker for it."""
        return grpc.aio.insecure_channel(self.address, [("grpc.use_local_subchannel_pool", 1)])

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == name]

    async def ready(self, workers: int = 1) -> None:
        async with asyncio.timeout(READY_WITHIN_S):
            while len(self.events("serving")) < workers:
                assert self._process.returncode is None, self.lines
                await asyncio.sleep(0.02)

    async def ended(self, within_s: float) -> int:
        """Its exit status; raises TimeoutError."""
        async with asyncio.timeout(within_s):
            status = await self._process.wait()
            await self._reading
        return status

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.startswith(b"{"):
                self.lines.append(json.loads(line))


@asynccontextmanager
async def server_process(folder: Path, port: int, **server: object) -> AsyncIterator[ServerProcess]:
    """Start `turnout serve` with a scripted provider called `first`; killed at the end."""
    address = f"127.0.0.1:{port}"
    section = {"listen": address, "drain_grace": "5s", "lame_duck": "300ms", **server}
    file = folder / "turnout.yaml"
    file.write_text(
        f"server: {json.dumps(section)}\nproviders: {{first: {{row: scripted, keys: []}}}}\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "turnout_server", "serve", "--config", str(file)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=folder,
    )
    running = ServerProcess(process, address)
    try:
        yield running
    finally:
        await running.kill()


def chat_stub(channel: grpc.aio.Channel) -> Any:
    return ChatServiceStub(channel)
