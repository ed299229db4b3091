"""The answer of a streamed call: text as it comes, every event, or all of it at once.

Reading is safe against restarts: under mid_stream="restart", and then only, the gateway may void
text that was already sent. `collect`, `text` and `snapshots` resolve that by themselves; iterating
over text raises Restarted, unless `on_restart` was given to take text back with.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Self

import grpc
from turnout.v1.chat_service_pb2 import ChatResponse

from turnout_client.answer import Answer, Assembly
from turnout_client.errors import Restarted, TurnoutError, cancelled, from_rpc, no_finish

OnRestart = Callable[[Answer], None]
"""Called with what is void when the gateway starts an answer over."""


class _Reading:
    """What both streams know of how far they have read."""

    def __init__(self, call: Any, request_id: str, on_restart: OnRestart | None) -> None:
        self._call = call
        self._on_restart = on_restart
        self._assembly = Assembly()
        self._voided: Answer | None = None
        self._held = ""
        self._over = False
        self.request_id = request_id

    @property
    def answer(self) -> Answer:
        """What has been read so far."""
        return self._assembly.answer()

    def cancel(self) -> None:
        """End the call, and the provider's work with it. Reading on then raises Cancelled."""
        self._call.cancel()

    def _fed(self, event: ChatResponse) -> ChatResponse:
        voided = self._assembly.feed(event)
        if voided is not None and self._on_restart is not None:
            self._on_restart(voided)
        elif voided is not None:
            self._voided = voided
        return event

    def _end(self) -> None:
        self._over = True
        if self._assembly.finish is None:
            raise no_finish(self.request_id, self.answer, started=self._assembly.started)

    def _failed(self, error: grpc.RpcError) -> TurnoutError:
        self._over = True
        return from_rpc(error, self.request_id, self.answer, started=self._assembly.started)

    def _text_of(self, event: ChatResponse) -> str:
        """The event's text; raises Restarted first when it voids text that was read."""
        voided, self._voided = self._voided, None
        if voided is None or not voided.text:
            return event.text_delta
        self._held = event.text_delta
        raise Restarted(
            "the gateway starts the answer over: what was read is void",
            code=grpc.StatusCode.ABORTED,
            reason="RESTARTED",
            request_id=self.request_id,
            output_started=True,
            partial=voided,
        )

    def _take_held(self) -> str:
        held, self._held = self._held, ""
        return held


class ChatStream(_Reading, Iterator[str]):
    """An answer under way. Iterating gives its text; leaving the `with` block cancels the rest."""

    def __next__(self) -> str:
        """The next piece of text. Raises Restarted when the text before is void."""
        if held := self._take_held():
            return held
        while (event := self._read()) is not None:
            if text := self._text_of(event):
                return text
        raise StopIteration

    def events(self) -> Iterator[ChatResponse]:
        """Every event as it comes, whatever its generation, `finish` last."""
        while (event := self._read()) is not None:
            yield event

    def snapshots(self) -> Iterator[Answer]:
        """The answer so far, after every event: for a display that is drawn anew each time."""
        for _ in self.events():
            yield self.answer

    def collect(self) -> Answer:
        """Read to the end: the whole answer."""
        for _ in self.events():
            pass
        return self.answer

    def text(self) -> str:
        """Read to the end: all of the text."""
        return self.collect().text

    def _read(self) -> ChatResponse | None:
        if self._over:
            return None
        try:
            event: ChatResponse | None = next(self._call, None)
        except grpc.RpcError as error:
            raise self._failed(error) from error
        if event is None:
            self._end()
            return None
        return self._fed(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._over:
            self.cancel()


class AsyncChatStream(_Reading, AsyncIterator[str]):
    """An answer under way. Iterating gives its text; leaving the `with` block cancels the rest.

    Cancelling the task that reads cancels the call too.
    """

    async def __anext__(self) -> str:
        """The next piece of text. Raises Restarted when the text before is void."""
        if held := self._take_held():
            return held
        while (event := await self._read()) is not None:
            if text := self._text_of(event):
                return text
        raise StopAsyncIteration

    async def events(self) -> AsyncIterator[ChatResponse]:
        """Every event as it comes, whatever its generation, `finish` last."""
        while (event := await self._read()) is not None:
            yield event

    async def snapshots(self) -> AsyncIterator[Answer]:
        """The answer so far, after every event: for a display that is drawn anew each time."""
        async for _ in self.events():
            yield self.answer

    async def collect(self) -> Answer:
        """Read to the end: the whole answer."""
        async for _ in self.events():
            pass
        return self.answer

    async def text(self) -> str:
        """Read to the end: all of the text."""
        return (await self.collect()).text

    async def _read(self) -> ChatResponse | None:
        if self._over:
            return None
        try:
            event = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from error
        except asyncio.CancelledError:
            self._over = True
            if being_cancelled():
                raise
            raise cancelled(self.request_id, self.answer) from None
        if event is grpc.aio.EOF:
            self._end()
            return None
        return self._fed(event)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._over:
            self.cancel()


def being_cancelled() -> bool:
    """Whether a CancelledError is for the running task, and not grpc.aio's word for a status."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
