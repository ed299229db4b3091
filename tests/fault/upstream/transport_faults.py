"""Scripts that spoil the bytes of an answer, whatever they say: rows 5–9, 28–36, 39, 41, 53."""

import asyncio
import functools
import zlib

from tests.fault.upstream.exchange import Exchange, script

POISON = "POISON from the bytes after the body"
"""Text of the answer that `extrabytes` leaves on a kept connection; no caller may ever see it."""

_MIB = 1 << 20
_PIECE_BYTES = 64 * 1024
_FIRST_FEW = 3

_ENDINGS = ("rst", "close", "clean", "stall")


@script("ok")
async def ok(exchange: Exchange) -> None:
    """A good answer."""
    await exchange.send_reply(exchange.reply())


@script("hang")
async def hang(exchange: Exchange) -> None:
    """Takes the request and never says a word."""
    await exchange.connection.hang()


@script("hangafterhdr")
async def hang_after_head(exchange: Exchange) -> None:
    """A good response head, then silence."""
    await exchange.begin(exchange.reply())
    await exchange.connection.hang()


@script("slowhdr")
async def slow_head(exchange: Exchange) -> None:
    """The response head one byte at a time, so that no read ever times out."""
    pause_s = exchange.script.seconds("every_ms", 300)
    for byte in (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n" + b"x-slow: head\r\n" * 99
    ):
        await exchange.connection.write(bytes([byte]))
        await exchange.connection.pause(pause_s)
    await exchange.connection.hang()


@script("bighdr")
async def big_head(exchange: Exchange) -> None:
    """A good answer under an enormous header."""
    filler = "a" * (exchange.script.number("kib", 1024) * 1024)
    reply = exchange.reply()
    await exchange.begin(reply, extra_headers=[("x-filler", filler)])
    await exchange.send(reply.frames)
    await exchange.end()


@script("garbage")
async def garbage(exchange: Exchange) -> None:
    """Bytes that are not HTTP."""
    await exchange.connection.write(b"\x16\x03\x01\x00\xff SSH-2.0 not HTTP at all\r\n\r\n" * 4)
    exchange.connection.close()


@script("gzip")
async def compressed(exchange: Exchange) -> None:
    """A good answer in gzip, although identity was asked for."""
    reply = exchange.reply()
    packer = zlib.compressobj(wbits=31)
    body = packer.compress(b"".join(reply.frames)) + packer.flush()
    await exchange.send_whole(200, reply.content_type, body, [("content-encoding", "gzip")])


@script("gzipbomb")
async def compression_bomb(exchange: Exchange) -> None:
    """A small gzip body that unfolds into one enormous line."""
    reply = exchange.reply()
    body = await asyncio.to_thread(_bomb, exchange.script.number("mib", 256))
    await exchange.send_whole(200, reply.content_type, body, [("content-encoding", "gzip")])


@functools.lru_cache(maxsize=2)
def _bomb(size_mib: int) -> bytes:
    packer = zlib.compressobj(level=9, wbits=31)
    piece = b"a" * _MIB
    body = packer.compress(b"data: ") + b"".join(packer.compress(piece) for _ in range(size_mib))
    return body + packer.compress(b"\n\n") + packer.flush()


@script("hugeline")
async def huge_line(exchange: Exchange) -> None:
    """One line of many MiB, ended at last."""
    await _send_long_line(exchange)
    await exchange.send([b"\n\n"])
    await exchange.end()


@script("noeol")
async def no_end_of_line(exchange: Exchange) -> None:
    """One line of many MiB which never ends, on a connection that stays open."""
    await _send_long_line(exchange)
    await exchange.connection.hang()


async def _send_long_line(exchange: Exchange) -> None:
    reply = exchange.reply()
    at = exchange.script.number("at", 0)
    await exchange.begin(reply, framing="chunked")
    if at:
        await exchange.send(reply.opening)
        await exchange.send_body(reply.body[:at])
    await exchange.send([b'data: {"filler":"'])
    piece = b"a" * _PIECE_BYTES
    for _ in range(exchange.script.number("mib", 64) * _MIB // _PIECE_BYTES):
        await exchange.send([piece])


@script("pinghang")
async def ping_and_hang(exchange: Exchange) -> None:
    """Keep-alives for ever and no output after the first `at` frames."""
    reply = exchange.reply()
    pause_s = exchange.script.seconds("every_ms", 100)
    await exchange.begin(reply, framing="chunked")
    at = exchange.script.number("at", 0)
    if at or reply.is_streamed:
        await exchange.send(reply.opening)
        await exchange.send_body(reply.body[:at])
    while True:
        await exchange.send([exchange.wire.ping()])
        await exchange.connection.pause(pause_s)


@script("trickle")
async def trickle(exchange: Exchange) -> None:
    """A good answer, one byte of the body at a time."""
    reply = exchange.reply()
    pause_s = exchange.script.seconds("every_ms", 1000)
    await exchange.begin(reply)
    for byte in b"".join(reply.frames):
        await exchange.send([bytes([byte])])
        await exchange.connection.pause(pause_s)
    await exchange.end()


@script("utf8split")
async def split_characters(exchange: Exchange) -> None:
    """A good answer in chunks and segments of `size` bytes, so that characters are torn."""
    reply = exchange.reply()
    body = b"".join(reply.frames)
    size_bytes = exchange.script.number("size", 1)
    await exchange.begin(reply, framing="chunked")
    for at in range(0, len(body), size_bytes):
        await exchange.send([body[at : at + size_bytes]])
        await asyncio.sleep(0)
    await exchange.end()


@script("cut")
async def cut(exchange: Exchange) -> None:
    """A good start of `at` frames, ended `by` rst, close, clean or stall."""
    by = exchange.script.text("by", "rst")
    assert by in _ENDINGS, by
    await _cut(exchange, by, at_default=_FIRST_FEW)


@script("rst")
async def reset_midway(exchange: Exchange) -> None:
    """A TCP reset after the first `at` frames."""
    await _cut(exchange, "rst", at_default=_FIRST_FEW)


@script("hangmid")
async def hang_midway(exchange: Exchange) -> None:
    """Silence after the first `at` frames."""
    await _cut(exchange, "stall", at_default=_FIRST_FEW)


@script("nodone")
async def no_terminal_event(exchange: Exchange) -> None:
    """The body ends cleanly after the output: no finish reason, no terminal event."""
    await _cut(exchange, "clean")


@script("nodone_close")
async def no_terminal_event_on_close(exchange: Exchange) -> None:
    """As `nodone`, on a body delimited by the end of the connection."""
    reply = exchange.reply()
    await exchange.begin(reply, framing="until_close")
    await exchange.send(reply.opening)
    await exchange.send_body(reply.body[: exchange.script.number("at", len(reply.body))])
    exchange.connection.close()


@script("nodone_finish")
async def finish_reason_without_terminal_event(exchange: Exchange) -> None:
    """Finish reason and usage arrive; only the terminal event is missing."""
    reply = exchange.reply()
    await exchange.begin(reply, framing="chunked")
    await exchange.send(reply.opening)
    await exchange.send_body(reply.body)
    await exchange.send(reply.finish)
    await exchange.end()


@script("done_nofinish")
async def terminal_event_without_finish_reason(exchange: Exchange) -> None:
    """The terminal event arrives, and no finish reason did."""
    reply = exchange.reply()
    await exchange.begin(reply, framing="chunked")
    await exchange.send(reply.opening)
    await exchange.send_body(reply.body[: exchange.script.number("at", len(reply.body))])
    await exchange.send(reply.terminator)
    await exchange.end()


@script("trunc")
async def truncated_chunk(exchange: Exchange) -> None:
    """The connection closes inside a chunk that announced more bytes."""
    await _break_off(exchange, announced_bytes=4096)


@script("truncmidevent")
async def truncated_event(exchange: Exchange) -> None:
    """The body ends cleanly in the middle of an event."""
    await _break_off(exchange, announced_bytes=None)


async def _break_off(exchange: Exchange, *, announced_bytes: int | None) -> None:
    """Send `at` frames and half of the next; end cleanly unless a longer chunk is announced."""
    reply = exchange.reply()
    at = min(exchange.script.number("at", _FIRST_FEW), len(reply.body) - 1)
    half = reply.body[at][: len(reply.body[at]) // 2]
    await exchange.begin(reply, framing="chunked")
    await exchange.send(reply.opening)
    await exchange.send_body(reply.body[:at])
    if announced_bytes is None:
        await exchange.send([half])
        await exchange.end()
    else:
        await exchange.connection.write(b"%x\r\n%b" % (announced_bytes, half))
        exchange.connection.close()


async def _cut(exchange: Exchange, by: str, *, at_default: int | None = None) -> None:
    reply = exchange.reply()
    at = exchange.script.number("at", len(reply.body) if at_default is None else at_default)
    await exchange.begin(reply, framing="chunked")
    await exchange.send(reply.opening)
    await exchange.send_body(reply.body[:at])
    if by == "stall":
        await exchange.connection.hang()
    elif by == "clean":
        await exchange.end()
    elif by == "close":
        exchange.connection.close()
    else:
        await exchange.connection.let_client_read()
        exchange.connection.reset()


@script("stale")
async def stale_keep_alive(exchange: Exchange) -> None:
    """A good answer on a connection that dies at the next request, or after `when=idle`."""
    await exchange.send_reply(exchange.reply())
    if exchange.script.text("when", "next") == "idle":
        await exchange.connection.let_client_read()
        exchange.connection.close()
    else:
        exchange.connection.stale_on_next_request = True


@script("extrabytes")
async def extra_bytes(exchange: Exchange) -> None:
    """A good answer, and after its end the answer to a request that nobody made."""
    await exchange.send_reply(exchange.reply())
    answer = exchange.answer()
    poison = type(answer)(model="poison", answer_id="poison", text=(POISON,))
    body = b"".join(exchange.wire.render(exchange.request, poison).frames)
    kind = "text/event-stream" if exchange.request.is_streamed else "application/json"
    await exchange.send_whole(200, kind, body)
