"""Micro-batching: small embedding calls that meet at one model go upstream together.

    lane idle   a call goes at once, alone
    lane busy   calls gather for a window, or until nothing more fits, then go as one

Nobody waits where there is nobody to wait for. A batch ends only when the last of its members has
left; it runs in a task of its own, so that the first member's cancel is not the others'.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from turnout.v1.embed_service_pb2 import EmbedRequest
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.clock import Clock
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.target import Attempt
from turnout_server.dispatch.embed_shards import limits_at, tokens_at_most, tokens_of
from turnout_server.policy.health import Ticket
from turnout_server.providers.provider import EmbedShard, Provider, Vectors

WINDOW_S = 0.005
MAX_BATCH = 256
SMALL_TEXTS = 32
"""A call with more texts than this gains little from company and goes alone."""
_BLAMES_A_TEXT = (
    FailureKind.REJECTED,
    FailureKind.CONTEXT_LENGTH,
    FailureKind.TOO_LARGE,
    FailureKind.PROMPT_BLOCKED,
)


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How calls gather. A window of 0 turns batching off."""

    window_s: float = WINDOW_S
    max_batch: int = MAX_BATCH


@dataclass(slots=True, eq=False)
class _Member:
    texts: Sequence[str]
    called: Callable[[], None]
    answer: asyncio.Future[Vectors]


@dataclass(slots=True, eq=False)
class _Batch:
    """Calls that go together. `attempt` is the first member's, whose ticket speaks for all."""

    provider: Provider
    attempt: Attempt
    max_texts: int
    max_tokens: int
    members: list[_Member] = field(default_factory=list)
    texts: int = 0
    tokens: int = 0
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    present: int = 0

    def fits(self, texts: Sequence[str]) -> bool:
        return (
            self.texts + len(texts) <= self.max_texts
            and self.tokens + _tokens(texts) <= self.max_tokens
        )

    def add(self, member: _Member) -> None:
        self.members.append(member)
        self.texts += len(member.texts)
        self.tokens += _tokens(member.texts)
        self.present += 1

    def waiting(self) -> list[_Member]:
        return [member for member in self.members if not member.answer.done()]


@dataclass(slots=True, eq=False)
class _Lane:
    """Where calls meet: one model at one provider, one length of vectors, one purpose.

    It is there only while an upstream call of it is under way.
    """

    key: tuple[object, ...]
    dimensions: int
    input_type: EmbedRequest.InputType.ValueType
    under_way: int = 0
    gathering: _Batch | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Batcher:
    """Sends embedding shards upstream, alone or together. One for the process."""

    def __init__(self, clock: Clock, settings: BatchSettings | None = None) -> None:
        self._clock = clock
        self._settings = settings or BatchSettings()
        self._lanes: dict[tuple[object, ...], _Lane] = {}

    async def embed(
        self,
        provider: Provider,
        shard: EmbedShard,
        ticket: Ticket,
        called: Callable[[], None],
    ) -> Vectors:
        """The shard's vectors, and its share of what was used.

        `called` is told of each upstream call that is to be booked here; of those with company one
        member books all. Within a batch one ticket stands for the upstream call, the others are
        released: a failure shared by fifty must not count as fifty. Raises ProviderFailure.
        """
        if len(shard.texts) > SMALL_TEXTS or not self._settings.window_s:
            called()
            return await provider.embed(shard, ticket.attempt)
        # The provider's identity parts the lanes of two configuration snapshots.
        key = (id(provider), ticket.target.model, shard.dimensions, shard.input_type)
        lane = self._lanes.get(key)
        if lane is not None:
            return await self._together(lane, provider, shard, ticket, called)
        lane = self._lanes[key] = _Lane(key, shard.dimensions, shard.input_type)
        return await self._alone(lane, provider, shard, ticket, called)

    async def _alone(
        self,
        lane: _Lane,
        provider: Provider,
        shard: EmbedShard,
        ticket: Ticket,
        called: Callable[[], None],
    ) -> Vectors:
        lane.under_way += 1
        called()
        try:
            return await provider.embed(shard, ticket.attempt)
        finally:
            self._ended(lane)

    async def _together(
        self,
        lane: _Lane,
        provider: Provider,
        shard: EmbedShard,
        ticket: Ticket,
        called: Callable[[], None],
    ) -> Vectors:
        member = _Member(shard.texts, called, asyncio.get_running_loop().create_future())
        batch = self._join(lane, provider, shard, ticket, member)
        try:
            return await member.answer
        except ProviderFailure as failure:
            if failure.kind not in _BLAMES_A_TEXT or len(batch.members) == 1:
                raise
        finally:
            self._leave(lane, batch)
        # Some member's text is at fault: each finds out for itself whether it was its own.
        called()
        return await provider.embed(shard, ticket.attempt)

    def _join(
        self, lane: _Lane, provider: Provider, shard: EmbedShard, ticket: Ticket, member: _Member
    ) -> _Batch:
        if lane.gathering is not None and not lane.gathering.fits(shard.texts):
            self._send(lane)
        batch = lane.gathering
        if batch is None:
            limits = limits_at([ticket.target])
            most = min(self._settings.max_batch, limits.texts)
            batch = lane.gathering = _Batch(provider, ticket.attempt, most, limits.tokens)
            loop = asyncio.get_running_loop()
            batch.timer = loop.call_later(self._settings.window_s, self._send, lane)
        else:
            ticket.release(self._clock.monotonic())
        batch.add(member)
        if batch.texts >= batch.max_texts:
            self._send(lane)
        return batch

    def _leave(self, lane: _Lane, batch: _Batch) -> None:
        """The last member to leave takes the batch with it."""
        batch.present -= 1
        if batch.present:
            return
        if batch.task is not None:
            batch.task.cancel()
        elif lane.gathering is batch:
            self._close(lane)

    def _send(self, lane: _Lane) -> None:
        """Begin the upstream call of whoever has gathered."""
        batch = self._close(lane)
        if batch is None or not batch.waiting():
            return
        lane.under_way += 1
        batch.task = asyncio.create_task(self._run(lane, batch))
        lane.tasks.add(batch.task)
        # Not in the task's own `finally`: one that is cancelled before it begins has none.
        batch.task.add_done_callback(lambda task: self._done(lane, task))

    def _done(self, lane: _Lane, task: asyncio.Task[None]) -> None:
        lane.tasks.discard(task)
        self._ended(lane)

    @staticmethod
    def _close(lane: _Lane) -> _Batch | None:
        batch, lane.gathering = lane.gathering, None
        if batch is not None and batch.timer is not None:
            batch.timer.cancel()
        return batch

    def _ended(self, lane: _Lane) -> None:
        lane.under_way -= 1
        if not lane.under_way:
            self._send(lane)
        if not lane.under_way:
            del self._lanes[lane.key]

    @staticmethod
    async def _run(lane: _Lane, batch: _Batch) -> None:
        members = batch.waiting()
        members[0].called()
        unique = list(dict.fromkeys(text for member in members for text in member.texts))
        try:
            whole = EmbedShard(unique, lane.dimensions, lane.input_type)
            vectors = await batch.provider.embed(whole, batch.attempt)
            _share(vectors, unique, members)
        except Exception as error:  # noqa: BLE001  each member meets it in its own call
            for member in members:
                if not member.answer.done():
                    member.answer.set_exception(error)


def _share(vectors: Vectors, texts: Sequence[str], members: Sequence[_Member]) -> None:
    """Give each member its vectors and its part of the usage, by the weight of its texts."""
    if len(vectors.packed) != len(texts):
        raise ProviderFailure(
            FailureKind.ERROR, f"{len(vectors.packed)} vectors for {len(texts)} texts"
        )
    by_text = dict(zip(texts, vectors.packed, strict=True))
    weights = [sum(map(tokens_of, member.texts)) for member in members]
    for member, usage in zip(members, divide_usage(vectors.usage, weights), strict=True):
        if not member.answer.done():
            own = [by_text[text] for text in member.texts]
            member.answer.set_result(
                Vectors(own, vectors.dimensions, usage, vectors.provider_request_id)
            )


_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "thinking_tokens",
)


def divide_usage(usage: Usage, weights: Sequence[int]) -> list[Usage]:
    """Parts of `usage` in proportion to the weights; every token is in exactly one of them."""
    parts = [Usage(estimated=usage.estimated) for _ in weights]
    whole = sum(weights)
    for name in _COUNTS:
        count: int = getattr(usage, name)
        given = passed = 0
        for part, weight in zip(parts, weights, strict=True):
            passed += weight
            up_to = count * passed // whole
            setattr(part, name, up_to - given)
            given = up_to
    return parts


def _tokens(texts: Sequence[str]) -> int:
    return sum(map(tokens_at_most, texts))
