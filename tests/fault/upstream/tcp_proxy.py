"""tcpx, a TCP proxy that spoils the connection between two healthy ends."""

import asyncio
from dataclasses import dataclass
from typing import Literal, Self

from tests.fault.upstream.http import reset_connection

TASK_PREFIX = "tcpx"
"""Names of this proxy's tasks begin so, for those who count tasks."""

Direction = Literal["to_client", "to_server"]
Cut = Literal["rst", "close", "half_close", "stall"]

_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What the proxy does to connections; bytes are counted per connection.

    `accept`: forward, or reset at once, or take the connection and stay silent. `delay_s` is
    added to every piece, both ways. After `cut_at_byte` bytes in `cut_direction` the connection
    is reset, closed, ended in that direction only (half close), or no byte is passed any more.
    """

    accept: Literal["forward", "reset", "hang"] = "forward"
    delay_s: float = 0.0
    cut_at_byte: int | None = None
    cut_by: Cut = "rst"
    cut_direction: Direction = "to_client"


@dataclass(slots=True)
class Counts:
    """What has happened so far."""

    connections: int = 0
    bytes_to_client: int = 0
    bytes_to_server: int = 0
    resets: int = 0
    closes: int = 0
    half_closes: int = 0
    stalls: int = 0


class TcpProxy:
    """Forwards a free local port to a server; an async context manager.

    `weather` may be changed at any time and holds for the bytes that follow; `reset_all`,
    `half_close_all`, `stall` and `resume` act on the connections open now.
    """

    def __init__(self, server_port: int, *, server_host: str = "127.0.0.1") -> None:
        self.weather = Weather()
        self.counts = Counts()
        self.port = 0
        self._server_address = (server_host, server_port)
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self.flowing = asyncio.Event()
        self.flowing.set()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listener is not None
        self._listener.close()
        self.resume()
        for link in tuple(self._links):
            link.reset()
        await asyncio.gather(*self._tasks)

    @property
    def base_url(self) -> str:
        """The origin under which an HTTP server behind the proxy is reached."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """Connections of clients now open."""
        return len(self._links)

    def reset_all(self) -> None:
        """Reset both sides of every open connection."""
        for link in tuple(self._links):
            self.counts.resets += 1
            link.reset()

    def half_close_all(self) -> None:
        """End every open connection towards its client, which may still send."""
        for link in tuple(self._links):
            self.counts.half_closes += 1
            link.half_close_client()

    def stall(self) -> None:
        """Pass no byte on any connection until `resume`."""
        self.counts.stalls += 1
        self.flowing.clear()

    def resume(self) -> None:
        """Pass bytes again."""
        self.flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts.connections += 1
        task = asyncio.current_task()
        assert task is not None
        task.set_name(f"{TASK_PREFIX} connection {self.counts.connections}")
        self._tasks.add(task)
        link = _Link(self, reader, writer)
        self._links.add(link)
        try:
            await self._connect(link)
        finally:
            link.close()
            self._links.discard(link)
            self._tasks.discard(task)

    async def _connect(self, link: "_Link") -> None:
        if self.weather.accept == "reset":
            self.counts.resets += 1
            link.reset()
        elif self.weather.accept == "hang":
            self.counts.stalls += 1
            await link.until_client_leaves()
        else:
            try:
                await link.forward(*self._server_address)
            except OSError:
                link.reset()


class _Link:
    """One client's connection and the one opened for it to the server."""

    def __init__(
        self, proxy: TcpProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._client_reader = reader
        self._client_writer = writer
        self._server_writer: asyncio.StreamWriter | None = None
        self._client_left = asyncio.Event()

    async def forward(self, host: str, port: int) -> None:
        """Carry bytes both ways until an end leaves or the weather cuts."""
        server_reader, self._server_writer = await asyncio.open_connection(host, port)
        name = f"{TASK_PREFIX} pump"
        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(
                self._pump(self._client_reader, self._server_writer, "to_server"), name=name
            )
            pumps.create_task(
                self._pump(server_reader, self._client_writer, "to_client"), name=name
            )

    async def until_client_leaves(self) -> None:
        """Swallow what the client sends until it leaves."""
        try:
            while await self._client_reader.read(_PIECE_BYTES):
                pass
        except ConnectionError:
            return

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        carried_bytes = 0
        try:
            while piece := await reader.read(_PIECE_BYTES):
                await asyncio.sleep(self._proxy.weather.delay_s)
                await self._proxy.flowing.wait()
                room_bytes = self._room(direction, carried_bytes)
                writer.write(piece[:room_bytes])
                await writer.drain()
                carried_bytes += len(piece[:room_bytes])
                self._count(direction, len(piece[:room_bytes]))
                if room_bytes is not None and len(piece) >= room_bytes:
                    await self._cut(writer, direction)
                    return
            if writer.can_write_eof():
                writer.write_eof()
        except (OSError, RuntimeError):
            # RuntimeError: asyncio's words for an end that was already closed or ended; a socket
            # that the other side has reset says ENOTCONN, which is no ConnectionError.
            self.reset()
        finally:
            if direction == "to_server":
                self._client_left.set()

    def _room(self, direction: Direction, carried_bytes: int) -> int | None:
        weather = self._proxy.weather
        if weather.cut_at_byte is None or weather.cut_direction != direction:
            return None
        return max(0, weather.cut_at_byte - carried_bytes)

    def _count(self, direction: Direction, size_bytes: int) -> None:
        if direction == "to_client":
            self._proxy.counts.bytes_to_client += size_bytes
        else:
            self._proxy.counts.bytes_to_server += size_bytes

    async def _cut(self, writer: asyncio.StreamWriter, direction: Direction) -> None:
        counts = self._proxy.counts
        match self._proxy.weather.cut_by:
            case "rst":
                counts.resets += 1
                await asyncio.sleep(0.02)  # a reset destroys what the receiver has not read yet
                self.reset()
            case "close":
                counts.closes += 1
                self.close()
            case "half_close":
                counts.half_closes += 1
                writer.write_eof()
            case "stall":
                counts.stalls += 1
                if direction == "to_server":
                    await self.until_client_leaves()
                    writer.write_eof()
                else:
                    await self._client_left.wait()

    def half_close_client(self) -> None:
        """Send the client a FIN and go on reading from it."""
        self._client_writer.write_eof()

    def reset(self) -> None:
        """Reset both sides."""
        for writer in (self._client_writer, self._server_writer):
            if writer is not None:
                reset_connection(writer)

    def close(self) -> None:
        """Close both sides cleanly."""
        for writer in (self._client_writer, self._server_writer):
            if writer is not None:
                writer.close()
