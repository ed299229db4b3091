"""HTTP/1.1 by hand on a raw connection, so that every byte, pause and close is ours to spoil."""

import asyncio
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

Headers = Iterable[tuple[str, str]]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_HEAD_LIMIT_BYTES = 1 << 20


class ClientGone(Exception):
    """The client closed the connection while a script was still playing."""


@dataclass(frozen=True, slots=True)
class RawRequest:
    """One request as it came over the wire, its body freed from chunking."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    head: bytes
    body: bytes


class WatchedProtocol(asyncio.StreamReaderProtocol):
    """A stream protocol that notes when the peer leaves, even while nobody reads."""

    def __init__(self, handler: Handler, loop: asyncio.AbstractEventLoop) -> None:
        reader = asyncio.StreamReader(limit=_HEAD_LIMIT_BYTES, loop=loop)
        super().__init__(reader, handler, loop=loop)
        self.peer_gone = asyncio.Event()
        self.peer_gone_at_s: float | None = None

    def eof_received(self) -> bool | None:
        """Count the peer's FIN as its departure: HTTP clients do not half-close."""
        self._note_departure()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note a reset, or our own close, which the connection tells apart."""
        self._note_departure()
        super().connection_lost(exc)

    def _note_departure(self) -> None:
        if self.peer_gone_at_s is None:
            self.peer_gone_at_s = time.monotonic()
            self.peer_gone.set()


def reset_connection(writer: asyncio.StreamWriter) -> None:
    """Close with a TCP RST: unsent bytes are dropped, the peer sees ECONNRESET."""
    raw_socket: socket.socket | None = writer.get_extra_info("socket")
    if raw_socket is not None and not writer.is_closing():
        raw_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class HttpConnection:
    """One client's connection: reads requests, writes answers, well or badly."""

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        protocol = writer.transport.get_protocol()
        assert isinstance(protocol, WatchedProtocol)
        self.number = number
        self.closed_by_us = False
        self.stale_on_next_request = False
        self._protocol = protocol
        self._reader = reader
        self._writer = writer

    @property
    def client_closed_at_s(self) -> float | None:
        """When (time.monotonic) the client left; None while it is here or when we left first."""
        return None if self.closed_by_us else self._protocol.peer_gone_at_s

    async def read_request(self) -> RawRequest | None:
        """The next request, or None once the client has left."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            request_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
            method, path, _ = request_line.split(" ", 2)
            headers = tuple(_header(line) for line in lines)
            return RawRequest(method, path, headers, head, await self._read_body(dict(headers)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def _read_body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return await self._reader.readexactly(int(headers.get("content-length", "0")))
        body = bytearray()
        while size_bytes := int((await self._reader.readline()).partition(b";")[0], 16):
            body += await self._reader.readexactly(size_bytes)
            await self._reader.readexactly(2)
        await self._reader.readuntil(b"\r\n")
        return bytes(body)

    async def write(self, data: bytes) -> None:
        """Send bytes, waiting while the client's window is full; raises ClientGone."""
        if self._protocol.peer_gone.is_set():
            raise ClientGone
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError as error:
            raise ClientGone from error

    async def write_chunk(self, data: bytes) -> None:
        """Send one chunk of a chunked body."""
        await self.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def pause(self, wait_s: float) -> None:
        """Wait; raises ClientGone as soon as the client leaves."""
        try:
            async with asyncio.timeout(wait_s):
                await self._protocol.peer_gone.wait()
        except TimeoutError:
            return
        raise ClientGone

    async def hang(self) -> None:
        """Say nothing until the client leaves, then raise ClientGone."""
        await self._protocol.peer_gone.wait()
        raise ClientGone

    async def let_client_read(self) -> None:
        """Give the client time to take what was sent, which a reset would otherwise destroy."""
        await self.pause(0.02)

    def reset(self) -> None:
        """Cut the connection by a TCP RST."""
        self._leave()
        reset_connection(self._writer)

    def close(self) -> None:
        """Close the connection cleanly, after what is still to be sent."""
        self._leave()
        self._writer.close()

    def _leave(self) -> None:
        if not self._protocol.peer_gone.is_set():
            self.closed_by_us = True


def response_head(status: int, headers: Headers) -> bytes:
    """The status line and headers, ended by the blank line."""
    reason = HTTPStatus(status).phrase if status in _KNOWN_STATUSES else "Overloaded"
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


_KNOWN_STATUSES: frozenset[Any] = frozenset(HTTPStatus)


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip().lower(), value.strip()
