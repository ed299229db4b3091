"""Open upstream attempts, one after another or two in a race, until one gives its first output.

The first output is the commit point. Before it, anything here may be retried, replaced or raced and
the caller sees nothing of it; after it, this file is done.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from turnout.v1.errors_pb2 import AttemptFailure

from turnout_server.core.clock import Clock
from turnout_server.core.failure import ProviderFailure
from turnout_server.core.watch import AttemptOutcome
from turnout_server.dispatch.running import Running
from turnout_server.policy.attempts import Plan, Wait
from turnout_server.policy.routes import Alias
from turnout_server.policy.ticket import Refusal, Ticket
from turnout_server.policy.verdict import verdict

T = TypeVar("T")


@dataclass(slots=True)
class Tried:
    """What one call has tried so far, over all of its generations."""

    failures: list[ProviderFailure] = field(default_factory=list)
    told: list[AttemptFailure] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Committed(Generic[T]):
    """The attempt that spoke first, and what it said. Whoever takes it must end `running`."""

    running: Running[T]
    first: T


@dataclass(frozen=True, slots=True)
class Rivals:
    """When a silent attempt gets a rival: after `delay_s`, if `admit` pays for it."""

    delay_s: float
    admit: Callable[[], bool]


class Acquiring(Generic[T]):
    """Walks one plan. `open_attempt` starts an upstream call; `visible` tells output apart."""

    def __init__(
        self,
        plan: Plan,
        open_attempt: Callable[[Ticket], Running[T]],
        visible: Callable[[T], bool],
        *,
        alias: Alias,
        tried: Tried,
        clock: Clock,
        rivals: Rivals | None = None,
    ) -> None:
        self._plan = plan
        self._open = open_attempt
        self._visible = visible
        self._alias = alias
        self._tried = tried
        self._clock = clock
        self._rivals = rivals

    async def steps(
        self, failure: ProviderFailure | None = None
    ) -> AsyncGenerator[AttemptFailure | Committed[T], None]:
        """Each failed attempt as it fails, then the committed one, last.

        `failure` is that of a stream committed earlier, when its answer is to be taken over.
        Raises GatewayError when nothing is left to try.
        """
        while True:
            ticket = await self._next_ticket(failure)
            if ticket is None:
                raise verdict(
                    self._alias,
                    self._tried.failures,
                    self._tried.told,
                    self._tried.refusals,
                    now=self._clock.monotonic(),
                )
            running = self._begin(ticket)
            try:
                committed = await self._first_of(running)
            except ProviderFailure as error:
                failure = error
                yield self._tried.told[-1]
                continue
            yield committed
            return

    def note(self, running: Running[T], failure: ProviderFailure) -> AttemptFailure:
        """Book a failed attempt among those the caller may be told of."""
        told = running.failure_told(failure)
        self._tried.failures.append(failure)
        self._tried.told.append(told)
        return told

    async def _next_ticket(self, failure: ProviderFailure | None) -> Ticket | None:
        try:
            step = next(self._plan) if failure is None else self._plan.send(failure)
            while isinstance(step, Wait):
                await asyncio.sleep(step.wait_s)
                step = next(self._plan)
        except StopIteration as stop:
            self._tried.refusals.extend(stop.value or ())
            return None
        return step

    def _begin(self, ticket: Ticket) -> Running[T]:
        self._tried.attempts += 1
        if ticket.attempt.number != self._tried.attempts:
            # Each plan counts from one; the caller is told of the call's attempts.
            ticket.attempt = replace(ticket.attempt, number=self._tried.attempts)
        try:
            return self._open(ticket)
        except BaseException:
            # A bug of ours in an adapter: what the ticket holds must not be lost with it.
            ticket.release(self._clock.monotonic())
            raise

    async def _first_of(self, running: Running[T]) -> Committed[T]:
        if self._rivals is None:
            return await self._first(running)
        return await self._race(running, self._rivals)

    async def _first(self, running: Running[T]) -> Committed[T]:
        """Wait for one attempt; on every other way out it is ended here."""
        try:
            return Committed(running, await running.first(self._visible))
        except ProviderFailure as failure:
            self.note(running, failure)
            await running.end(AttemptOutcome.FAILED, failure)
            raise
        except BaseException:
            await running.end(AttemptOutcome.CANCELLED)
            raise

    async def _race(self, running: Running[T], rivals: Rivals) -> Committed[T]:
        """Wait for the first of two: the rival begins when the first has been silent too long."""
        racing = {asyncio.create_task(self._first(running)): running}
        try:
            done, _ = await asyncio.wait(racing, timeout=rivals.delay_s)
            if not done and rivals.admit():
                ticket = await self._next_ticket(None)
                if ticket is not None:
                    rival = self._begin(ticket)
                    racing[asyncio.create_task(self._first(rival))] = rival
            winner = await _winner(racing)
            losers = {task: lost for task, lost in racing.items() if task is not winner}
            await _hang_up(losers, AttemptOutcome.HEDGE_LOST)
            return winner.result()
        except BaseException:
            # Nobody has won, or the caller left while the loser was being dropped.
            await _hang_up(racing, AttemptOutcome.CANCELLED)
            raise


Racing = dict[asyncio.Task[Committed[T]], Running[T]]
"""Who is in a race, in the order in which they began."""


async def _winner(racing: Racing[T]) -> asyncio.Task[Committed[T]]:
    """The first to speak; raises the failure that the plan is to be told when nobody did.

    That is the youngest attempt's, which the plan stands at: told of an older one's it would retry
    the wrong target. But a failure after which nothing may be tried is one whoever met it.
    """
    failures: dict[asyncio.Task[Committed[T]], ProviderFailure] = {}
    while waiting := [task for task in racing if task not in failures]:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            failure = task.exception()
            if not isinstance(failure, ProviderFailure):
                return task
            failures[task] = failure
    told = [failures[task] for task in racing]
    raise next((failure for failure in told if failure.rule.is_final), told[-1])


async def _hang_up(racing: Racing[T], outcome: AttemptOutcome) -> None:
    """Settle at once and then close, each of them: who waits here may be cancelled once more."""
    async with AsyncExitStack() as closing:
        for task, running in racing.items():
            task.cancel()
            running.settle(outcome)
            closing.push_async_callback(_close, task, running, outcome)


async def _close(
    task: asyncio.Task[Committed[T]], running: Running[T], outcome: AttemptOutcome
) -> None:
    try:
        await asyncio.wait([task])
    finally:
        # A task that is not done yet is just closing its stream itself.
        if task.done():
            await running.end(outcome)
            if not task.cancelled():
                task.exception()
