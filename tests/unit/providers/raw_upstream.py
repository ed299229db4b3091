"""A provider that answers every request with raw bytes of the test's choosing."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from turnout_server.core.target import (
    Attempt,
    Endpoint,
    Key,
    ModelCard,
    Secret,
    Target,
    Timeouts,
)

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""Writes one answer. Returning leaves the connection open; `writer.close()` ends it."""


@dataclass
class RawUpstream:
    """What a provider saw: each request's head, and how many connections came and went."""

    address: str
    answer: Answer
    requests: list[str] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    def endpoint(self, *, connect_s: float = 2.0, **options: object) -> Endpoint:
        """This provider as it would be configured."""
        return Endpoint(
            "raw",
            "raw",
            "openai_chat",
            self.address,
            timeouts=Timeouts(connect_s=connect_s),
            options=options,
        )

    def attempt(self, *, key: str | None = "of-the-test") -> Attempt:
        """One try at this provider."""
        target = Target(self.endpoint(), ModelCard("a-model", frozenset()))
        secret = None if key is None else Key("test", Secret(key))
        return Attempt(1, target, secret, first_output_s=5, stall_s=5)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        self.open_connections += 1
        ahead = asyncio.create_task(reader.read(1))
        try:
            # The byte after a request begins the next, or tells that the caller has hung up.
            while first := await ahead:
                self.requests.append(await _read_request(first, reader))
                ahead = asyncio.create_task(reader.read(1))
                talk = asyncio.create_task(self._talk(writer))
                await asyncio.wait({talk, ahead}, return_when=asyncio.FIRST_COMPLETED)
                if ahead.done():
                    talk.cancel()
                await asyncio.wait({talk})
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # The test is over, or the caller has gone.
        finally:
            ahead.cancel()
            self.open_connections -= 1
            self.hung_up.set()
            writer.close()

    async def _talk(self, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await self.answer(writer)


@asynccontextmanager
async def serve(answer: Answer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawUpstream]:
    """Listen on the loopback and answer every request by `answer`."""
    upstream = RawUpstream("", answer)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    upstream.address = f"{'https' if tls else 'http'}://localhost:{port}/v1"
    try:
        yield upstream
    finally:
        server.close()


def raw(*pieces: bytes, close: bool = False) -> Answer:
    """An answer of these bytes, a write each, then perhaps the end of the connection."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if close:
            writer.close()

    return answer


def hanging(*pieces: bytes) -> Answer:
    """An answer of these bytes, and then nothing more."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        await raw(*pieces)(writer)
        await asyncio.sleep(60)

    return answer


def head(status: int = 200, **headers: str) -> bytes:
    """A status line and headers; `content_type` is written `content-type`."""
    lines = [f"HTTP/1.1 {status} Raw"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def whole(body: bytes, status: int = 200, **headers: str) -> bytes:
    """A whole answer with its length; JSON unless it says otherwise."""
    headers = {"content_type": "application/json"} | headers
    return head(status, content_length=str(len(body)), **headers) + body


def stream(*data: bytes) -> bytes:
    """A whole event stream of these data lines, in chunked framing."""
    body = b"".join(b"data: %s\n\n" % line for line in data)
    framing = head(content_type="text/event-stream", transfer_encoding="chunked")
    return framing + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


async def _read_request(first: bytes, reader: asyncio.StreamReader) -> str:
    text = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lengths = [line for line in text.lower().split("\r\n") if line.startswith("content-length:")]
    if lengths:
        await reader.readexactly(int(lengths[0].partition(":")[2]))
    return text
