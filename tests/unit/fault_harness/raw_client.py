"""A client that reads what the harness really sends, byte for byte, and how it ended."""

import asyncio
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

End = Literal["complete", "eof", "reset", "silent"]

PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_embeddings": "/v1/embeddings",
    "anthropic_messages": "/v1/messages",
}
CHAT_WIRES = ("openai_chat", "anthropic_messages")


@dataclass(frozen=True, slots=True)
class Received:
    """An answer as received: `complete` when its framing ended it, else how it broke off."""

    head: bytes
    body: bytes
    end: End

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").strip().split("\r\n")[1:]
        return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[Any]:
        """The data of each whole event; `[DONE]` stays text."""
        found: list[Any] = []
        for event in self.body.decode().split("\n\n")[:-1]:
            data = [line[6:] for line in event.split("\n") if line.startswith("data: ")]
            if data:
                found.append(data[0] if data[0] == "[DONE]" else json.loads(data[0]))
        return found

    def text(self) -> str:
        """The assembled text of a stream, in either dialect."""
        return "".join(_delta_text(event) for event in self.events() if isinstance(event, dict))


def _delta_text(event: dict[str, Any]) -> str:
    if "choices" in event:
        return "".join(choice["delta"].get("content") or "" for choice in event["choices"])
    return str(event.get("delta", {}).get("text", ""))


def request_bytes(wire: str, model: str, *, stream: bool = True, **fields: Any) -> bytes:
    if wire == "openai_embeddings":
        body: dict[str, Any] = {"model": model, "input": ["one", "two", "three"]}
    else:
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    payload = json.dumps(body | fields).encode()
    head = f"POST {PATHS[wire]} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(payload)}\r\n\r\n"
    return head.encode() + payload


class RawClient:
    """One connection; async context manager."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self._port = port
        self._tls = tls

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=self._tls
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def ask(self, wire: str, model: str, *, within_s: float = 1.0, **fields: Any) -> Received:
        self.writer.write(request_bytes(wire, model, **fields))
        return await self.receive(within_s=within_s)

    async def receive(self, *, within_s: float = 1.0) -> Received:
        head, body = bytearray(), bytearray()
        end: End = "complete"
        try:
            async with asyncio.timeout(within_s):
                head += await self.reader.readuntil(b"\r\n\r\n")
                await self._read_body(_length(bytes(head)), body)
        except asyncio.IncompleteReadError as error:
            (body if head else head).extend(error.partial)
            end = "eof"
        except ConnectionError:
            end = "reset"
        except TimeoutError:
            end = "silent"
        return Received(bytes(head), bytes(body), end)

    async def _read_body(self, length: int | None, body: bytearray) -> None:
        if length is not None:
            while len(body) < length:
                body += await self._some(length - len(body))
            return
        while size_bytes := int(await self.reader.readuntil(b"\r\n"), 16):
            body += await self.reader.readexactly(size_bytes)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)

    async def _some(self, at_most_bytes: int) -> bytes:
        piece = await self.reader.read(min(at_most_bytes, 65536))
        if not piece:
            raise asyncio.IncompleteReadError(b"", at_most_bytes)
        return piece


def _length(head: bytes) -> int | None:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length: "):
            return int(line.split(b": ")[1])
    return None if b"chunked" in head else 1 << 62


async def ask(port: int, wire: str, model: str, **fields: Any) -> Received:
    """One request on a connection of its own."""
    async with RawClient(port) as client:
        return await client.ask(wire, model, **fields)


def kinds(events: Sequence[dict[str, Any]]) -> list[str]:
    """The types of Anthropic's events."""
    return [event["type"] for event in events]
