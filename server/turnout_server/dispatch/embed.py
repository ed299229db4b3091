"""Embedding calls, unary and streamed, from the admitted request to the last vector.

    rank the targets -> group them by model -> cut the texts into shards -> one model embeds all

A shard is one upstream call and goes through the same engine as a chat (dispatch.embed_upstream).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from turnout.internal.v1.embed_twins_pb2 import (
    EmbeddingTwin,
    EmbedResponseTwin,
    EmbedStreamResponseTwin,
)
from turnout.v1.embed_service_pb2 import EmbedItems, EmbedOptions, EmbedRequest
from turnout.v1.routing_pb2 import CacheMode, CacheOptions

from turnout_server.core.clock import Clock
from turnout_server.core.target import Target
from turnout_server.core.watch import Watch
from turnout_server.dispatch.batcher import Batcher, BatchSettings
from turnout_server.dispatch.embed_cache import Ask, EmbedCaching, TextCache
from turnout_server.dispatch.embed_serving import Embedded, Serving
from turnout_server.dispatch.embed_shards import tokens_of
from turnout_server.dispatch.embed_stream import Streaming
from turnout_server.dispatch.embed_targets import (
    MAX_ANSWER_BYTES,
    answerable,
    dimensions_at,
    families_of,
    offering,
    too_large,
    wide_enough,
)
from turnout_server.dispatch.embed_upstream import Engine
from turnout_server.dispatch.idempotent import Once
from turnout_server.dispatch.quota import Pacing, Parts, Quota, Size
from turnout_server.dispatch.snapshot import Current, Snapshot
from turnout_server.dispatch.vectors import FLOAT_BYTES, write_vector
from turnout_server.policy.health import Health
from turnout_server.policy.needs import needs_of_embed
from turnout_server.policy.targets import Ranking, rank

ENCODED_AT_ONCE = 64
"""int8 takes some 0.1 ms a vector: a whole batch in one go would hold up every other call."""


class Embed:
    """Embeds texts by the providers of the current snapshot. One for the process."""

    def __init__(
        self,
        current: Current,
        health: Health,
        clock: Clock,
        rng: random.Random,
        *,
        caching: EmbedCaching | None = None,
        batching: BatchSettings | None = None,
        quota: Quota | None = None,
        pacing: Pacing | None = None,
        once: Once | None = None,
    ) -> None:
        self._current = current
        self._caching = caching
        self._quota = quota
        self._once = once
        self._engine = Engine(health, clock, rng, Batcher(clock, batching), {}, pacing)

    async def embed(self, request: EmbedRequest, watch: Watch) -> EmbedResponseTwin:
        """The vectors of a batch, in the order of its texts: all of them, or GatewayError."""
        if self._once is not None and watch.call.idempotency_key:
            return await self._once.embed(request, watch, lambda: self._embed(request, watch))
        return await self._embed(request, watch)

    async def vector(self, model: str, text: str, watch: Watch) -> tuple[str, bytes]:
        """The name of the model that embedded a text, and its packed float32 vector.

        For work of our own within another call, whose limits hold already. Raises GatewayError.
        """
        cache = CacheOptions(mode=CacheMode.CACHE_MODE_READ_WRITE)
        request = EmbedRequest(model=model, texts=[text], cache=cache)
        embedded = await self._serving_of(request, watch).embed([text])
        return embedded.route.model, embedded.vectors[text]

    async def _embed(self, request: EmbedRequest, watch: Watch) -> EmbedResponseTwin:
        watch.embed_inputs = len(request.texts)
        serving = self._serving_of(request, watch)
        async with self._hold(request, watch, serving):
            embedded = await serving.embed(list(dict.fromkeys(request.texts)))
            return await _response(request, embedded, watch)

    def _serving_of(self, request: EmbedRequest, watch: Watch) -> Serving:
        snapshot = self._current()
        ranking = self._rank(request, snapshot)
        targets = wide_enough(offering(ranking.targets, request), request.texts)
        targets = answerable(targets, request, request.texts, self._engine.learned)
        places: dict[str, int] = {}
        for i, text in enumerate(request.texts):
            places.setdefault(text, i)
        return self._serving(request, snapshot, ranking, targets, watch, places)

    def _hold(
        self, request: EmbedRequest, watch: Watch, serving: Serving
    ) -> AbstractAsyncContextManager[None]:
        if self._quota is None:
            return nullcontext()
        return self._quota.hold(watch, Size(sum(map(tokens_of, request.texts))), serving.targets)

    async def stream(
        self,
        options: EmbedOptions,
        requests: AsyncIterator[EmbedItems],
        write: Callable[[EmbedStreamResponseTwin], Awaitable[None]],
        watch: Watch,
    ) -> None:
        """Embed items as they come, writing results in any order and then one `end`.

        `write` is never called twice at a time; while it waits, and while MAX_IN_FLIGHT shards are
        under way, nothing is read. An item that fails has an error of its own; GatewayError is
        raised only where no item could succeed, before anything is written.
        """
        snapshot = self._current()
        ranking = self._rank(options, snapshot)
        targets = offering(ranking.targets, options)
        serving = self._serving(options, snapshot, ranking, targets, watch)
        dimensions = dimensions_at(targets[0], options, self._engine.learned)
        async with self._hold_in_parts(watch, targets) as parts:
            await Streaming(serving, options, dimensions, write, watch, parts).run(requests)

    def _hold_in_parts(
        self, watch: Watch, targets: Sequence[Target]
    ) -> AbstractAsyncContextManager[Parts | None]:
        return self._quota.hold_in_parts(watch, targets) if self._quota else nullcontext()

    def _rank(self, ask: Ask, snapshot: Snapshot) -> Ranking:
        health, now = self._engine.health, self._engine.clock.monotonic()
        return rank(
            ask.model,
            ask.routing,
            needs_of_embed(),
            snapshot.routes,
            slowness=lambda target: health.slowness(target, now),
            rng=self._engine.rng,
        )

    def _serving(
        self,
        ask: Ask,
        snapshot: Snapshot,
        ranking: Ranking,
        targets: Sequence[Target],
        watch: Watch,
        places: Mapping[str, int] | None = None,
    ) -> Serving:
        cache = TextCache(self._caching, ask, watch.call.identity.tenant)
        families = families_of(targets)
        return Serving(
            self._engine, snapshot, ranking.alias, families, ask, cache, watch, places=places
        )


async def _response(request: EmbedRequest, embedded: Embedded, watch: Watch) -> EmbedResponseTwin:
    vectors = embedded.vectors
    dimensions = len(next(iter(vectors.values()))) // FLOAT_BYTES
    if len(request.texts) * dimensions * FLOAT_BYTES > MAX_ANSWER_BYTES:
        # Only where nobody knew the length before; from now on it is refused before it is paid.
        raise too_large(len(request.texts), dimensions)
    if embedded.cached:
        watch.cache_hit(embedded.saved, sum(text in embedded.cached for text in request.texts))
    watch.route = embedded.route
    twins: dict[str, EmbeddingTwin] = {}
    for text, packed in vectors.items():
        twins[text] = write_vector(EmbeddingTwin(), packed, request.encoding)
        if len(twins) % ENCODED_AT_ONCE == 0:
            await asyncio.sleep(0)
    return EmbedResponseTwin(
        embeddings=[twins[text] for text in request.texts],
        dimensions=dimensions,
        usage=watch.usage,
        route=embedded.route,
        upstream_calls=watch.upstream_calls,
        cache_hits=watch.cache_hits,
    )
