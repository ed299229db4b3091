"""Embeds any number of items within bounded memory: at most so many shards are under way.

    read -> gather into shards -> embed, MAX_IN_FLIGHT at once -> write what is done

A caller that does not read its results stops the writing, which keeps shards under way, which stops
the reading. Until somebody has answered, shards go one by one: the first answer decides the model.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from turnout.internal.v1.embed_twins_pb2 import EmbedItemResultTwin, EmbedStreamResponseTwin
from turnout.v1.embed_service_pb2 import (
    EmbedItem,
    EmbedItems,
    EmbedOptions,
    EmbedStreamEnd,
    ItemError,
)
from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.errors import GatewayError
from turnout_server.core.watch import Watch
from turnout_server.dispatch.embed_parallel import MAX_IN_FLIGHT, first_error
from turnout_server.dispatch.embed_serving import Embedded, Serving
from turnout_server.dispatch.embed_shards import (
    Gathering,
    ShardLimits,
    is_too_long,
    limits_at,
    tokens_at_most,
    tokens_of,
)
from turnout_server.dispatch.quota import Parts, Size
from turnout_server.dispatch.vectors import FLOAT_BYTES, write_vector

MAX_SHARD_ANSWER_BYTES = 1 << 20
"""Shards under way hold their vectors in memory until the caller has taken them."""
MAX_MESSAGE_BYTES = 1_000_000
GATHER_S = 0.005
MAX_SPLITS = 256
"""How often one stream may halve a refused shard to find the item at fault."""
_RESULT_BYTES = 32
_BLAMES_AN_ITEM = (
    ErrorReason.ERROR_REASON_PROVIDER_REJECTED,
    ErrorReason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED,
    ErrorReason.ERROR_REASON_TOO_LARGE,
    ErrorReason.ERROR_REASON_PROMPT_BLOCKED,
)
Results = list[EmbedItemResultTwin]


class Streaming:
    """One EmbedStream while it runs. `dimensions` is the expected length, 0 if unknown."""

    def __init__(
        self,
        serving: Serving,
        options: EmbedOptions,
        dimensions: int,
        write: Callable[[EmbedStreamResponseTwin], Awaitable[None]],
        watch: Watch,
        parts: Parts | None = None,
    ) -> None:
        self._serving = serving
        self._options = options
        self._write = write
        self._watch = watch
        self._parts = parts
        self._settled = False
        self._in_flight = 0
        self._places = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._writing = asyncio.Lock()
        self._splits = MAX_SPLITS
        self._end = EmbedStreamEnd()
        self._misuse: GatewayError | None = None
        self._window_tokens = max(family.window_tokens for family in serving.families)
        self._gathering = Gathering[EmbedItem](
            self._limits(dimensions), lambda item: tokens_at_most(item.text)
        )

    async def run(self, requests: AsyncIterator[EmbedItems]) -> None:
        """Read to the end, write every result, then the `end`."""
        arrived: asyncio.Queue[EmbedItems | None] = asyncio.Queue(maxsize=1)
        with first_error():
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(requests, arrived))
                await self._gather(arrived, group)
        if self._misuse is not None:
            raise self._misuse
        end, watch = self._end, self._watch
        end.usage.CopyFrom(watch.usage)
        end.route.CopyFrom(watch.route)
        end.upstream_calls = watch.upstream_calls
        end.cache_hits = watch.cache_hits
        await self._write(EmbedStreamResponseTwin(end=end))

    async def _pump(
        self, requests: AsyncIterator[EmbedItems], arrived: asyncio.Queue[EmbedItems | None]
    ) -> None:
        """Read ahead by one message, so that waiting for more can be given up without losing any.

        A caller's mistake ends the reading and not the writing: to break off a message half sent
        would leave grpc unable to send the status.
        """
        try:
            async for items in requests:
                await arrived.put(items)
        except GatewayError as error:
            self._misuse = error
        await arrived.put(None)

    async def _gather(
        self, arrived: asyncio.Queue[EmbedItems | None], group: asyncio.TaskGroup
    ) -> None:
        while True:
            try:
                async with asyncio.timeout(self._patience_s(arrived)):
                    items = await arrived.get()
            except TimeoutError:
                await self._begin(self._gathering.take(), group)
                continue
            if items is None:
                break
            await self._take(items, group)
        await self._begin(self._gathering.take(), group)

    def _patience_s(self, arrived: asyncio.Queue[EmbedItems | None]) -> float | None:
        """How long a shard that is not full waits for more: not at all when nothing is under way.

        A caller may be waiting for just these results before it sends the next items.
        """
        if not self._gathering or not arrived.empty():
            return None
        return GATHER_S if self._in_flight else 0.0

    async def _take(self, items: EmbedItems, group: asyncio.TaskGroup) -> None:
        self._watch.embed_inputs += len(items.items)
        refused: Results = []
        for item in items.items:
            error = self._refusal(item.text)
            if error is not None:
                refused.append(EmbedItemResultTwin(id=item.id, error=error))
                continue
            full = self._gathering.add(item)
            if full:
                await self._begin(full, group)
        await self._send(refused)

    def _refusal(self, text: str) -> ItemError | None:
        if not text:
            return ItemError(
                reason=ErrorReason.ERROR_REASON_INVALID_REQUEST, message="must not be empty"
            )
        if is_too_long(text, self._window_tokens):
            return ItemError(
                reason=ErrorReason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED,
                message=f"must fit {self._window_tokens} tokens",
            )
        return None

    async def _begin(self, items: Sequence[EmbedItem], group: asyncio.TaskGroup) -> None:
        if items and not self._settled:
            await self._embed(items)
        elif items:
            await self._places.acquire()
            self._in_flight += 1
            group.create_task(self._embed_in_place(items))

    async def _embed_in_place(self, items: Sequence[EmbedItem]) -> None:
        try:
            await self._embed(items)
        finally:
            self._in_flight -= 1
            self._places.release()

    async def _embed(self, items: Sequence[EmbedItem]) -> None:
        try:
            texts = list(dict.fromkeys(item.text for item in items))
            async with self._hold(texts):
                embedded = await self._serving.embed(texts)
        except GatewayError as error:
            if error.reason in _BLAMES_AN_ITEM and len(items) > 1 and self._splits:
                await self._embed_halves(items)
            else:
                item_error = ItemError(reason=error.reason, message=error.public)
                await self._send([EmbedItemResultTwin(id=i.id, error=item_error) for i in items])
        else:
            self._settle(embedded)
            await self._send(self._results(items, embedded))

    def _hold(self, texts: Sequence[str]) -> AbstractAsyncContextManager[None]:
        """What a shard may use, capped by the limit itself: how it was cut is no caller's doing."""
        if self._parts is None:
            return nullcontext()
        return self._parts.hold(Size(sum(map(tokens_of, texts)), guessed=True))

    async def _embed_halves(self, items: Sequence[EmbedItem]) -> None:
        """One item's fault must not be its neighbours'."""
        self._splits -= 1
        half = len(items) // 2
        await self._embed(items[:half])
        await self._embed(items[half:])

    def _settle(self, embedded: Embedded) -> None:
        if embedded.route.attempts or not self._settled:
            self._watch.route = embedded.route
        if self._settled:
            return
        self._settled = True
        self._serving.settle(embedded.route.model)
        self._window_tokens = self._serving.families[0].window_tokens
        dimensions = len(next(iter(embedded.vectors.values()))) // FLOAT_BYTES
        self._gathering.limits = self._limits(dimensions)

    def _limits(self, dimensions: int) -> ShardLimits:
        return limits_at(self._serving.targets, dimensions, MAX_SHARD_ANSWER_BYTES)

    def _results(self, items: Iterable[EmbedItem], embedded: Embedded) -> Results:
        encoding = self._options.encoding
        results = []
        for item in items:
            result = EmbedItemResultTwin(id=item.id)
            write_vector(result.embedding, embedded.vectors[item.text], encoding)
            results.append(result)
        if embedded.cached:
            hits = sum(item.text in embedded.cached for item in items)
            self._watch.cache_hit(embedded.saved, hits)
        return results

    async def _send(self, results: Results) -> None:
        """Write results in messages of a size that every client takes."""
        async with self._writing:
            response = EmbedStreamResponseTwin()
            size_bytes = 0
            for result in results:
                more_bytes = result.ByteSize() + _RESULT_BYTES
                if size_bytes and size_bytes + more_bytes > MAX_MESSAGE_BYTES:
                    await self._write(response)
                    response, size_bytes = EmbedStreamResponseTwin(), 0
                response.results.results.append(result)
                size_bytes += more_bytes
            if size_bytes:
                await self._write(response)
        failed = sum(result.HasField("error") for result in results)
        self._end.failed_items += failed
        self._end.embedded_items += len(results) - failed
