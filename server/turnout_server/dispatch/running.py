"""One upstream attempt under way: its stream, its timers, and the one record it leaves behind."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar

from turnout.v1.errors_pb2 import AttemptFailure
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.clock import Clock
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.receipt import Receipt
from turnout_server.core.usage import is_plausible
from turnout_server.core.watch import AttemptOutcome, AttemptRecord, Watch
from turnout_server.dispatch.patience import Patience
from turnout_server.policy.pricing import cost_nano_usd
from turnout_server.policy.ticket import Ticket

T = TypeVar("T")


class Running(Generic[T]):
    """Owns an open upstream stream. Whoever holds it must `end` it, once, on every way out.

    `output_bytes` is what the holder has seen of the answer so far; `estimate` turns it into usage
    for a stream that dies before its provider has counted.
    """

    def __init__(
        self,
        ticket: Ticket,
        events: AsyncGenerator[T | Receipt, None],
        watch: Watch,
        clock: Clock,
        estimate: Callable[[int], Usage],
    ) -> None:
        self.ticket = ticket
        self.attempt = ticket.attempt
        self.receipt = Receipt()
        self.output_bytes = 0
        self.usage: Usage | None = None
        self._events = events
        self._watch = watch
        self._clock = clock
        self._estimate = estimate
        self._started = clock.monotonic()
        self._ends = self._started + self.attempt.target.endpoint.timeouts.total_s
        self._spoke = self._started
        self._first_output_s: float | None = None
        self._patience = Patience()
        self._over = False

    async def first(self, visible: Callable[[T], bool]) -> T:
        """The first event that the caller would see; raises ProviderFailure when none comes.

        Output the caller did not ask for (thinking, argument deltas) shows life: it swaps the
        first-output timer for the stall timer, yet it commits nothing.
        """
        timer = asyncio.timeout(self._at_most(self.attempt.first_output_s))
        try:
            async with timer:
                async for event in self._events:
                    if isinstance(event, Receipt):
                        self._note(event)
                        continue
                    if visible(event):
                        self._spoke = self._clock.monotonic()
                        self._first_output_s = self._spoke - self._started
                        self.ticket.first_output(self._first_output_s)
                        return event
                    stall_s = self._at_most(self.attempt.stall_s)
                    timer.reschedule(asyncio.get_running_loop().time() + stall_s)
        except TimeoutError:
            raise ProviderFailure(
                FailureKind.TIMEOUT, "no output before the first-output timer ran out"
            ) from None
        raise ProviderFailure(FailureKind.ERROR, "the answer ended before it began")

    async def next(self) -> T:
        """The next event; raises ProviderFailure when the stream stalls, breaks or just ends."""
        # What its reader took over the last event is none of the provider's time.
        self._ends += self._clock.monotonic() - self._spoke
        self._patience.begin(self._at_most(self.attempt.stall_s))
        try:
            async for event in self._events:
                if not isinstance(event, Receipt):
                    self._spoke = self._clock.monotonic()
                    return event
                self._note(event)
        except (asyncio.CancelledError, TimeoutError) as error:
            if not self._patience.end() and isinstance(error, asyncio.CancelledError):
                raise
            raise ProviderFailure(
                FailureKind.TIMEOUT, "the stream stalled or took longer than an answer may"
            ) from None
        finally:
            self._patience.end()
        raise ProviderFailure(FailureKind.ERROR, "the stream ended without a terminal event")

    def settle(self, outcome: AttemptOutcome, failure: ProviderFailure | None = None) -> None:
        """Free what the attempt held and tell observers; the first outcome counts.

        The stream stays open: `end` must follow.
        """
        if self._over:
            return
        self._over = True
        self._patience.stop()
        self._give_back(outcome, failure)
        self._watch.attempt_ended(self._record(outcome, failure))

    async def end(self, outcome: AttemptOutcome, failure: ProviderFailure | None = None) -> None:
        """Settle and hang up; a second call does nothing.

        It settles first, so that a cancel while closing loses nothing.
        """
        self.settle(outcome, failure)
        await self._events.aclose()

    def spent(self) -> Usage:
        """What this attempt has cost so far: counted by the provider if it did, else estimated."""
        if self.usage is None:
            counted = self.receipt.usage
            if counted is None or counted.output_tokens == 0 or not is_plausible(counted):
                usage = self._estimate(self.output_bytes)
                if counted is not None and is_plausible(counted):
                    usage.MergeFrom(_input_of(counted))
            else:
                usage = Usage()
                usage.CopyFrom(counted)
            self.usage = self.priced(usage)
        return self.usage

    def book(self, counted: Usage, answer_bytes: int) -> None:
        """Take what the provider counted for its whole answer; an estimate if that is nonsense."""
        usage = Usage()
        usage.CopyFrom(counted)
        if not is_plausible(counted) or (counted.estimated and not counted.input_tokens):
            usage = self._estimate(answer_bytes)
        self.usage = self.priced(usage)

    def priced(self, usage: Usage) -> Usage:
        """The same usage with its cost filled in, where the price is known."""
        cost = cost_nano_usd(self.attempt.target.card.price, usage)
        if cost is not None:
            usage.cost_nano_usd = cost
        return usage

    def failure_told(self, failure: ProviderFailure) -> AttemptFailure:
        """The failure as the caller may see it: never a word of prompt or answer."""
        told = AttemptFailure(
            attempt=self.attempt.number,
            provider=self.attempt.target.provider,
            model=self.attempt.target.model,
            reason=failure.rule.reason,
            http_status=failure.http_status,
            provider_request_id=failure.provider_request_id or self.receipt.provider_request_id,
            message=failure.kind.name.lower().replace("_", " "),
        )
        told.duration.FromNanoseconds(round((self._clock.monotonic() - self._started) * 1e9))
        return told

    def _at_most(self, wait_s: float) -> float:
        """The wait, cut by what is left of the time that a whole answer may take."""
        return min(wait_s, self._ends - self._clock.monotonic())

    def _note(self, receipt: Receipt) -> None:
        if receipt.rest_s is not None:
            self.ticket.rest(receipt.rest_s, self._clock.monotonic())
        self.receipt = Receipt(
            receipt.provider_request_id or self.receipt.provider_request_id,
            receipt.usage or self.receipt.usage,
        )

    def _give_back(self, outcome: AttemptOutcome, failure: ProviderFailure | None) -> None:
        now = self._clock.monotonic()
        if outcome is AttemptOutcome.OK:
            self.ticket.succeed(now)
        elif failure is not None:
            self.ticket.fail(failure, now)
        else:
            self.ticket.release(now)

    def _record(self, outcome: AttemptOutcome, failure: ProviderFailure | None) -> AttemptRecord:
        started_output = self._first_output_s is not None
        cost_money = started_output or self.receipt.usage is not None or _was_sent(outcome, failure)
        return AttemptRecord(
            attempt=self.attempt,
            outcome=outcome,
            started=self._started,
            duration_s=self._clock.monotonic() - self._started,
            first_output_s=self._first_output_s,
            failure=failure,
            provider_request_id=self.receipt.provider_request_id,
            usage=self.spent() if cost_money else None,
            output_started=started_output,
        )


def _was_sent(outcome: AttemptOutcome, failure: ProviderFailure | None) -> bool:
    """Whether the provider has our prompt and will charge for it though it never answered."""
    if failure is not None:
        return failure.kind is FailureKind.TIMEOUT
    return outcome is not AttemptOutcome.FAILED


def _input_of(counted: Usage) -> Usage:
    """The input half of a usage that was reported when the answer began."""
    return Usage(
        input_tokens=counted.input_tokens,
        cache_read_input_tokens=counted.cache_read_input_tokens,
        cache_write_input_tokens=counted.cache_write_input_tokens,
    )
