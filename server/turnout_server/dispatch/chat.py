"""One chat, from the admitted request to its last event.

    rank the targets -> acquire one that speaks -> relay it to the caller -> finish

Everything upstream happens inside `Chat.stream`; a caller that closes it closes the upstream.
"""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing

from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse
from turnout.v1.errors_pb2 import AttemptFailure, ErrorReason
from turnout.v1.routing_pb2 import MidStreamPolicy
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.clock import Clock
from turnout_server.core.errors import GatewayError
from turnout_server.core.failure import ProviderFailure
from turnout_server.core.watch import AttemptOutcome, Watch
from turnout_server.dispatch.acquire import Acquiring, Committed, Tried
from turnout_server.dispatch.request import limits_of, output_bytes, shown_events, whole
from turnout_server.dispatch.running import Running
from turnout_server.dispatch.snapshot import Current, Snapshot
from turnout_server.policy.attempts import Limits, Plan, plan
from turnout_server.policy.health import Health, Ticket
from turnout_server.policy.needs import BYTES_PER_TOKEN, needs_of_chat, prompt_tokens
from turnout_server.policy.targets import Ranking, rank

_POLICY = MidStreamPolicy


class Chat:
    """Answers chats by the providers of the current snapshot. One for the process."""

    def __init__(self, current: Current, health: Health, clock: Clock, rng: random.Random) -> None:
        self._current = current
        self._health = health
        self._clock = clock
        self._rng = rng

    async def stream(
        self, request: ChatRequest, watch: Watch, *, unary: bool = False
    ) -> AsyncGenerator[ChatResponse, None]:
        """The events of one answer: failures and the route as they happen, output, `finish` last.

        With `unary` the provider is asked for the answer in one piece, and all of it is in
        `finish.message`. `route` always comes first of what is committed; showing it to the caller
        is up to the RPC. Raises GatewayError.
        """
        answering = _Answering(self, self._current(), request, watch, unary=unary)
        async with aclosing(answering.events()) as events:
            async for event in events:
                yield event

    def rank(self, request: ChatRequest, snapshot: Snapshot, *, unary: bool) -> Ranking:
        """The targets for this request, first to last."""
        now = self._clock.monotonic()
        return rank(
            request.model,
            request.routing,
            needs_of_chat(request, streamed=not unary),
            snapshot.routes,
            slowness=lambda target: self._health.slowness(target, now),
            rng=self._rng,
        )

    def plan(self, ranking: Ranking, limits: Limits) -> Plan:
        """What to try for this request."""
        return plan(ranking.targets, limits, self._health, self._clock.monotonic, self._rng)

    @property
    def clock(self) -> Clock:
        """The clock of every timer here."""
        return self._clock


class _Answering:
    """The state of one answer while it is made."""

    def __init__(
        self, chat: Chat, snapshot: Snapshot, request: ChatRequest, watch: Watch, *, unary: bool
    ) -> None:
        self._snapshot = snapshot
        self._request = request
        self._watch = watch
        self._unary = unary
        self._clock = chat.clock
        ranking = chat.rank(request, snapshot, unary=unary)
        self._policy = request.routing.mid_stream_policy or ranking.alias.mid_stream
        self._shown = shown_events(request)
        self._pace_s = request.stream.coalesce.ToNanoseconds() / 1e9
        self._prompt_tokens = prompt_tokens(request)
        self._generation = 0
        self._tried = Tried()
        self._acquiring = Acquiring(
            chat.plan(ranking, limits_of(request, ranking, watch.call.deadline, unary=unary)),
            self._open,
            self._is_shown,
            alias=ranking.alias,
            tried=self._tried,
            clock=chat.clock,
        )

    async def events(self) -> AsyncGenerator[ChatResponse, None]:
        failure: ProviderFailure | None = None
        while True:
            running: Running[ChatResponse] | None = None
            try:
                async with aclosing(self._steps(failure)) as steps:
                    async for step in steps:
                        if isinstance(step, AttemptFailure):
                            yield ChatResponse(attempt_failed=step)
                            continue
                        running = step.running
                        async with aclosing(self._relay(step)) as events:
                            async for event in events:
                                yield event
                        return
            except ProviderFailure as broken:
                assert running is not None
                failure = broken
                failure.output_started = True
                self._acquiring.note(running, broken)
                await running.end(AttemptOutcome.FAILED, broken)
                if self._policy != _POLICY.MID_STREAM_POLICY_RESTART:
                    raise self._interrupted(broken) from None
                self._generation += 1
            finally:
                if running is not None:
                    await running.end(AttemptOutcome.CANCELLED)

    async def _steps(
        self, failure: ProviderFailure | None
    ) -> AsyncGenerator[AttemptFailure | Committed[ChatResponse], None]:
        try:
            async with aclosing(self._acquiring.steps(failure)) as steps:
                async for step in steps:
                    yield step
        except GatewayError as error:
            if failure is None:
                raise
            raise self._interrupted(failure) from error

    async def _relay(
        self, committed: Committed[ChatResponse]
    ) -> AsyncGenerator[ChatResponse, None]:
        """Everything from the commit point to `finish`."""
        running = committed.running
        request_id = running.receipt.provider_request_id
        route = self._watch.first_output(running.attempt, request_id)
        yield self._stamped(ChatResponse(route=route))
        event = committed.first
        while True:
            kind = event.WhichOneof("event")
            if kind == "finish":
                yield await self._finish(running, event)
                return
            running.output_bytes += output_bytes(event, kind)
            if kind in self._shown:
                yield self._stamped(event)
                if self._pace_s:
                    # What arrives meanwhile waits in the socket and is read, decoded and sent as
                    # one: pacing the reads is all that joining needs.
                    await asyncio.sleep(self._pace_s)
            event = await running.next()

    async def _finish(self, running: Running[ChatResponse], event: ChatResponse) -> ChatResponse:
        finish = event.finish
        usage = Usage()
        usage.CopyFrom(finish.usage)
        running.usage = running.priced(usage)
        await running.end(AttemptOutcome.OK)
        finish.usage.CopyFrom(self._watch.usage)
        finish.route.CopyFrom(self._watch.route)
        finish.route.attempts = self._tried.attempts
        finish.time_to_first_output.FromNanoseconds(
            round((self._watch.first_output_s or 0.0) * 1e9)
        )
        if not (self._unary or self._request.stream.final_message):
            finish.ClearField("message")
        return self._stamped(event)

    def _open(self, ticket: Ticket) -> Running[ChatResponse]:
        attempt = ticket.attempt
        provider = self._snapshot.providers[attempt.target.provider]
        if self._unary:
            events = whole(provider.complete(self._request, attempt))
        else:
            events = provider.chat(self._request, attempt)
        return Running(ticket, events, self._watch, self._clock, self._estimate)

    def _is_shown(self, event: ChatResponse) -> bool:
        return event.WhichOneof("event") in self._shown

    def _stamped(self, event: ChatResponse) -> ChatResponse:
        if self._generation:
            event.generation = self._generation
        return event

    def _estimate(self, output_bytes: int) -> Usage:
        return Usage(
            input_tokens=self._prompt_tokens,
            output_tokens=-(-output_bytes // BYTES_PER_TOKEN),
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
