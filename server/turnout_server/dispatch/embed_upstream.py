"""Sends shards to the targets of one model, each by a walk of its own through the one engine."""

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from turnout.v1.usage_pb2 import Usage

from turnout_server.core.clock import Clock
from turnout_server.core.errors import GatewayError
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.receipt import Receipt
from turnout_server.core.target import Attempt
from turnout_server.core.watch import AttemptOutcome, Watch
from turnout_server.dispatch.acquire import Acquiring, Committed, Tried
from turnout_server.dispatch.batcher import Answer, Batcher, SmallCall
from turnout_server.dispatch.embed_cache import Ask
from turnout_server.dispatch.embed_shards import limits_at, tokens_of
from turnout_server.dispatch.embed_targets import Family
from turnout_server.dispatch.quota import Pacing
from turnout_server.dispatch.running import Running
from turnout_server.dispatch.snapshot import Snapshot
from turnout_server.dispatch.vectors import FLOAT_BYTES
from turnout_server.policy.attempts import Limits, plan
from turnout_server.policy.health import Health
from turnout_server.policy.routes import Alias
from turnout_server.policy.ticket import Ticket
from turnout_server.providers.provider import EmbedShard, Vectors


@dataclass(frozen=True, slots=True)
class Engine:
    """What every embedding call of the process shares. `learned` maps targets to dimensions."""

    health: Health
    clock: Clock
    rng: random.Random
    batcher: Batcher
    learned: dict[str, int]
    pacing: Pacing | None = None


class Upstream:
    """One model's targets as one call uses them, for any number of shards at once."""

    def __init__(
        self,
        engine: Engine,
        snapshot: Snapshot,
        alias: Alias,
        family: Family,
        ask: Ask,
        watch: Watch,
    ) -> None:
        self._engine = engine
        self._snapshot = snapshot
        self._alias = alias
        self._family = family
        self._ask = ask
        self._watch = watch
        self._dimensions = ask.dimensions
        self._under_way = 0
        self._one_ended = asyncio.Event()

    async def embed(self, texts: Sequence[str], tried: Tried, limits: Limits) -> Answer:
        """One vector a text, in order; raises GatewayError.

        A shard that no target takes now, while others of the call are there, waits for one of them
        to end and asks again: a limit of four at once, or a circuit that lets one probe through,
        must not fail a call for having eight shards.
        """
        while True:
            attempts: list[Attempt] = []
            try:
                return await self._walk(texts, self._watch, tried, limits, attempts)
            except GatewayError:
                if attempts or not self._under_way:
                    raise
            await self._one_ended.wait()

    async def embed_small(self, texts: Sequence[str], tried: Tried, limits: Limits) -> Answer:
        """The same for a call's only shard, which may go together with other calls'."""

        async def send(texts: Sequence[str], watch: Watch, tried: Tried, deadline: float) -> Answer:
            return await self._walk(texts, watch, tried, replace(limits, deadline=deadline), [])

        ask = self._ask
        lane = (
            id(self._snapshot),
            *map(str, self._family.targets),
            ask.dimensions,
            ask.input_type,
            replace(limits, deadline=0.0),
        )
        shard_limits = limits_at(self._family.targets)
        return await self._engine.batcher.embed(
            SmallCall(lane, texts, self._watch, tried, limits.deadline, shard_limits, send)
        )

    async def _walk(
        self,
        texts: Sequence[str],
        watch: Watch,
        tried: Tried,
        limits: Limits,
        attempts: list[Attempt],
    ) -> Answer:
        """Ask the targets by one plan, booking on `watch`; every attempt begun is in `attempts`."""
        shard = EmbedShard(texts, self._ask.dimensions, self._ask.input_type)

        def open_attempt(ticket: Ticket) -> Running[Vectors]:
            attempts.append(ticket.attempt)
            return self._open(ticket, shard, watch)

        engine = self._engine
        acquiring = Acquiring(
            plan(self._family.targets, limits, engine.health, engine.clock.monotonic, engine.rng),
            open_attempt,
            _is_output,
            alias=self._alias,
            tried=tried,
            clock=engine.clock,
        )
        async with aclosing(acquiring.steps()) as steps:
            async for step in steps:
                if isinstance(step, Committed):
                    return await self._keep(step, watch)
        raise AssertionError("a plan ends by an error or an answer")

    def _open(self, ticket: Ticket, shard: EmbedShard, watch: Watch) -> Running[Vectors]:
        tokens = sum(map(tokens_of, shard.texts))
        answer = self._answer(ticket, shard, watch)
        if self._engine.pacing is not None:
            answer = self._engine.pacing.paced(answer, ticket, tokens)
        return Running(
            ticket,
            answer,
            watch,
            self._engine.clock,
            lambda _: Usage(input_tokens=tokens, estimated=True),
        )

    async def _answer(
        self, ticket: Ticket, shard: EmbedShard, watch: Watch
    ) -> AsyncGenerator[Vectors | Receipt, None]:
        self._under_way += 1
        watch.upstream_called(ticket.attempt)
        try:
            provider = self._snapshot.providers[ticket.target.provider]
            vectors = await provider.embed(shard, ticket.attempt)
            # First, so that what a misshapen answer has cost is booked too.
            yield Receipt(vectors.provider_request_id, vectors.usage)
            self._check(vectors, shard)
            yield vectors
        finally:
            self._under_way -= 1
            self._one_ended.set()
            self._one_ended = asyncio.Event()

    def _check(self, vectors: Vectors, shard: EmbedShard) -> None:
        """Trust no provider with the shape of an answer: a wrong vector is found by nobody else."""
        if len(vectors.packed) != len(shard.texts):
            raise _wrong(f"{len(vectors.packed)} vectors for {len(shard.texts)} texts")
        wanted = self._dimensions or vectors.dimensions
        if vectors.dimensions != wanted:
            raise _wrong(f"{vectors.dimensions} dimensions where {wanted} were due")
        wanted_bytes = wanted * FLOAT_BYTES
        if not wanted or any(len(packed) != wanted_bytes for packed in vectors.packed):
            raise _wrong(f"vectors that are not of {wanted} dimensions")

    async def _keep(self, committed: Committed[Vectors], watch: Watch) -> Answer:
        running, vectors = committed.running, committed.first
        usage = Usage()
        usage.CopyFrom(vectors.usage)
        running.usage = running.priced(usage)
        self._dimensions = vectors.dimensions
        target = running.attempt.target
        if not (self._ask.dimensions or target.card.embedding_dimensions):
            self._engine.learned[str(target)] = vectors.dimensions
        if watch.first_output_s is None:
            watch.first_output(running.attempt, vectors.provider_request_id)
        await running.end(AttemptOutcome.OK)
        return Answer(vectors.packed, target, vectors.provider_request_id)


def _is_output(_: Vectors) -> bool:
    return True


def _wrong(what: str) -> ProviderFailure:
    return ProviderFailure(FailureKind.ERROR, f"the answer has {what}")
