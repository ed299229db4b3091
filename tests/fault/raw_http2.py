"""An HTTP/2 client that keeps no rule: frames go out as a test makes them."""

import asyncio
import struct
from collections.abc import Callable, Iterable
from typing import Self

import hpack
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CHAT = "/turnout.v1.ChatService/Chat"
REFUSED_STREAM = 7
ENHANCE_YOUR_CALM = 11


class RawHttp2:
    """One connection; an async context manager. `frames` is what the server has sent so far."""

    def __init__(self, port: int) -> None:
        self.frames: list[Frame] = []
        self.closed = asyncio.Event()
        self._port = port
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(PREFACE + SettingsFrame(0).serialize())
        self._reading = asyncio.create_task(self._read(), name="faultd raw http2")
        await self.until(lambda: bool(self.of(SettingsFrame)))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.transport.abort()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    def of(self, kind: type[Frame]) -> list[Frame]:
        """Frames of one kind received so far."""
        return [frame for frame in self.frames if isinstance(frame, kind)]

    async def send(self, frames: Iterable[Frame], *, each: int = 200) -> None:
        """Send frames, giving way after so many; stops quietly when the server hangs up."""
        for number, frame in enumerate(frames):
            if self.closed.is_set():
                return
            self._writer.write(frame.serialize())
            if number % each == 0:
                try:
                    await self._writer.drain()
                except ConnectionError:
                    return
                await asyncio.sleep(0)

    def headers(self, stream_id: int, path: str = CHAT, **more: str) -> HeadersFrame:
        """The head of a call."""
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": "turnout",
            "content-type": "application/grpc",
            "te": "trailers",
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        block = self._encoder.encode([*fields.items()])
        return HeadersFrame(stream_id, block, flags=["END_HEADERS"])

    async def status_of(self, stream_id: int, *, within_s: float = 5.0) -> str:
        """The gRPC status of a call that has ended."""
        fields: dict[str, str] = {}

        def ended() -> bool:
            for frame in self.of(HeadersFrame):
                if frame.stream_id == stream_id and "END_STREAM" in frame.flags:
                    fields.update(frame.fields)
            return bool(fields)

        await self.until(ended, within_s=within_s)
        return fields.get("grpc-status", "")

    async def until(self, condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
        """Wait until what was received fulfils a condition; raises TimeoutError."""
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.005)

    async def _read(self) -> None:
        try:
            while True:
                frame, length = Frame.parse_frame_header(
                    memoryview(await self._reader.readexactly(9))
                )
                frame.parse_body(memoryview(await self._reader.readexactly(length)))
                self._take(frame)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed.set()

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, HeadersFrame):
            # In order, since the table is shared by all of them.
            frame.fields = dict(self._decoder.decode(frame.data))
        if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            self._writer.write(SettingsFrame(0, flags=["ACK"]).serialize())
        if isinstance(frame, PingFrame) and "ACK" not in frame.flags:
            self._writer.write(PingFrame(0, frame.opaque_data, flags=["ACK"]).serialize())
        self.frames.append(frame)


def message(body: bytes, *, compressed: bool = False) -> bytes:
    """One length-prefixed gRPC message."""
    return struct.pack(">BI", compressed, len(body)) + body


def data(stream_id: int, body: bytes) -> list[DataFrame]:
    """A body in frames of the size every server takes, the last one ending the stream."""
    pieces = [body[at : at + 16_384] for at in range(0, len(body), 16_384)] or [b""]
    frames = [DataFrame(stream_id, piece) for piece in pieces]
    frames[-1].flags.add("END_STREAM")
    return frames


def resets(connection: RawHttp2) -> list[int]:
    """Error codes of the streams that the server reset."""
    return [frame.error_code for frame in connection.of(RstStreamFrame)]


def goaways(connection: RawHttp2) -> list[int]:
    """Error codes of the server's farewells."""
    return [frame.error_code for frame in connection.of(GoAwayFrame)]
