"""Bytes of an answer to events: sans I/O, the same for every way the bytes may be cut.

StreamDecoder        feed(read) -> events, as they come; close() at the end of the bytes
decode_completion    a whole answer at once, through the same assembly
"""

from collections.abc import Iterator

import msgspec
from turnout.v1.chat_service_pb2 import ChatResponse
from turnout.v1.chat_service_pb2 import Warning as WarningMessage

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.receipt import Receipt
from turnout_server.providers.json_text import clean, read_json
from turnout_server.providers.openai_chat.assembly import Assembly
from turnout_server.providers.openai_chat.chunks import Completion
from turnout_server.providers.openai_chat.failures import stated_failure
from turnout_server.providers.openai_chat.usage import usage_of
from turnout_server.providers.provider import ChatEvent
from turnout_server.providers.sse import SseDecoder, SseEvent

_COMPLETION = msgspec.json.Decoder(Completion)


class StreamDecoder:
    """Decodes one stream. `done` once `finish` was given: what follows is not looked at."""

    def __init__(
        self, assembly: Assembly, *, warnings: list[WarningMessage], provider_request_id: str = ""
    ) -> None:
        self._sse = SseDecoder()
        self._assembly = assembly
        self._warnings = warnings
        self._request_id = provider_request_id
        self._usage_is_new = False
        self.done = False

    @property
    def has_reason(self) -> bool:
        """Whether the answer is whole, and only usage and the terminal event may be missing."""
        return self._assembly.has_reason

    def feed(self, read: bytes) -> Iterator[ChatEvent]:
        """Take one read; what came before a fault in it is given before ProviderFailure is raised.

        Iterate to the end before the next read.
        """
        if self.done:
            return
        failure: ProviderFailure | None = None
        try:
            for event in self._sse.feed(read):
                if event.data == b"[DONE]":
                    yield from self._terminated()
                    return
                self._take(event)
        except ProviderFailure as caught:
            failure = caught
        yield from self._events()
        if failure is not None:
            raise failure

    def close(self) -> list[ChatEvent]:
        """The bytes ended. Without a finish reason the answer is not whole: a failure."""
        if self.done:
            return []
        if not self._assembly.has_reason:
            raise ProviderFailure(
                FailureKind.ERROR, "the stream ended without a finish reason or [DONE]"
            )
        return self._finished()

    def _take(self, event: SseEvent) -> None:
        if event.name == b"error":
            self._fail(event.data)
            return
        chunk = read_json(event.data, _COMPLETION)
        if chunk.error and chunk.error != b"null":
            self._fail(event.data)
            return
        assembly = self._assembly
        if chunk.id and not assembly.response_id:
            assembly.response_id = clean(chunk.id)
        for choice in chunk.choices:
            if choice.index != 0:
                continue
            if choice.delta is not None:
                assembly.add(choice.delta)
            if choice.finish_reason:
                assembly.end(choice.finish_reason, choice.stop_reason)
        if chunk.usage is not None:
            assembly.usage = usage_of(chunk.usage)
            self._usage_is_new = True

    def _fail(self, data: bytes) -> None:
        # An answer that is whole stays so, whatever is said after it.
        if not self._assembly.has_reason:
            raise stated_failure(data)

    def _events(self) -> list[ChatEvent]:
        events: list[ChatEvent] = [*self._assembly.take_events()]
        if self._usage_is_new:
            self._usage_is_new = False
            events.append(Receipt(self._request_id, self._assembly.usage))
        return events

    def _terminated(self) -> list[ChatEvent]:
        if not self._assembly.has_reason:
            if not self._assembly.has_output:
                raise ProviderFailure(FailureKind.ERROR, "[DONE] came before any answer")
            self._assembly.end("")
        return self._finished()

    def _finished(self) -> list[ChatEvent]:
        self.done = True
        return [
            *self._assembly.take_events(),
            self._assembly.finish(self._warnings, provider_request_id=self._request_id),
        ]


def decode_completion(
    body: bytes,
    assembly: Assembly,
    *,
    warnings: list[WarningMessage],
    provider_request_id: str = "",
) -> ChatResponse:
    """The `finish` of an answer that came in one piece, its message with every part."""
    completion = read_json(body, _COMPLETION)
    if completion.error and completion.error != b"null":
        raise stated_failure(body)
    choice = next((choice for choice in completion.choices if choice.index == 0), None)
    if choice is None or choice.message is None:
        raise ProviderFailure(FailureKind.ERROR, "the answer has no message")
    assembly.response_id = clean(completion.id or "")
    assembly.add(choice.message)
    if not choice.finish_reason and not assembly.has_output:
        raise ProviderFailure(FailureKind.ERROR, "the answer is empty and gives no reason")
    assembly.end(choice.finish_reason or "", choice.stop_reason)
    if completion.usage is not None:
        assembly.usage = usage_of(completion.usage)
    return assembly.finish(warnings, provider_request_id=provider_request_id)
