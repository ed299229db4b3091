"""A provider with nothing to do: streams OpenAI's events, as fast as it can or at a pace.

The model's name says how: `tokens:256@10` is 256 tokens, 10 ms apart. Embeddings have 1536 numbers
and take as many milliseconds as their model's name ends with: `embed@20`.
"""

import asyncio
import base64
import json
import re
import sys
from array import array

import uvloop

_SPEC = re.compile(rb'"model":\s*"tokens:(\d+)@(\d+)"')
_EMBED_SPEC = re.compile(rb'"model":\s*"embed@(\d+)"')
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"transfer-encoding: chunked\r\nx-request-id: bench\r\n\r\n"
)


def _event(delta: dict[str, str], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**chunk, "choices": [choice]}).encode() + b"\n\n"


def _chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body)


_USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":%d}}\n\n'
_TOKEN = _chunked(_event({"content": " token"}))


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1]) if length else 0)
            if b"/embeddings " in head:
                await _embed(writer, body)
                continue
            spec = _SPEC.search(body)
            count, gap_ms = (int(spec[1]), int(spec[2])) if spec else (16, 0)
            await _stream(writer, count, gap_ms / 1000)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _stream(writer: asyncio.StreamWriter, count: int, gap_s: float) -> None:
    writer.write(_HEAD + _chunked(_event({"role": "assistant", "content": ""})))
    if gap_s:
        for _ in range(count):
            await asyncio.sleep(gap_s)
            writer.write(_TOKEN)
    else:
        for _ in range(count):
            writer.write(_TOKEN)
            await writer.drain()
    usage = _USAGE % count
    end = _event({}, "stop") + usage + b"data: [DONE]\n\n"
    writer.write(_chunked(end) + b"0\r\n\r\n")
    await writer.drain()


_VECTOR = base64.b64encode(array("f", (i / 1536 for i in range(1536))).tobytes())


async def _embed(writer: asyncio.StreamWriter, body: bytes) -> None:
    spec = _EMBED_SPEC.search(body)
    await asyncio.sleep(int(spec[1]) / 1000 if spec else 0)
    texts = json.loads(body)["input"]
    entries = b",".join(
        b'{"object":"embedding","index":%d,"embedding":"%b"}' % (i, _VECTOR)
        for i in range(len(texts))
    )
    usage = b'{"prompt_tokens":%d,"total_tokens":%d}' % ((2 * len(texts),) * 2)
    answer = b'{"object":"list","model":"m","data":[%b],"usage":%b}' % (entries, usage)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    writer.write(head % len(answer) + answer)
    await writer.drain()


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    sys.exit(uvloop.run(_main()))
