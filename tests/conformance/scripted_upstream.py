"""A provider on a real socket that says what a case's script says, byte for byte."""

import asyncio
import random
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from turnout.testing.v1 import case_pb2 as pb


@dataclass(frozen=True, slots=True)
class Cutting:
    """How the bytes of an event stream reach the other side. `size` 0 leaves them whole."""

    name: str = "whole"
    size: int = 0
    seed: int | None = None
    line_end: bytes = b"\n"

    def pieces(self, body: bytes) -> Iterator[bytes]:
        """Cut one stretch of a body."""
        body = body.replace(b"\n", self.line_end)
        if self.seed is None:
            size = self.size or max(len(body), 1)
            yield from (body[at : at + size] for at in range(0, len(body), size))
            return
        dice = random.Random(self.seed)
        while body:
            size = dice.choice((1, 2, 3, 5, 8, 13, 60))
            yield body[:size]
            body = body[size:]


@dataclass(slots=True)
class Received:
    """A request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedUpstream:
    """Answers each request by the next exchange of `script`, on `port` of the loopback."""

    script: list[pb.Exchange] = field(default_factory=list)
    cutting: Cutting = field(default_factory=Cutting)
    received: list[Received] = field(default_factory=list)
    port: int = 0
    _server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port; connections end with their clients."""
        assert self._server is not None
        self._server.close()

    def play(self, script: Sequence[pb.Exchange], cutting: Cutting) -> None:
        """Set what the next requests get, and forget the last ones."""
        self.script = list(script)
        self.cutting = cutting
        self.received = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read_request(reader)) is not None:
                self.received.append(request)
                exchange = self.script.pop(0)
                if not exchange.status or not await self._answer(exchange, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, exchange: pb.Exchange, writer: asyncio.StreamWriter) -> bool:
        """Write one answer; False when the connection is to be closed after it."""
        headers = {header.name.lower(): header.value for header in exchange.headers}
        headers.setdefault("content-type", "text/event-stream")
        headers["transfer-encoding"] = "chunked"
        is_stream = headers["content-type"].startswith("text/event-stream")
        head = f"HTTP/1.1 {exchange.status} Scripted\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value)
        writer.write(head.encode() + b"\r\n")
        cutting = self.cutting if is_stream else Cutting()
        for step in _joined(exchange.body):
            if isinstance(step, bytes):
                for piece in cutting.pieces(step):
                    writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    await writer.drain()
                    # Lets the other side read, so that a piece is a read.
                    await asyncio.sleep(0)
            elif step.WhichOneof("action") == "delay":
                await asyncio.sleep(step.delay.ToMilliseconds() / 1000)
            else:
                if step.cut == pb.CUT_RESET:
                    # What was sent before is read before the reset, or it would be lost with it.
                    await asyncio.sleep(0.02)
                    _reset_on_close(writer)
                return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


def _joined(steps: Sequence[pb.Step]) -> Iterator[bytes | pb.Step]:
    """Stretches of bytes, with the steps that are none between them."""
    stretch = b""
    for step in steps:
        action = step.WhichOneof("action")
        if action == "text":
            stretch += step.text.encode()
        elif action == "data":
            stretch += step.data
        else:
            if stretch:
                yield stretch
            stretch = b""
            yield step
    if stretch:
        yield stretch


async def _read_request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(first.split(" ")[1], headers, body)


def _reset_on_close(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
