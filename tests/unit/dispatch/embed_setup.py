"""A provider of embeddings that lives in the test's own process, and an engine around it."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from hashlib import shake_128
from typing import Any

from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse
from turnout.v1.embed_service_pb2 import EmbedRequest
from turnout.v1.model_service_pb2 import Capability
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.call import ANONYMOUS, Call, Method
from turnout_server.core.clock import SYSTEM_CLOCK, Clock
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.target import (
    Attempt,
    Endpoint,
    ModelCard,
    Price,
    Target,
    Timeouts,
    UpstreamLimits,
)
from turnout_server.core.watch import AttemptRecord, CallRecord, Observer, Watch
from turnout_server.dispatch.batcher import BatchSettings
from turnout_server.dispatch.embed import Embed
from turnout_server.dispatch.embed_cache import EmbedCaching
from turnout_server.dispatch.snapshot import Snapshot
from turnout_server.policy.health import Health
from turnout_server.policy.routes import Alias, Routes
from turnout_server.providers.provider import EmbedShard, Vectors

UNBATCHED = BatchSettings(window_s=0.0)
Misbehaviour = Callable[[EmbedShard, int], ProviderFailure | Vectors | None]


class FakeProvider:
    """Equal texts have equal vectors, and other models other ones.

    `misbehave` is given each shard and the number of the call, and may fail or answer in its place.
    """

    def __init__(
        self,
        dimensions: int = 4,
        *,
        delay_s: float = 0.0,
        misbehave: Misbehaviour = lambda _shard, _call: None,
    ) -> None:
        self.dimensions = dimensions
        self.delay_s = delay_s
        self.misbehave = misbehave
        self.shards: list[EmbedShard] = []
        self.attempts: list[Attempt] = []
        self.in_flight = self.most_in_flight = 0

    async def embed(self, shard: EmbedShard, attempt: Attempt) -> Vectors:
        self.shards.append(shard)
        self.attempts.append(attempt)
        call = len(self.shards)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.delay_s)
            odd = self.misbehave(shard, call)
            if isinstance(odd, ProviderFailure):
                raise odd
            return odd or self.answer(shard, attempt.target.model)
        finally:
            self.in_flight -= 1

    def answer(self, shard: EmbedShard, model: str) -> Vectors:
        dimensions = shard.dimensions or self.dimensions
        return Vectors(
            packed=[vector(text, dimensions, model) for text in shard.texts],
            dimensions=dimensions,
            usage=Usage(input_tokens=7 * len(shard.texts)),
            provider_request_id=f"call-{len(self.shards)}",
        )

    def chat(self, request: ChatRequest, attempt: Attempt) -> AsyncGenerator[ChatResponse, None]:
        raise AssertionError("not a chat")

    async def complete(self, request: ChatRequest, attempt: Attempt) -> ChatResponse:
        raise AssertionError("not a chat")

    async def aclose(self) -> None:
        """Nothing is held."""


def vector(text: str, dimensions: int, model: str = "m") -> bytes:
    """Finite floats that only this text has: the top bit of each exponent is never set."""
    raw = bytearray(shake_128(f"{model}/{text}".encode()).digest(4 * dimensions))
    for i in range(3, len(raw), 4):
        raw[i] &= 0xBF
    return bytes(raw)


def fails(kind: FailureKind, *, first: int = 1 << 30) -> Misbehaviour:
    """Fail the first so many calls."""
    return lambda _, call: ProviderFailure(kind) if call <= first else None


class Seen(Observer):
    """Every record that was made."""

    def __init__(self) -> None:
        self.attempts: list[AttemptRecord] = []
        self.calls: list[CallRecord] = []
        self.saved: list[Usage] = []

    def attempt_ended(self, call: Call, record: AttemptRecord) -> None:
        self.attempts.append(record)

    def cache_hit(self, call: Call, saved: Usage) -> None:
        self.saved.append(saved)

    def ended(self, call: Call, record: CallRecord) -> None:
        self.calls.append(record)


def target(endpoint: str = "one", model: str = "m", **card: Any) -> Target:
    """A target with a price and no other limit than those given."""
    concurrency = card.pop("concurrency", None)
    options = card.pop("options", {})
    return Target(
        Endpoint(
            endpoint,
            endpoint,
            "fake",
            "http://127.0.0.1",
            timeouts=Timeouts(first_output_s=5.0),
            limits=UpstreamLimits(concurrency=concurrency),
            options=options,
        ),
        ModelCard(
            model,
            frozenset({Capability.CAPABILITY_EMBEDDINGS}),
            price=Price(input=1_000_000, output=0),
            **card,
        ),
    )


class Setup:
    """An engine over targets, each answered by its endpoint's provider."""

    def __init__(
        self,
        providers: dict[str, FakeProvider],
        targets: Sequence[Target],
        *,
        caching: EmbedCaching | None = None,
        batching: BatchSettings = UNBATCHED,
        max_attempts: int = 3,
    ) -> None:
        alias = Alias("embed", tuple(targets), max_attempts=max_attempts)
        endpoints = {one.endpoint.name: one.endpoint for one in targets}
        routes = Routes({"embed": alias}, endpoints, lambda _, model: ModelCard(model, frozenset()))
        snapshot = Snapshot(routes, providers)
        self.health = Health(random.Random(1))
        self.seen = Seen()
        self.later_s = 0.0
        """Set it to let time pass for the engine."""
        self.clock = Clock(lambda: SYSTEM_CLOCK.monotonic() + self.later_s)
        self.embed = Embed(
            lambda: snapshot,
            self.health,
            self.clock,
            random.Random(1),
            caching=caching,
            batching=batching,
        )

    def watch(self, *, timeout_s: float = 10.0, method: Method = Method.EMBED) -> Watch:
        now = self.clock.monotonic()
        return Watch(Call("id", method, ANONYMOUS, now + timeout_s, now), [self.seen])

    async def ask(self, texts: Sequence[str], *, timeout_s: float = 10.0, **fields: Any) -> Any:
        """The response to one batch."""
        request = EmbedRequest(model="embed", texts=texts, **fields)
        return await self.embed.embed(request, self.watch(timeout_s=timeout_s))


def alone(provider: FakeProvider, **card: Any) -> Setup:
    """One target."""
    return Setup({"one": provider}, [target(**card)])


def values(response: Any) -> list[bytes]:
    """The packed floats of a response, in order."""
    return [twin.values for twin in response.embeddings]
