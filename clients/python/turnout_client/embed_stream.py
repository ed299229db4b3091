"""Any number of texts over EmbedStream, with a bounded number of them under way."""

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, NamedTuple, Self

import grpc
from turnout.v1.embed_service_pb2 import (
    EmbedItem,
    EmbedItems,
    EmbedOptions,
    EmbedStreamEnd,
    EmbedStreamRequest,
    EmbedStreamResponse,
)

from turnout_client.embeddings import Vector, vector
from turnout_client.errors import (
    TurnoutError,
    cancelled,
    class_of,
    from_rpc,
    no_finish,
    reason_name,
)
from turnout_client.requests import Encoding, texts_of
from turnout_client.stream import being_cancelled

MAX_BATCH_BYTES = 512 * 1024


class Embedded(NamedTuple):
    """What became of the text at `position`: a vector, or the error when it alone failed."""

    position: int
    vector: Vector | None
    error: TurnoutError | None


class _Reading:
    """What both streams know of the server's side."""

    def __init__(self, request_id: str, encoding: Encoding, dimensions: int) -> None:
        self.request_id = request_id
        self.summary: EmbedStreamEnd | None = None
        """Usage and counts, once all results were read."""
        self._encoding = encoding
        self._dimensions = dimensions
        self._ready: list[Embedded] = []
        self._over = False
        self._source_error: BaseException | None = None

    def _take(self, response: EmbedStreamResponse) -> int:
        """Keep a message's results, to be popped from the end. Returns how many they are."""
        if response.HasField("end"):
            self.summary = response.end
        self._ready = [self._embedded(result) for result in response.results.results]
        self._ready.reverse()
        return len(self._ready)

    def _embedded(self, result: Any) -> Embedded:
        if result.HasField("embedding"):
            numbers = vector(result.embedding, self._encoding, self._dimensions)
            return Embedded(result.id, numbers, None)
        reason = reason_name(result.error.reason)
        error = class_of(reason)(
            result.error.message,
            code=grpc.StatusCode.OK,
            reason=reason,
            request_id=self.request_id,
        )
        return Embedded(result.id, None, error)

    def _failed(self, error: grpc.RpcError) -> TurnoutError:
        self._over = True
        return from_rpc(error, self.request_id)

    def _end(self) -> None:
        self._over = True
        if self.summary is None:
            raise no_finish(self.request_id, None, started=True)


class EmbedAll(_Reading, Iterator[Embedded]):
    """Results in the order they come; leaving the `with` block cancels the rest.

    The texts are read by a thread of grpc's, no further ahead than the window.
    """

    def __init__(
        self,
        begin: Callable[[Iterator[EmbedStreamRequest]], Any],
        options: EmbedOptions,
        texts: Iterable[str],
        *,
        request_id: str,
        encoding: Encoding,
        window: int,
        batch_size: int,
    ) -> None:
        super().__init__(request_id, encoding, options.dimensions)
        self._free = window
        self._batch_size = min(batch_size, window)
        self._room = threading.Condition()
        self._closed = False
        self._call = begin(self._requests(options, texts))
        # Whatever ends the call also frees the thread that waits for room.
        if not self._call.add_callback(self._close):
            self._close()

    def __next__(self) -> Embedded:
        """The next result. Raises what the iterable of texts raised, if it did."""
        while not self._ready:
            response = self._read()
            if response is None:
                raise StopIteration
            self._release(self._take(response))
        return self._ready.pop()

    def cancel(self) -> None:
        """End the call. Reading on then raises Cancelled."""
        self._call.cancel()

    def _read(self) -> EmbedStreamResponse | None:
        if self._over:
            return None
        try:
            response: EmbedStreamResponse | None = next(self._call, None)
        except grpc.RpcError as error:
            raise self._failed(error) from error
        if self._source_error is not None:
            self._over = True
            self.cancel()
            raise self._source_error
        if response is None:
            self._end()
        return response

    def _requests(
        self, options: EmbedOptions, texts: Iterable[str]
    ) -> Iterator[EmbedStreamRequest]:
        yield EmbedStreamRequest(options=options)
        batch = _Batch(self._batch_size)
        try:
            for index, text in enumerate(texts_of(texts)):
                if batch.is_full_for(text):
                    if not self._wait_for_room(len(batch.items)):
                        return
                    yield batch.take()
                batch.add(index, text)
        except Exception as error:  # noqa: BLE001  whatever the caller's iterable raises is handed on
            self._source_error = error
            return
        if batch.items and self._wait_for_room(len(batch.items)):
            yield batch.take()

    def _wait_for_room(self, count: int) -> bool:
        with self._room:
            self._room.wait_for(lambda: self._closed or self._free >= count)
            self._free -= count
            return not self._closed

    def _release(self, count: int) -> None:
        with self._room:
            self._free += count
            self._room.notify_all()

    def _close(self) -> None:
        with self._room:
            self._closed = True
            self._room.notify_all()

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


class AsyncEmbedAll(_Reading, AsyncIterator[Embedded]):
    """Results in the order they come; leaving the `with` block cancels the rest.

    The texts, which may come asynchronously, are read no further ahead than the window.
    """

    def __init__(
        self,
        begin: Callable[[AsyncIterator[EmbedStreamRequest]], Any],
        options: EmbedOptions,
        texts: Iterable[str] | AsyncIterable[str],
        *,
        request_id: str,
        encoding: Encoding,
        window: int,
        batch_size: int,
    ) -> None:
        super().__init__(request_id, encoding, options.dimensions)
        self._free = window
        self._batch_size = min(batch_size, window)
        self._room = asyncio.Event()
        self._call = begin(self._requests(options, texts))

    async def __anext__(self) -> Embedded:
        """The next result. Raises what the iterable of texts raised, if it did."""
        while not self._ready:
            response = await self._read()
            if response is None:
                raise StopAsyncIteration
            self._free += self._take(response)
            self._room.set()
        return self._ready.pop()

    def cancel(self) -> None:
        """End the call. Reading on then raises Cancelled."""
        self._call.cancel()

    async def _read(self) -> EmbedStreamResponse | None:
        if self._over:
            return None
        try:
            response = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from error
        except asyncio.CancelledError:
            self._over = True
            if being_cancelled():
                raise
            raise cancelled(self.request_id) from None
        if self._source_error is not None:
            self._over = True
            self.cancel()
            raise self._source_error
        if response is grpc.aio.EOF:
            self._end()
            return None
        return response  # type: ignore[no-any-return]  # read() is typed for any stream

    async def _requests(
        self, options: EmbedOptions, texts: Iterable[str] | AsyncIterable[str]
    ) -> AsyncIterator[EmbedStreamRequest]:
        yield EmbedStreamRequest(options=options)
        batch = _Batch(self._batch_size)
        index = 0
        try:
            async for text in _each(texts):
                if batch.is_full_for(text):
                    await self._wait_for_room(len(batch.items))
                    yield batch.take()
                batch.add(index, text)
                index += 1
        except Exception as error:  # noqa: BLE001  whatever the caller's iterable raises is handed on
            self._source_error = error
            return
        if batch.items:
            await self._wait_for_room(len(batch.items))
            yield batch.take()

    async def _wait_for_room(self, count: int) -> None:
        while self._free < count:
            self._room.clear()
            await self._room.wait()
        self._free -= count

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


class _Batch:
    """Items gathered for one message."""

    def __init__(self, size: int) -> None:
        self.items: list[EmbedItem] = []
        self._size = size
        self._size_bytes = 0

    def is_full_for(self, text: str) -> bool:
        """Whether the text must go into the next message."""
        too_long = self._size_bytes + len(text) > MAX_BATCH_BYTES
        return bool(self.items) and (too_long or len(self.items) >= self._size)

    def add(self, index: int, text: str) -> None:
        """Gather one more."""
        self.items.append(EmbedItem(id=index, text=text))
        self._size_bytes += len(text)

    def take(self) -> EmbedStreamRequest:
        """The message; the next batch is empty."""
        request = EmbedStreamRequest(items=EmbedItems(items=self.items))
        self.items = []
        self._size_bytes = 0
        return request


async def _each(texts: Iterable[str] | AsyncIterable[str]) -> AsyncIterator[str]:
    if isinstance(texts, AsyncIterable):
        async for text in texts:
            yield text
    else:
        for text in texts_of(texts):
            yield text
