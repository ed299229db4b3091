"""The HTTP port for machines that watch us: /metrics, /healthz and /readyz."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

Probe = Callable[[], bool]
Render = Callable[[str], tuple[bytes, str]]

_MAX_CONNECTIONS = 32
_MAX_HEAD_BYTES = 16 << 10
_EXCHANGE_S = 10.0


@dataclass(frozen=True, slots=True)
class _Answer:
    status: str
    body: bytes
    content_type: str = "text/plain; charset=utf-8"

    def encoded(self, *, with_body: bool) -> bytes:
        head = (
            f"HTTP/1.1 {self.status}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.body)}\r\nCache-Control: no-store\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode() + (self.body if with_body else b"")


class MetricsPort:
    """Answers one GET or HEAD per connection on the running event loop.

    `render` turns an Accept header into the metrics' text and its type, in a worker thread, one at
    a time. `ready` and `live` answer at once: whether to send calls here, and whether to let the
    process live. A loop that is stuck answers nothing, which a prober takes for dead.
    """

    def __init__(self, listen: str, render: Render, *, ready: Probe, live: Probe) -> None:
        self._listen = listen
        self._render = render
        self._probes = {"/readyz": ready, "/healthz": live}
        self._rendering = asyncio.Lock()
        self._connections = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen on `host:port`, `[ipv6]:port` or `unix:/path`; returns the port, 0 for a path.

        Raises OSError when the address cannot be listened on.
        """
        if self._listen.startswith("unix:"):
            self._server = await asyncio.start_unix_server(
                self._serve, self._listen.removeprefix("unix:"), limit=_MAX_HEAD_BYTES
            )
            return 0
        host, _, port = self._listen.rpartition(":")
        self._server = await asyncio.start_server(
            self._serve, host.strip("[]") or None, int(port), limit=_MAX_HEAD_BYTES
        )
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Stop listening; exchanges under way end by themselves within seconds."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            with suppress(OSError, TimeoutError, EOFError, asyncio.LimitOverrunError):
                async with asyncio.timeout(_EXCHANGE_S):
                    if self._connections <= _MAX_CONNECTIONS:
                        await self._exchange(reader, writer)
        finally:
            self._connections -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, _, headers = head.partition("\r\n")
        method, _, rest = request.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        answer = await self._answer(method, path, headers)
        writer.write(answer.encoded(with_body=method != "HEAD"))
        await writer.drain()

    async def _answer(self, method: str, path: str, headers: str) -> _Answer:
        if method not in {"GET", "HEAD"}:
            return _Answer("405 Method Not Allowed", b"GET or HEAD\n")
        if path == "/metrics":
            async with self._rendering:
                body, content_type = await asyncio.to_thread(self._render, _accept(headers))
            return _Answer("200 OK", body, content_type)
        probe = self._probes.get(path)
        if probe is None:
            return _Answer("404 Not Found", b"/metrics, /healthz or /readyz\n")
        if probe():
            return _Answer("200 OK", b"ok\n")
        return _Answer("503 Service Unavailable", b"no\n")


def _accept(headers: str) -> str:
    for line in headers.splitlines():
        name, _, value = line.partition(":")
        if name.lower() == "accept":
            return value.strip()
    return ""
