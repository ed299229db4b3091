"""Equal calls under way at once share one upstream answer, each from its beginning.

The answer runs in a task of its own: the caller who started it may leave without harming those who
joined, and the last to leave ends it. A failure is shared by those who are present, and by nobody
who comes after.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from turnout.v1.chat_service_pb2 import ChatResponse

from turnout_server.core.usage import add_usage
from turnout_server.core.watch import Watch

MAX_AHEAD = 1024
"""Events the upstream may be ahead of the quickest reader; then it waits, as for a single one."""

Open = Callable[[Watch], AsyncGenerator[ChatResponse, None]]


@dataclass(slots=True, eq=False)
class Member:
    """One caller of a flight, and how far it has read."""

    watch: Watch
    leader: bool
    read: int = 0


class Flights:
    """The flights under way, by key. One for the process."""

    def __init__(self) -> None:
        self._under_way: dict[bytes, Flight] = {}
        # Kept until they end: an answer may still be being stored when its last caller has gone.
        self._tasks: set[asyncio.Task[None]] = set()

    async def join(
        self, key: bytes, open_answer: Open, watch: Watch, deadline: float
    ) -> AsyncGenerator[tuple[ChatResponse, Member], None]:
        """Every event of the one answer to `key`, started by `open_answer` if nobody did yet.

        The answer's own watch has `deadline`; each caller's own deadline is its caller's business.
        """
        flight = self._under_way.get(key)
        leader = flight is None
        if flight is None:
            flight = Flight(
                open_answer, watch.aside(deadline), lambda ended: self._land(key, ended)
            )
            self._under_way[key] = flight
            self._tasks.add(flight.task)
            flight.task.add_done_callback(self._tasks.discard)
        member = Member(watch, leader)
        try:
            async for event in flight.follow(member):
                yield event, member
        finally:
            await flight.leave(member)

    def __len__(self) -> int:
        return len(self._under_way)

    def _land(self, key: bytes, flight: "Flight") -> None:
        # Who was left by all is closed while another may have begun in its place.
        if self._under_way.get(key) is flight:
            del self._under_way[key]


class Flight:
    """One shared answer. What it costs is booked to one caller: the first who is still there."""

    def __init__(self, open_answer: Open, watch: Watch, on_end: Callable[["Flight"], None]) -> None:
        self._open = open_answer
        self._watch = watch
        self._on_end = on_end
        self._members: list[Member] = []
        self._events: list[ChatResponse] = []
        self._error: BaseException | None = None
        self._over = False
        self._news = asyncio.Event()
        self._reading = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def follow(self, member: Member) -> AsyncGenerator[ChatResponse, None]:
        """The events from the first on; raises what ended the answer."""
        self._members.append(member)
        while True:
            while member.read < len(self._events):
                event = self._events[member.read]
                member.read += 1
                self._reading.set()
                yield event
            if self._over:
                break
            self._news.clear()
            await self._news.wait()
        if self._error is not None:
            raise self._error

    async def leave(self, member: Member) -> None:
        """One caller is gone, satisfied or not; the last one ends what still runs and pays."""
        if member in self._members:
            self._members.remove(member)
        if self._members or self._over:
            return
        self._on_end(self)
        self.task.cancel()
        try:
            await asyncio.wait([self.task])
        except asyncio.CancelledError:
            # A deadline strikes twice, once here and once in grpc; the bill is known at the end.
            await asyncio.wait([self.task])
            raise
        finally:
            self._charge(member)

    async def _run(self) -> None:
        events = self._open(self._watch)
        try:
            async for event in events:
                self._events.append(event)
                if event.HasField("finish"):
                    # Whole: nobody waits for what is left to do, which is to store it.
                    self._land()
                self._news.set()
                while self._ahead() > MAX_AHEAD:
                    self._reading.clear()
                    await self._reading.wait()
        except Exception as error:  # noqa: BLE001  shared with those present, by follow
            self._error = error
        finally:
            await events.aclose()
            self._land()
            self._news.set()

    def _land(self) -> None:
        """From here on nobody joins, and the bill goes to the first who is there."""
        if self._over:
            return
        self._over = True
        self._on_end(self)
        if self._members:
            self._charge(self._members[0])

    def _ahead(self) -> int:
        quickest = max((member.read for member in self._members), default=0)
        return len(self._events) - quickest

    def _charge(self, member: Member) -> None:
        add_usage(member.watch.usage, self._watch.usage)
        member.watch.attempts += self._watch.attempts
