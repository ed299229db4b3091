"""Scripts whose framing is good and whose content is not: rows 23, 38, 40, 42, 44–46, 49–54."""

from dataclasses import replace

from tests.fault.upstream.answer import BAD_BYTE, Usage
from tests.fault.upstream.exchange import INPUT_TOKENS, Exchange, script
from tests.fault.upstream.tokens import answer as tokens_of

_ODDITIES = (
    "badjson",
    "nullchoices",
    "wrongtypes",
    "stringchoices",
    "nullevent",
    "numberevent",
    "emptydata",
)
AFTER_FINISH = "text after the finish reason"
"""What `afterfinish` adds; no caller may see it."""


def _register(name: str) -> None:
    @script(name)
    async def say_so(exchange: Exchange) -> None:
        await _send_oddity(exchange, name)


for _name in _ODDITIES:
    _register(_name)


async def _send_oddity(exchange: Exchange, name: str) -> None:
    """An odd event after `at` frames, and the good rest of the answer behind it."""
    reply = exchange.reply()
    if not reply.is_streamed:
        await exchange.send_whole(200, "application/json", exchange.wire.odd_body(name))
        return
    at = exchange.script.number("at", 0)
    odd = exchange.wire.odd_event(name)
    await exchange.begin(reply)
    await exchange.send(reply.opening)
    await exchange.send_body(reply.body[:at])
    await exchange.send([odd])
    await exchange.send_body(reply.body[at:])
    await exchange.send(reply.finish + reply.terminator)
    await exchange.end()


@script("unknownevent")
async def unknown_event(exchange: Exchange) -> None:
    """A good answer with events of kinds not known yet; a good one when unary."""
    if exchange.request.is_streamed:
        await _send_oddity(exchange, "unknownevent")
    else:
        await exchange.send_reply(exchange.reply())


@script("errevent_named")
async def named_error_event(exchange: Exchange) -> None:
    """An event named error, in no known shape, after `at` frames; then the stream ends."""
    reply = exchange.reply()
    if not reply.is_streamed:
        body = exchange.wire.odd_body("errevent_named")
        await exchange.send_whole(200, "application/json", body)
        return
    await exchange.begin(reply)
    await exchange.send(reply.opening)
    await exchange.send_body(reply.body[: exchange.script.number("at", 0)])
    await exchange.send([exchange.wire.odd_event("errevent_named")])
    await exchange.end()


@script("badutf8")
async def bad_utf8(exchange: Exchange) -> None:
    """A token after `at` frames holds a byte that is not UTF-8."""
    await _send_with_token(exchange, f" bad{BAD_BYTE}byte")


@script("surrogate")
async def surrogate(exchange: Exchange) -> None:
    """A token after `at` frames holds a lone surrogate and a NUL, escaped as JSON allows."""
    await _send_with_token(exchange, " lone\ud83d nul\x00")


async def _send_with_token(exchange: Exchange, token: str) -> None:
    answer = exchange.answer()
    at = exchange.script.number("at", 0)
    text = (*answer.text[:at], token, *answer.text[at:])
    await exchange.send_reply(exchange.reply(replace(answer, text=text)))


@script("nousage")
async def no_usage(exchange: Exchange) -> None:
    """A good answer that never says what it used."""
    await exchange.send_reply(exchange.reply(replace(exchange.answer(), usages=())))


@script("usagetwice")
async def usage_twice(exchange: Exchange) -> None:
    """Two usage reports; the second has `second` output tokens, fewer or absurdly many."""
    answer = exchange.answer()
    second = Usage(INPUT_TOKENS, exchange.script.number("second", 1))
    await exchange.send_reply(exchange.reply(replace(answer, usages=(*answer.usages, second))))


@script("filtered")
async def filtered(exchange: Exchange) -> None:
    """The provider's filter ends the output."""
    await exchange.send_reply(exchange.reply(replace(exchange.answer(), finish="content_filter")))


@script("refusal")
async def refusal(exchange: Exchange) -> None:
    """The model refuses, in the wire's own way to say so."""
    await exchange.send_reply(exchange.reply(replace(exchange.answer(), finish="refusal")))


@script("afterfinish")
async def content_after_finish(exchange: Exchange) -> None:
    """More text between the finish reason and the terminal event."""
    reply = exchange.reply()
    late = exchange.reply(replace(exchange.answer(), text=(AFTER_FINISH,), thinking=()))
    await exchange.begin(reply, framing="chunked")
    await exchange.send(reply.opening)
    await exchange.send_body(reply.body)
    await exchange.send(reply.finish + (late.body if reply.is_streamed else ()))
    await exchange.send(reply.terminator)
    await exchange.end()


@script("choices")
async def interleaved_choices(exchange: Exchange) -> None:
    """`n` choices whose deltas take turns, on the wire that has choices."""
    count = exchange.script.number("n", 2)
    await exchange.send_reply(exchange.reply(replace(exchange.answer(), choice_count=count)))


@script("wrongmodel")
async def wrong_model(exchange: Exchange) -> None:
    """A good answer that names another model, as if it were another request's."""
    answer = replace(exchange.answer(), model="another-model", answer_id="answer-of-another")
    await exchange.send_reply(exchange.reply(answer))


@script("longer")
async def longer_than_allowed(exchange: Exchange) -> None:
    """All `tokens` of the text, whatever limit the caller set."""
    text = tuple(tokens_of(exchange.script.number("tokens", 12)))
    usage = Usage(INPUT_TOKENS, len(text))
    answer = replace(exchange.answer(), text=text, finish="stop", usages=(usage,))
    await exchange.send_reply(exchange.reply(answer))


@script("torrent")
async def torrent(exchange: Exchange) -> None:
    """A good answer of `mib` MiB, as fast as the client takes it; frames are counted."""
    piece = "x" * (64 * 1024)
    reply = exchange.reply(replace(exchange.answer(), text=(piece, piece)))
    await exchange.begin(reply, framing="chunked")
    await exchange.send(reply.opening)
    await exchange.send_body(reply.body[:1])
    for _ in range(exchange.script.number("mib", 64) * 16 - 1):
        await exchange.send_body(reply.body[1:])
    await exchange.send(reply.finish + reply.terminator)
    await exchange.end()
