"""One request being answered: what a script may do, and the register of scripts."""

import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from tests.fault.upstream.answer import Answer, Reply, ToolStep, Usage, Wire
from tests.fault.upstream.http import Headers, HttpConnection, response_head
from tests.fault.upstream.record import RecordedRequest
from tests.fault.upstream.script import Script, UnknownScript
from tests.fault.upstream.tokens import continuation

Framing = Literal["natural", "chunked", "until_close"]

DEFAULT_TOKENS = 12
INPUT_TOKENS = 11


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A request, its script and the connection the script plays on."""

    request: RecordedRequest
    connection: HttpConnection
    wire: Wire
    canary: str
    dice: dict[str, random.Random]
    _is_chunked: bool = False

    @property
    def script(self) -> Script:
        """The script being played, with its options."""
        return self.request.script

    def answer(self) -> Answer:
        """The answer the options ask for, continued from a prefill, cut at the caller's limit."""
        options = self.script
        text = continuation(
            options.number("tokens", DEFAULT_TOKENS),
            self.request.prefill,
            overlap_chars=options.number("overlap", 0),
        )
        body = self.request.body
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or len(text)
        thinking = tuple(f"thought {number}. " for number in range(options.number("thinking", 0)))
        tool_steps = tuple(complete_calls(options.number("tools", 0)))
        finish: Literal["length", "tool_calls", "stop"] = (
            "length" if len(text) > limit else "tool_calls" if tool_steps else "stop"
        )
        return Answer(
            model=self.request.model,
            answer_id=f"answer-{self.request.number}",
            text=tuple(text[:limit]),
            thinking=thinking,
            tool_steps=tool_steps,
            finish=finish,
            usages=(Usage(INPUT_TOKENS, len(thinking) + min(len(text), limit)),),
        )

    def reply(self, answer: Answer | None = None) -> Reply:
        """The answer, by default the one the options ask for, in this wire's form."""
        return self.wire.render(self.request, answer or self.answer())

    async def send_head(self, status: int, headers: Headers) -> None:
        """Send the response head, after the pause the options ask for."""
        await self.connection.pause(self.script.seconds("head_ms"))
        await self.connection.write(response_head(status, self._with_own(headers)))
        self.request.head_sent_at_s = time.monotonic()

    async def begin(
        self, reply: Reply, *, framing: Framing = "natural", extra_headers: Headers = ()
    ) -> None:
        """Send a good head for `reply`; naturally, streams are chunked and the rest measured."""
        headers = [("content-type", reply.content_type), *extra_headers]
        self._is_chunked = framing == "chunked" or (framing == "natural" and reply.is_streamed)
        if self._is_chunked:
            headers.append(("transfer-encoding", "chunked"))
        elif framing == "until_close":
            headers.append(("connection", "close"))
        else:
            headers.append(("content-length", str(sum(map(len, reply.frames)))))
        await self.send_head(200, headers)

    async def send(self, frames: Iterable[bytes]) -> None:
        """Send frames of the body, as they are framed since `begin`."""
        write = self.connection.write_chunk if self._is_chunked else self.connection.write
        for frame in frames:
            if frame:
                await write(frame)

    async def send_body(self, frames: Iterable[bytes]) -> None:
        """Send frames that carry output, at the pace the options ask for, and count them."""
        for frame in frames:
            wait_ms = "gap_ms" if self.request.frames_sent else "first_ms"
            if wait_ms in self.script.options:
                await self.connection.pause(self.script.seconds(wait_ms))
            await self.send([frame])
            self.request.frames_sent += 1

    async def end(self) -> None:
        """End a chunked body cleanly."""
        if self._is_chunked:
            await self.connection.write(b"0\r\n\r\n")

    async def send_reply(self, reply: Reply) -> None:
        """Send a reply whole and well."""
        await self.begin(reply)
        await self.send(reply.opening)
        await self.send_body(reply.body)
        await self.send(reply.finish + reply.terminator)
        await self.end()

    async def send_whole(
        self, status: int, content_type: str, body: bytes, headers: Headers = ()
    ) -> None:
        """Answer with one measured body."""
        own = [("content-type", content_type), ("content-length", str(len(body)))]
        await self.send_head(status, [*own, *headers])
        await self.connection.write(body)

    def _with_own(self, headers: Headers) -> Headers:
        request_id = f"req_{self.request.number}"
        own = [("x-request-id", request_id), ("request-id", request_id)]
        return [*headers, *own, *([("x-upstream-note", self.canary)] if self.canary else [])]


def complete_calls(count: int) -> list[ToolStep]:
    """Well-formed tool calls, one after the other."""
    steps: list[ToolStep] = []
    for index in range(count):
        steps += [
            ToolStep("begin", index, f"call_{index}", f"tool_{index}"),
            ToolStep("arguments", index, text='{"city":'),
            ToolStep("arguments", index, text=f'"Köln {index}"}}'),
            ToolStep("end", index),
        ]
    return steps


Play = Callable[[Exchange], Awaitable[None]]

SCRIPTS: dict[str, Play] = {}
"""Every script by name."""


def script(*names: str) -> Callable[[Play], Play]:
    """Register a script under its names."""

    def register(play: Play) -> Play:
        for name in names:
            assert name not in SCRIPTS, name
            SCRIPTS[name] = play
        return play

    return register


def find_script(name: str) -> Play:
    """The script of that name; raises UnknownScript."""
    try:
        return SCRIPTS[name]
    except KeyError:
        raise UnknownScript(f"no script {name!r}; there are {', '.join(sorted(SCRIPTS))}") from None
