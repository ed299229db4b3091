"""Idempotency keys: a call that was answered whole is not made again, its reply is given again.

The reply of a streamed chat is its `finish` with the whole message, replayed as from the cache.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

from turnout.internal.v1.embed_twins_pb2 import EmbedResponseTwin
from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse, Finish
from turnout.v1.embed_service_pb2 import EmbedRequest
from turnout.v1.routing_pb2 import CacheStatus
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.clock import Clock
from turnout_server.core.watch import Watch
from turnout_server.dispatch.caching import replayed
from turnout_server.dispatch.request import shown_events
from turnout_server.store.answer import CachedAnswer
from turnout_server.store.idempotency import Idempotency, Permit, Reply

MAX_REPLY_BYTES = 4 << 20
LEASE_BEYOND_S = 5.0
"""How long after its caller's deadline a call under way still counts as such."""


class Once:
    """Makes a call that carries an idempotency key at most once. One for the process.

    Everything raises GatewayError DUPLICATE_REQUEST while the first call is under way, and
    INVALID_REQUEST for a key that came with another request.
    """

    def __init__(self, idempotency: Idempotency, clock: Clock) -> None:
        self._idempotency = idempotency
        self._clock = clock

    async def chat(
        self,
        request: ChatRequest,
        watch: Watch,
        answer: AsyncGenerator[ChatResponse, None],
    ) -> AsyncGenerator[ChatResponse, None]:
        """The events of `answer`, whose `finish` holds its message, or those of the first reply."""
        async with self._begun(request, watch) as begun:
            if isinstance(begun, Reply):
                kept = CachedAnswer(Finish.FromString(begun.payload), age_s=0.0)
                source = replayed(kept, shown_events(request), watch)
            else:
                source = answer
            async with aclosing(source) as events:
                async for event in events:
                    if event.HasField("finish") and isinstance(begun, _Begun):
                        # First: a caller who has the answer may send the key again at once.
                        await begun.complete(event.finish)
                    yield event

    async def embed(
        self,
        request: EmbedRequest,
        watch: Watch,
        answer: Callable[[], Awaitable[EmbedResponseTwin]],
    ) -> EmbedResponseTwin:
        """The response of `answer`, or the first reply, at no cost."""
        async with self._begun(request, watch) as begun:
            if isinstance(begun, Reply):
                return _again(EmbedResponseTwin.FromString(begun.payload), watch)
            response = await answer()
            await begun.complete(response)
            return response

    @asynccontextmanager
    async def _begun(self, request: Any, watch: Watch) -> AsyncGenerator["_Begun | Reply", None]:
        call = watch.call
        outcome = await self._idempotency.begin(
            call.identity.tenant,
            call.method.value,
            call.idempotency_key,
            request.SerializeToString(deterministic=True),
            lease_s=max(0.0, call.remaining_s(self._clock.monotonic())) + LEASE_BEYOND_S,
        )
        if isinstance(outcome, Reply):
            yield outcome
            return
        begun = _Begun(self._idempotency, outcome)
        try:
            yield begun
        finally:
            if not begun.is_complete:
                await self._idempotency.abandon(outcome)


class _Begun:
    """A call that is being made under its key."""

    def __init__(self, idempotency: Idempotency, permit: Permit) -> None:
        self._idempotency = idempotency
        self._permit = permit
        self.is_complete = False

    async def complete(self, reply: Finish | EmbedResponseTwin) -> None:
        payload = reply.SerializeToString()
        if len(payload) <= MAX_REPLY_BYTES:
            self.is_complete = True
            await self._idempotency.complete(self._permit, payload)


def _again(response: EmbedResponseTwin, watch: Watch) -> EmbedResponseTwin:
    watch.embed_inputs = len(response.embeddings)
    watch.cache_hit(response.usage, len(response.embeddings))
    watch.route = response.route
    watch.route.cache_status = CacheStatus.CACHE_STATUS_HIT
    response.usage.CopyFrom(Usage(cost_nano_usd=0))
    response.upstream_calls, response.cache_hits = 0, watch.cache_hits
    return response
