"""Observation of a call: five facts, told to synchronous observers that cannot steer it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.routing_pb2 import CacheStatus, Route
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.call import Call, Method
from turnout_server.core.clock import SYSTEM_CLOCK
from turnout_server.core.failure import ProviderFailure
from turnout_server.core.target import Attempt
from turnout_server.core.usage import add_usage


class AttemptOutcome(StrEnum):
    """How one attempt ended."""

    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"
    HEDGE_LOST = "hedge_lost"


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try that is over. Durations in seconds; `started` is monotonic."""

    attempt: Attempt
    outcome: AttemptOutcome
    started: float
    duration_s: float
    first_output_s: float | None = None
    failure: ProviderFailure | None = None
    provider_request_id: str = ""
    usage: Usage | None = None
    output_started: bool = False


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call that is over. `code` is the gRPC status name; `reason` is UNSPECIFIED when OK."""

    code: str
    reason: ErrorReason.ValueType
    duration_s: float
    first_output_s: float | None = None
    route: Route = field(default_factory=Route)
    usage: Usage = field(default_factory=Usage)
    finish_reason: str = ""
    attempts: int = 0
    cache_hits: int = 0
    embed_inputs: int = 0
    upstream_calls: int = 0
    saved_nano_usd: int = 0
    detail: str = ""


class Observer:
    """Hears what happens to calls. Methods run on the event loop: they must be quick and not block.

    A subclass overrides what it cares for. What it raises is contained and counted.
    """

    def accepted(self, call: Call) -> None:
        """The call was authenticated and is about to be validated and run."""

    def attempt_ended(self, call: Call, record: AttemptRecord) -> None:
        """One upstream attempt is over, whatever its outcome; told exactly once for each."""

    def first_output(self, call: Call, attempt: Attempt, elapsed_s: float) -> None:
        """The call's first output is on its way to the caller."""

    def cache_hit(self, call: Call, saved: Usage) -> None:
        """The answer came from the cache; `saved` is what it had cost the first time."""

    def ended(self, call: Call, record: CallRecord) -> None:
        """The call is over; told exactly once, also when it was cancelled."""


class Watch:
    """Tells every observer of one call's facts, so that none of them can hurt the call.

    It also keeps the sums that the call's record is made of: each attempt's usage, once. The
    counts of embeddings (texts, upstream calls, texts found in the cache) are set by their flow.
    """

    def __init__(
        self,
        call: Call,
        observers: Sequence[Observer] = (),
        on_error: Callable[[Observer, Exception], None] = lambda *_: None,
        monotonic: Callable[[], float] = SYSTEM_CLOCK.monotonic,
    ) -> None:
        self.call = call
        self.usage = Usage()
        self.route = Route()
        self.attempts = 0
        self.first_output_s: float | None = None
        self.embed_inputs = 0
        self.upstream_calls = 0
        self.cache_hits = 0
        self.saved_nano_usd = 0
        self.cache_status = CacheStatus.CACHE_STATUS_BYPASS
        self._observers = observers
        self._on_error = on_error
        self._monotonic = monotonic
        self._over = False

    def accepted(self) -> None:
        """See `Observer.accepted`."""
        self._tell(lambda observer: observer.accepted(self.call))

    def attempt_ended(self, record: AttemptRecord) -> None:
        """See `Observer.attempt_ended`."""
        self.attempts += 1
        if record.usage is not None:
            add_usage(self.usage, record.usage)
        self._tell(lambda observer: observer.attempt_ended(self.call, record))

    def first_output(self, attempt: Attempt, provider_request_id: str = "") -> Route:
        """See `Observer.first_output`. Returns the route as the caller is told of it."""
        elapsed_s = self._monotonic() - self.call.started
        if self.first_output_s is None:
            self.first_output_s = elapsed_s
        self.route = Route(
            provider=attempt.target.provider,
            model=attempt.target.model,
            cache_status=self.cache_status,
            attempts=attempt.number,
            provider_request_id=provider_request_id,
        )
        self._tell(lambda observer: observer.first_output(self.call, attempt, elapsed_s))
        return self.route

    def aside(self, deadline: float, *, method: Method | None = None, model: str = "") -> "Watch":
        """A watch of the same call with sums of its own: for work that may outlive its caller, or
        that is of another kind than the call.
        """
        call = replace(
            self.call,
            deadline=deadline,
            method=method or self.call.method,
            model=model or self.call.model,
        )
        return Watch(call, self._observers, self._on_error, self._monotonic)

    def served(self, route: Route, status: CacheStatus.ValueType) -> Route:
        """The caller is served by what others asked for; returns the route it is told of."""
        if self.first_output_s is None:
            self.first_output_s = self._monotonic() - self.call.started
        self.route = Route()
        self.route.CopyFrom(route)
        self.route.cache_status = status
        return self.route

    def upstream_called(self, attempt: Attempt) -> None:
        """A provider is being called for texts to embed; `attempt` says which."""
        self.upstream_calls += 1

    def cache_hit(self, saved: Usage, count: int = 1) -> None:
        """See `Observer.cache_hit`; an embedding call may find any number of its texts."""
        self.cache_hits += count
        self.saved_nano_usd += saved.cost_nano_usd
        self._tell(lambda observer: observer.cache_hit(self.call, saved))

    def ended(
        self,
        code: str,
        reason: ErrorReason.ValueType = ErrorReason.ERROR_REASON_UNSPECIFIED,
        *,
        finish_reason: str = "",
        detail: str = "",
    ) -> None:
        """See `Observer.ended`; `code` is the gRPC status name. A second call does nothing."""
        if self._over:
            return
        self._over = True
        record = CallRecord(
            code=code,
            reason=reason,
            duration_s=self._monotonic() - self.call.started,
            first_output_s=self.first_output_s,
            route=self.route,
            usage=self.usage,
            finish_reason=finish_reason,
            attempts=self.attempts,
            cache_hits=self.cache_hits,
            embed_inputs=self.embed_inputs,
            upstream_calls=self.upstream_calls,
            saved_nano_usd=self.saved_nano_usd,
            detail=detail,
        )
        self._tell(lambda observer: observer.ended(self.call, record))

    def _tell(self, fact: Callable[[Observer], None]) -> None:
        for observer in self._observers:
            try:
                fact(observer)
            except Exception as error:  # noqa: BLE001  an observer's bug is never the call's
                self._on_error(observer, error)
