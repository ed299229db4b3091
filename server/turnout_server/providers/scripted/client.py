"""Implements Provider without a network: it plays the script in the model's name."""

import asyncio
import hashlib
from array import array
from collections import Counter
from collections.abc import AsyncGenerator

import msgspec
from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse, Finish, FinishReason
from turnout.v1.content_pb2 import ROLE_ASSISTANT, Message, Part, Thinking, ToolCall
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.receipt import Receipt
from turnout_server.core.target import Attempt, Endpoint
from turnout_server.providers.provider import ChatEvent, EmbedShard, Vectors
from turnout_server.providers.scripted.options import Options
from turnout_server.providers.scripted.script import Step, failure, read_script, words


class Client:
    """Plays scripts. `open` (streams by model) and `calls` let a test see what the router did."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._options = msgspec.convert(dict(endpoint.options), Options)
        self.open: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    @property
    def open_streams(self) -> int:
        """Streams that are not closed yet, of all models."""
        return self.open.total()

    async def chat(self, request: ChatRequest, attempt: Attempt) -> AsyncGenerator[ChatEvent, None]:
        """See Provider.chat."""
        model = attempt.target.model
        self.calls[model] += 1
        self.open[model] += 1
        try:
            yield Receipt(provider_request_id=f"scripted-{self.calls[model]}")
            playing = _Playing(_prefill(request), self.calls[model])
            for step in read_script(model):
                async for event in playing.play(step):
                    yield event
            yield playing.finish(request)
        finally:
            self.open[model] -= 1

    async def complete(self, request: ChatRequest, attempt: Attempt) -> ChatResponse:
        """See Provider.complete."""
        finish = ChatResponse()
        async for event in self.chat(request, attempt):
            if isinstance(event, ChatResponse) and event.HasField("finish"):
                finish = event
        return finish

    async def embed(self, shard: EmbedShard, attempt: Attempt) -> Vectors:
        """See Provider.embed. Equal texts have equal vectors; the vector of a text that ends in a
        number begins with it, so that order can be checked.
        """
        self.calls[attempt.target.model] += 1
        playing = _Playing("", self.calls[attempt.target.model])
        for step in read_script(attempt.target.model):
            if step.verb == "refuse" and step.arguments[0] in shard.texts:
                raise failure(step.arguments[1])
            async for _ in playing.play(step):
                pass
        dimensions = shard.dimensions or self._options.dimensions
        tokens = sum(len(text.split()) for text in shard.texts)
        return Vectors(
            packed=[_vector(text, dimensions) for text in shard.texts],
            dimensions=dimensions,
            usage=Usage(input_tokens=tokens),
        )

    async def aclose(self) -> None:
        """See Provider.aclose."""


class _Playing:
    """One answer being played; `skip` is text that the caller holds already (prefill)."""

    def __init__(self, skip: str, call: int) -> None:
        self._skip = skip
        self._call = call
        self._parts: list[Part] = []
        self._output_tokens = 0
        self._reason = "STOP"

    async def play(self, step: Step) -> AsyncGenerator[ChatResponse, None]:
        match step.verb, step.arguments:
            case "say", (text,):
                for event in self._say(text):
                    yield event
            case "tokens", (count, gap_ms):
                for i, word in enumerate(words(int(count))):
                    if i and gap_ms != "0":
                        await asyncio.sleep(float(gap_ms) / 1000)
                    for event in self._say(word):
                        yield event
            case "pad", (length,):
                for event in self._say("x" * int(length)):
                    yield event
            case "think", (text,):
                self._add(Part(thinking=Thinking(text=text)))
                yield ChatResponse(thinking_delta=text, part_index=len(self._parts) - 1)
            case "call", (name, arguments_json):
                yield self._tool_call(name, arguments_json or "{}")
            case "finish", (reason,):
                self._reason = reason
            case _:
                await self._misbehave(step)

    def finish(self, request: ChatRequest) -> ChatResponse:
        """The last event."""
        prompt_tokens = sum(len(message.text.split()) for message in request.messages)
        return ChatResponse(
            finish=Finish(
                reason=FinishReason.Value(f"FINISH_REASON_{self._reason}"),
                raw_reason=self._reason.lower(),
                usage=Usage(input_tokens=prompt_tokens, output_tokens=self._output_tokens),
                response_id=f"scripted-{self._call}",
                message=Message(role=ROLE_ASSISTANT, parts=self._parts),
            )
        )

    async def _misbehave(self, step: Step) -> None:
        match step.verb, step.arguments:
            case "wait", (wait_ms,):
                await asyncio.sleep(float(wait_ms) / 1000)
            case "hang", ():
                await asyncio.Event().wait()
            case "fail", (kind, *retry_after_s):
                raise failure(kind, *retry_after_s)
            case "flaky", (count, kind, *retry_after_s) if self._call <= int(count):
                raise failure(kind, *retry_after_s)
            case "cut", ():
                raise ProviderFailure(FailureKind.ERROR, "the stream ended without a finish")

    def _say(self, text: str) -> list[ChatResponse]:
        if self._skip:
            held = min(len(self._skip), len(text))
            self._skip, text = self._skip[held:], text[held:]
        if not text:
            return []
        if self._parts and self._parts[-1].WhichOneof("content") == "text":
            self._parts[-1].text += text
        else:
            self._parts.append(Part(text=text))
        self._output_tokens += 1
        return [ChatResponse(text_delta=text, part_index=len(self._parts) - 1)]

    def _tool_call(self, name: str, arguments_json: str) -> ChatResponse:
        call = ToolCall(id=f"call_{len(self._parts)}", name=name, arguments_json=arguments_json)
        self._add(Part(tool_call=call))
        self._reason = "TOOL_CALLS"
        return ChatResponse(tool_call=call, part_index=len(self._parts) - 1)

    def _add(self, part: Part) -> None:
        self._parts.append(part)
        self._output_tokens += 1


def _prefill(request: ChatRequest) -> str:
    last = request.messages[-1]
    if last.role != ROLE_ASSISTANT:
        return ""
    return last.text or "".join(part.text for part in last.parts)


def _vector(text: str, dimensions: int) -> bytes:
    seed = hashlib.shake_128(text.encode()).digest(2 * dimensions)
    numbers = (int.from_bytes(seed[i : i + 2], "little") for i in range(0, 2 * dimensions, 2))
    vector = array("f", (number / 32768 - 1 for number in numbers))
    *_, last = text.split() or [""]
    if last.isdecimal():
        vector[0] = float(last)
    return vector.tobytes()
