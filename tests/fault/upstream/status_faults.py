"""Scripts that answer with an error, or with something that is no answer: rows 10, 14–28."""

import random
import time
from dataclasses import replace
from email.utils import formatdate

from tests.fault.upstream.answer import Refusal
from tests.fault.upstream.exchange import Exchange, script

_INVALID = "invalid_request_error"

REFUSALS: dict[str, Refusal] = {
    "400": Refusal(400, _INVALID, None, _INVALID, "Bad request"),
    "401": Refusal(401, _INVALID, "invalid_api_key", "authentication_error", "Bad key"),
    "402": Refusal(402, "billing_error", None, "billing_error", "Spend limit reached"),
    "403": Refusal(403, _INVALID, "unsupported_region", "permission_error", "Not allowed"),
    "404": Refusal(404, _INVALID, "model_not_found", "not_found_error", "No such model"),
    "408": Refusal(408, "timeout_error", None, "timeout_error", "Request timed out"),
    "409": Refusal(409, "conflict_error", None, "conflict_error", "Conflict"),
    "413": Refusal(413, _INVALID, None, "request_too_large", "Request too large"),
    "422": Refusal(422, _INVALID, None, _INVALID, "Unprocessable"),
    "425": Refusal(425, "too_early", None, "api_error", "Too early"),
    "429": Refusal(429, "requests", "rate_limit_exceeded", "rate_limit_error", "Slow down"),
    "500": Refusal(500, "server_error", None, "api_error", "Internal server error"),
    "502": Refusal(502, "server_error", None, "api_error", "Bad gateway"),
    "503": Refusal(503, "server_error", "overloaded", "overloaded_error", "Try again later"),
    "504": Refusal(504, "timeout_error", None, "timeout_error", "Gateway timeout"),
    "529": Refusal(529, "server_error", "overloaded", "overloaded_error", "Overloaded"),
    "context_length": Refusal(
        400,
        _INVALID,
        "context_length_exceeded",
        _INVALID,
        "prompt is too long: 205000 tokens > 200000 maximum; this model's maximum context length",
    ),
    "prompt_blocked": Refusal(
        400,
        _INVALID,
        "content_policy_violation",
        _INVALID,
        "Blocked by content filtering policy",
    ),
    "insufficient_quota": Refusal(
        429,
        "insufficient_quota",
        "insufficient_quota",
        "rate_limit_error",
        "You exceeded your current quota; check your plan and billing details",
    ),
    "trailing_space": Refusal(
        400,
        _INVALID,
        None,
        _INVALID,
        "messages: final assistant content cannot end with trailing whitespace",
    ),
    "credit_too_low": Refusal(
        400,
        "billing_error",
        "billing_not_active",
        _INVALID,
        "Your credit balance is too low to use this API",
    ),
}
"""Error answers by the name of their script."""


async def refuse(exchange: Exchange, name: str) -> None:
    """Answer with an error; any of them may carry one of the `after_*` headers."""
    refusal = _with_canary(exchange, REFUSALS[name])
    body = exchange.wire.refusal_body(refusal)
    await exchange.send_whole(refusal.status, "application/json", body, _retry_after(exchange))


def _register(name: str) -> None:
    @script(name)
    async def refuse_so(exchange: Exchange) -> None:
        await refuse(exchange, name)


for _name in REFUSALS:
    _register(_name)


@script("fail")
async def fail(exchange: Exchange) -> None:
    """Always an error, by default 500."""
    await refuse(exchange, exchange.script.text("status", "500"))


@script("flap")
async def flap(exchange: Exchange) -> None:
    """A good answer or an error, in a seeded sequence with `ratio` percent of errors."""
    options = exchange.script
    dice = exchange.dice.setdefault(str(options), random.Random(options.number("seed", 1)))
    if dice.randrange(100) < options.number("ratio", 50):
        await refuse(exchange, options.text("status", "500"))
    else:
        await exchange.send_reply(exchange.reply())


@script("redirect")
async def redirect(exchange: Exchange) -> None:
    """A redirect of the request to the origin `to`."""
    location = exchange.script.text("to") + exchange.request.raw.path
    status = exchange.script.number("status", 307)
    await exchange.send_whole(status, "text/plain", b"", [("location", location)])


@script("html502")
async def html_error(exchange: Exchange) -> None:
    """A proxy's error page under its own status."""
    await exchange.send_whole(502, "text/html", _page(exchange))


@script("html200")
async def html_success(exchange: Exchange) -> None:
    """A login or error page under status 200."""
    await exchange.send_whole(200, "text/html", _page(exchange))


@script("json200")
async def json_success(exchange: Exchange) -> None:
    """A JSON error body under status 200."""
    refusal = _with_canary(exchange, REFUSALS[exchange.script.text("status", "500")])
    await exchange.send_whole(200, "application/json", exchange.wire.refusal_body(refusal))


@script("empty200")
async def empty_success(exchange: Exchange) -> None:
    """The right content type, status 200, and no byte of a body."""
    await exchange.send_whole(200, exchange.reply().content_type, b"")


@script("errevent")
async def error_event(exchange: Exchange) -> None:
    """An error inside a good stream after `at` frames, by default the twin of 529."""
    refusal = _with_canary(exchange, REFUSALS[exchange.script.text("status", "529")])
    reply = exchange.reply()
    if not reply.is_streamed:
        await exchange.send_whole(200, "application/json", exchange.wire.refusal_body(refusal))
        return
    await exchange.begin(reply)
    await exchange.send(reply.opening)
    await exchange.send_body(reply.body[: exchange.script.number("at", 0)])
    await exchange.send([exchange.wire.error_event(refusal)])
    await exchange.end()


def _with_canary(exchange: Exchange, refusal: Refusal) -> Refusal:
    return replace(refusal, message=f"{refusal.message} {exchange.canary}".strip())


def _page(exchange: Exchange) -> bytes:
    title = f"Error {exchange.canary}".strip()
    return f"<!doctype html><html><body><h1>{title}</h1></body></html>\n".encode()


def _retry_after(exchange: Exchange) -> list[tuple[str, str]]:
    options = exchange.script
    headers: list[tuple[str, str]] = []
    if after_s := options.text("after_s"):
        headers.append(("retry-after", after_s))
    if after_date_s := options.text("after_date_s"):
        # An HTTP date is the wall clock's by definition.
        at_s = time.time() + float(after_date_s)
        headers.append(("retry-after", formatdate(at_s, usegmt=True)))
    if after_ms := options.text("after_ms"):
        headers.append(("retry-after-ms", after_ms))
    if after_raw := options.text("after_raw"):
        headers.append(("retry-after", after_raw))
    return headers
