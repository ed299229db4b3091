"""Micro-batching: small embedding calls that meet on one lane go upstream together.

    lane idle   a call goes at once, alone
    lane busy   calls gather for a window, or until nothing more fits, then go as one

Nobody waits where there is nobody to wait for. A batch is one walk through the engine: one attempt
at a time, one retry for all, one verdict on the target. It runs in a task of its own, so that one
member's cancel is not the others', and ends when its last member has left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field

from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.clock import Clock
from turnout_server.core.errors import GatewayError
from turnout_server.core.target import Target
from turnout_server.core.watch import Watch
from turnout_server.dispatch.acquire import Tried
from turnout_server.dispatch.embed_shards import ShardLimits, tokens_at_most, tokens_of
from turnout_server.dispatch.shared_watch import SharedWatch

WINDOW_S = 0.005
MAX_BATCH = 256
SMALL_TEXTS = 32
"""A call with more texts than this gains little from company and goes alone."""
_BLAMES_A_TEXT = (
    ErrorReason.ERROR_REASON_PROVIDER_REJECTED,
    ErrorReason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED,
    ErrorReason.ERROR_REASON_TOO_LARGE,
    ErrorReason.ERROR_REASON_PROMPT_BLOCKED,
)


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How calls gather. A window of 0 turns batching off."""

    window_s: float = WINDOW_S
    max_batch: int = MAX_BATCH


@dataclass(frozen=True, slots=True)
class Answer:
    """One packed float32 vector a text, and who made them."""

    packed: list[bytes]
    target: Target
    provider_request_id: str


Send = Callable[[Sequence[str], Watch, Tried, float], Awaitable[Answer]]
"""Embeds texts by one walk: books on the watch, notes what it tried, keeps the deadline."""


@dataclass(frozen=True, slots=True)
class SmallCall:
    """A call of few texts. Calls of equal `lane` may share an upstream call, and then any one's
    `send` serves all; `limits` are those of one upstream call.
    """

    lane: Hashable
    texts: Sequence[str]
    watch: Watch
    tried: Tried
    deadline: float
    limits: ShardLimits
    send: Send

    def alone(self) -> Awaitable[Answer]:
        """Send this call's texts and no others."""
        return self.send(self.texts, self.watch, self.tried, self.deadline)


@dataclass(slots=True, eq=False)
class _Member:
    call: SmallCall
    answer: asyncio.Future[Answer]


@dataclass(slots=True, eq=False)
class _Batch:
    """Calls that go together. `present` counts the members that have not left."""

    limits: ShardLimits
    members: list[_Member] = field(default_factory=list)
    texts: int = 0
    tokens: int = 0
    present: int = 0
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    watch: SharedWatch | None = None

    def fits(self, texts: Sequence[str]) -> bool:
        return (
            self.texts + len(texts) <= self.limits.texts
            and self.tokens + sum(map(tokens_at_most, texts)) <= self.limits.tokens
        )

    def add(self, member: _Member) -> None:
        self.members.append(member)
        self.texts += len(member.call.texts)
        self.tokens += sum(map(tokens_at_most, member.call.texts))
        self.present += 1


@dataclass(slots=True, eq=False)
class _Lane:
    """Where calls meet. It is there only while an upstream call of it is under way."""

    key: Hashable
    under_way: int = 0
    gathering: _Batch | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class Batcher:
    """Sends small calls upstream, alone or together. One for the process."""

    def __init__(self, clock: Clock, settings: BatchSettings | None = None) -> None:
        self._clock = clock
        self._settings = settings or BatchSettings()
        self._lanes: dict[Hashable, _Lane] = {}

    def suits(self, texts: Sequence[str]) -> bool:
        """Whether a call of these texts may gain from company."""
        return len(texts) <= SMALL_TEXTS and self._settings.window_s > 0

    async def embed(self, call: SmallCall) -> Answer:
        """The call's own vectors, with its share of the usage on its watch.

        Raises GatewayError, which those share who were together. An error that blames a text has
        each of them sent again alone, so that a text at fault fails its own call only.
        """
        lane = self._lanes.get(call.lane)
        if lane is None:
            lane = self._lanes[call.lane] = _Lane(call.lane, under_way=1)
            try:
                return await call.alone()
            finally:
                self._ended(lane)
        return await self._together(lane, call)

    async def _together(self, lane: _Lane, call: SmallCall) -> Answer:
        member = _Member(call, asyncio.get_running_loop().create_future())
        batch = self._join(lane, member)
        try:
            return await member.answer
        except GatewayError as error:
            if error.reason not in _BLAMES_A_TEXT or len(batch.members) == 1:
                raise
        finally:
            self._leave(lane, batch, member)
        return await call.alone()

    def _join(self, lane: _Lane, member: _Member) -> _Batch:
        if lane.gathering is not None and not lane.gathering.fits(member.call.texts):
            self._send(lane)
        batch = lane.gathering
        if batch is None:
            limits = member.call.limits
            most = min(self._settings.max_batch, limits.texts)
            batch = lane.gathering = _Batch(ShardLimits(most, limits.tokens))
            loop = asyncio.get_running_loop()
            batch.timer = loop.call_later(self._settings.window_s, self._send, lane)
        batch.add(member)
        if batch.texts >= batch.limits.texts:
            self._send(lane)
        return batch

    def _leave(self, lane: _Lane, batch: _Batch, member: _Member) -> None:
        """The last member to leave takes the batch with it."""
        if batch.watch is not None:
            batch.watch.leave(member.call.watch)
        batch.present -= 1
        if batch.present:
            return
        if batch.task is not None:
            batch.task.cancel()
        elif lane.gathering is batch:
            self._close(lane)

    def _send(self, lane: _Lane) -> None:
        """Begin the upstream call of whoever has gathered and is still there."""
        batch = self._close(lane)
        if batch is None:
            return
        members = [member for member in batch.members if not member.answer.done()]
        calls = [member.call for member in members]
        weights = [sum(map(tokens_of, call.texts)) for call in calls]
        watches = [call.watch for call in calls]
        batch.watch = SharedWatch(watches, weights, self._clock.monotonic)
        lane.under_way += 1
        batch.task = asyncio.create_task(_run(members, batch.watch))
        lane.tasks.add(batch.task)
        # Not in the task's own `finally`: one that is cancelled before it begins has none.
        batch.task.add_done_callback(lambda task: self._done(lane, task))

    @staticmethod
    def _close(lane: _Lane) -> _Batch | None:
        batch, lane.gathering = lane.gathering, None
        if batch is not None and batch.timer is not None:
            batch.timer.cancel()
        return batch

    def _done(self, lane: _Lane, task: asyncio.Task[None]) -> None:
        lane.tasks.discard(task)
        self._ended(lane)

    def _ended(self, lane: _Lane) -> None:
        lane.under_way -= 1
        if not lane.under_way:
            self._send(lane)
        if not lane.under_way:
            del self._lanes[lane.key]


async def _run(members: Sequence[_Member], watch: SharedWatch) -> None:
    calls = [member.call for member in members]
    texts = list(dict.fromkeys(text for call in calls for text in call.texts))
    tried = Tried()
    try:
        # The latest of the deadlines: a caller's own ends its own wait.
        answer = await calls[0].send(texts, watch, tried, max(call.deadline for call in calls))
    except Exception as error:  # noqa: BLE001  each member meets it in its own call
        for member in members:
            if not member.answer.done():
                _add(member.call.tried, tried)
                member.answer.set_exception(error)
        return
    by_text = dict(zip(texts, answer.packed, strict=True))
    for member in members:
        if not member.answer.done():
            _add(member.call.tried, tried)
            own = [by_text[text] for text in member.call.texts]
            member.answer.set_result(Answer(own, answer.target, answer.provider_request_id))


def _add(own: Tried, shared: Tried) -> None:
    own.failures += shared.failures
    own.told += shared.told
    own.refusals += shared.refusals
    own.attempts += shared.attempts
