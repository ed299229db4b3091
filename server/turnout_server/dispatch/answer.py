"""The making of one answer: acquire a target, relay it, and do what was agreed if it breaks.

FAIL       the caller is told, with what it cost                     (the default)
RESTART    another target answers from the beginning; `generation` rises
CONTINUE   another target goes on with the text, where that is possible
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace

from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse
from turnout.v1.errors_pb2 import AttemptFailure, ErrorReason
from turnout.v1.model_service_pb2 import Capability
from turnout.v1.routing_pb2 import MidStreamPolicy
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.clock import Clock
from turnout_server.core.errors import GatewayError
from turnout_server.core.failure import ProviderFailure
from turnout_server.core.watch import AttemptOutcome, Watch
from turnout_server.dispatch.acquire import Acquiring, Committed, Rivals, Tried
from turnout_server.dispatch.continuation import Delivered
from turnout_server.dispatch.quota import Pacing, size_of
from turnout_server.dispatch.request import output_bytes, shown_events, whole
from turnout_server.dispatch.running import Running
from turnout_server.dispatch.snapshot import Snapshot
from turnout_server.policy.attempts import Limits, Plan
from turnout_server.policy.needs import BYTES_PER_TOKEN, prompt_tokens
from turnout_server.policy.targets import Ranking
from turnout_server.policy.ticket import Ticket

MakePlan = Callable[[Ranking, Limits], Plan]


class Answer:
    """One answer under way. Use `events` once, within `aclosing`."""

    def __init__(
        self,
        request: ChatRequest,
        watch: Watch,
        snapshot: Snapshot,
        ranking: Ranking,
        limits: Limits,
        make_plan: MakePlan,
        rivals: Rivals | None,
        clock: Clock,
        pacing: Pacing | None = None,
    ) -> None:
        self._request = request
        self._asked = request
        self._watch = watch
        self._snapshot = snapshot
        self._ranking = ranking
        self._limits = limits
        self._make_plan = make_plan
        self._clock = clock
        self._pacing = pacing
        self._policy = request.routing.mid_stream_policy or ranking.alias.mid_stream
        self._shown = shown_events(request)
        self._pace_s = request.stream.coalesce.ToNanoseconds() / 1e9
        self._prompt_tokens = prompt_tokens(request)
        self._tried = Tried()
        self._generation = 0
        self._told = 0
        self._delivered: Delivered | None = None
        if self._policy == MidStreamPolicy.MID_STREAM_POLICY_CONTINUE:
            self._delivered = Delivered(request)
        self._acquiring = self._acquire(ranking, limits, rivals)

    async def events(self) -> AsyncGenerator[ChatResponse, None]:
        """Failures and the route as they happen, then output, then `finish` with its message."""
        failure: ProviderFailure | None = None
        while True:
            running: Running[ChatResponse] | None = None
            try:
                async with aclosing(self._steps(failure)) as steps:
                    async for step in steps:
                        if isinstance(step, Committed):
                            running = step.running
                        for event in self._untold():
                            yield event
                        if isinstance(step, Committed):
                            async with aclosing(self._relay(step)) as events:
                                async for event in events:
                                    yield event
                            return
            except ProviderFailure as broken:
                assert running is not None
                broken.output_started = True
                self._acquiring.note(running, broken)
                await running.end(AttemptOutcome.FAILED, broken)
                failure = self._recover(broken)
            finally:
                if running is not None:
                    await running.end(AttemptOutcome.CANCELLED)
            for event in self._untold():
                yield event

    def _untold(self) -> Iterator[ChatResponse]:
        """The failures that the caller has not heard of: of a race there may be two at once."""
        untold = self._tried.told[self._told :]
        self._told = len(self._tried.told)
        return (self._stamped(ChatResponse(attempt_failed=told)) for told in untold)

    def _recover(self, broken: ProviderFailure) -> ProviderFailure | None:
        """Prepare the next round as the policy has it, and return what its plan is to be told.

        Raises GatewayError STREAM_INTERRUPTED where the policy has no next round.
        """
        if self._policy == MidStreamPolicy.MID_STREAM_POLICY_RESTART:
            self._generation += 1
            return broken
        able = [t for t in self._ranking.targets if _can_continue(t.card.capabilities)]
        left = self._limits.attempts - self._tried.attempts
        if self._delivered is None or not (self._delivered.may_go_on and able and left > 0):
            raise self._interrupted(broken)
        self._asked = self._delivered.go_on()
        others = [t for t in able if t != self._watch_target()] or able
        again = [t for t in able if t not in others]
        ranking = replace(self._ranking, targets=(*others, *again))
        self._acquiring = self._acquire(ranking, replace(self._limits, attempts=left), None)
        return None

    def _watch_target(self) -> object:
        route = self._watch.route
        return next(
            (
                target
                for target in self._ranking.targets
                if (target.provider, target.model) == (route.provider, route.model)
            ),
            None,
        )

    def _acquire(
        self, ranking: Ranking, limits: Limits, rivals: Rivals | None
    ) -> Acquiring[ChatResponse]:
        return Acquiring(
            self._make_plan(ranking, limits),
            self._open,
            lambda event: event.WhichOneof("event") in self._shown,
            alias=ranking.alias,
            tried=self._tried,
            clock=self._clock,
            rivals=rivals,
        )

    async def _steps(
        self, failure: ProviderFailure | None
    ) -> AsyncGenerator[AttemptFailure | Committed[ChatResponse], None]:
        try:
            async with aclosing(self._acquiring.steps(failure)) as steps:
                async for step in steps:
                    yield step
        except GatewayError as error:
            if self._watch.first_output_s is None:
                raise
            raise self._interrupted(self._tried.failures[-1]) from error

    async def _relay(
        self, committed: Committed[ChatResponse]
    ) -> AsyncGenerator[ChatResponse, None]:
        """Everything from the commit point to `finish`."""
        running = committed.running
        request_id = running.receipt.provider_request_id
        yield self._stamped(
            ChatResponse(route=self._watch.first_output(running.attempt, request_id))
        )
        event = committed.first
        while True:
            kind = event.WhichOneof("event")
            if kind == "finish":
                for rest in self._delivered.rest() if self._delivered else ():
                    yield self._stamped(rest)
                yield await self._finish(running, event)
                return
            running.output_bytes += output_bytes(event, kind)
            if kind in self._shown:
                for part in self._delivered.feed(event, kind) if self._delivered else (event,):
                    yield self._stamped(part)
                if self._pace_s:
                    # What arrives meanwhile waits in the socket and is read, decoded and sent as
                    # one: pacing the reads is all that joining needs.
                    await asyncio.sleep(self._pace_s)
            event = await running.next()

    async def _finish(self, running: Running[ChatResponse], event: ChatResponse) -> ChatResponse:
        finish = event.finish
        running.book(finish.usage, finish.message.ByteSize())
        await running.end(AttemptOutcome.OK)
        finish.usage.CopyFrom(self._watch.usage)
        finish.route.CopyFrom(self._watch.route)
        finish.route.attempts = self._tried.attempts
        finish.time_to_first_output.FromNanoseconds(
            round((self._watch.first_output_s or 0.0) * 1e9)
        )
        if self._delivered is not None:
            self._delivered.complete(finish.message)
        return self._stamped(event)

    def _open(self, ticket: Ticket) -> Running[ChatResponse]:
        attempt = ticket.attempt
        provider = self._snapshot.providers[attempt.target.provider]
        if self._limits.unary:
            events = whole(lambda: provider.complete(self._asked, attempt))
        else:
            events = provider.chat(self._asked, attempt)
        if self._pacing is not None:
            tokens = size_of(self._asked, attempt.target).tokens
            events = self._pacing.paced(events, ticket, tokens)
        return Running(ticket, events, self._watch, self._clock, self._estimate)

    def _stamped(self, event: ChatResponse) -> ChatResponse:
        if self._generation:
            event.generation = self._generation
        return event

    def _estimate(self, output_size_bytes: int) -> Usage:
        return Usage(
            input_tokens=self._prompt_tokens,
            output_tokens=-(-output_size_bytes // BYTES_PER_TOKEN),
            estimated=True,
        )

    def _interrupted(self, failure: ProviderFailure) -> GatewayError:
        return GatewayError(
            ErrorReason.ERROR_REASON_STREAM_INTERRUPTED,
            "the provider's stream broke after output had begun",
            detail=str(failure),
            attempts=self._tried.told,
            output_started=True,
            usage=self._watch.usage,
        )


def _can_continue(capabilities: frozenset[Capability.ValueType]) -> bool:
    return Capability.CAPABILITY_PREFILL in capabilities
