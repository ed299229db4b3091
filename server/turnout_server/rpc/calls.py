"""Runs one RPC: makes its Call, and maps every way it can end to one status, one record."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from turnout.v1.chat_service_pb2 import Finish, FinishReason
from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.call import Call, Method, Priority
from turnout_server.core.clock import Clock
from turnout_server.core.errors import GatewayError, Violation
from turnout_server.core.watch import Watch
from turnout_server.dispatch.admission import Admission
from turnout_server.rpc import status
from turnout_server.rpc.context import Context
from turnout_server.rpc.guard import mask
from turnout_server.rpc.identity import caller
from turnout_server.rpc.request_id import request_id

T = TypeVar("T")
NO_DEADLINE_S: Mapping[Method, float] = {
    Method.CHAT: 600.0,
    Method.COMPLETE_CHAT: 600.0,
    Method.EMBED: 60.0,
    Method.EMBED_STREAM: 3600.0,
}
"""How long a call may take whose caller set no deadline, or a later one."""
_TRACE_HEADERS = ("traceparent", "tracestate", "baggage")


class Asked(Protocol):
    """What every request message of a call has."""

    @property
    def model(self) -> str:
        """The model or alias asked for."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """The caller's own labels, for analytics."""
        ...

    def ByteSize(self) -> int:
        """What it weighs on the wire."""
        ...


class Epoch:
    """The calls that began under one configuration; `over` is set when the last has ended."""

    __slots__ = ("over", "under_way")

    def __init__(self) -> None:
        self.under_way = 0
        self.over = asyncio.Event()


class Calls:
    """The frame of every RPC that spends money. One for the process.

    `watch` makes the Watch of a call, with the observers that the app has introduced.
    """

    def __init__(self, admission: Admission, watch: Callable[[Call], Watch], clock: Clock) -> None:
        self._admission = admission
        self._watch = watch
        self._clock = clock
        self._epoch = Epoch()
        self._requests: dict[asyncio.Task[Any], Asked] = {}
        self._resetting: set[asyncio.Task[Any]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False

    async def serve(
        self,
        context: Context,
        method: Method,
        request: Asked,
        check: Callable[[], Sequence[Violation]],
        work: Callable[[Watch], Awaitable[T]],
    ) -> T | None:
        """Check the request, then do `work` within a place, a deadline and a watch.

        Returns what `work` returns, or None when the call failed: its status is set by then.
        """
        call = self._call(context, method, request)
        watch = self._watch(call)
        with self._counted(request) as task:
            watch.accepted()
            try:
                result = await self._run(call, watch, check, work)
            except GatewayError as error:
                _fail(context, error, watch)
                return None
            except asyncio.CancelledError:
                if task not in self._resetting:
                    self._record_cancel(call, watch)
                    raise
                task.uncancel()
                _fail(context, _short_of_memory(watch), watch)
                return None
            except Exception as bug:  # noqa: BLE001  masked, logged, and the record still kept
                mask(context, bug, call.request_id)
                watch.ended(
                    "INTERNAL", ErrorReason.ERROR_REASON_INTERNAL, detail=type(bug).__name__
                )
                return None
            watch.ended("OK", finish_reason=_finish_reason(result))
            return result

    async def drained(self) -> None:
        """Wait until every call has ended and is on record; see `stop`."""
        await self._idle.wait()

    def stop(self) -> None:
        """From now on a call that is cancelled was cancelled by us."""
        self._stopping = True

    def next_epoch(self) -> asyncio.Event:
        """Begin a new epoch; the event is set once every call that began before has ended."""
        before, self._epoch = self._epoch, Epoch()
        if not before.under_way:
            before.over.set()
        return before.over

    def reset_largest(self, share: float) -> int:
        """End this share of the calls, at least one if there is any: those whose requests weigh
        most, since what a call holds grows with its request. Returns how many.
        """
        tasks = sorted(
            self._requests.keys() - self._resetting,
            key=lambda task: self._requests[task].ByteSize(),
            reverse=True,
        )
        chosen = tasks[: max(1, int(len(tasks) * share))]
        for task in chosen:
            self._resetting.add(task)
            task.cancel()
        return len(chosen)

    async def _run(
        self,
        call: Call,
        watch: Watch,
        check: Callable[[], Sequence[Violation]],
        work: Callable[[Watch], Awaitable[T]],
    ) -> T:
        authorize(call)
        refuse(check())
        timer = asyncio.timeout(call.remaining_s(self._clock.monotonic()))
        with self._admission.place(call.priority):
            try:
                async with timer:
                    return await work(watch)
            except TimeoutError:
                if not timer.expired():
                    raise
                raise GatewayError(
                    ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED,
                    "the deadline passed before the answer was complete",
                    output_started=watch.first_output_s is not None,
                    usage=watch.usage,
                ) from None

    def _call(self, context: Context, method: Method, request: Asked) -> Call:
        metadata = _first_values(context.invocation_metadata() or ())
        now = self._clock.monotonic()
        most_s = NO_DEADLINE_S[method]
        given_s: float | None = context.time_remaining()
        identity = caller.get()
        batch = metadata.get("x-priority") == "batch"
        return Call(
            request_id=request_id(metadata.get("x-request-id", "")),
            method=method,
            identity=identity,
            deadline=now + (most_s if given_s is None else min(given_s, most_s)),
            started=now,
            model=request.model,
            priority=Priority.BATCH if batch else identity.priority,
            labels=dict(request.labels),
            trace_headers={name: metadata[name] for name in _TRACE_HEADERS if name in metadata},
            idempotency_key=metadata.get("idempotency-key", ""),
        )

    def _record_cancel(self, call: Call, watch: Watch) -> None:
        """grpc cancels the handler for each of three reasons, and does not say which."""
        if call.remaining_s(self._clock.monotonic()) <= 0:
            watch.ended("DEADLINE_EXCEEDED", ErrorReason.ERROR_REASON_DEADLINE_EXCEEDED)
        elif self._stopping:
            watch.ended("UNAVAILABLE", ErrorReason.ERROR_REASON_SHUTTING_DOWN)
        else:
            watch.ended("CANCELLED")

    @contextmanager
    def _counted(self, request: Asked) -> Iterator[asyncio.Task[Any]]:
        task, epoch = asyncio.current_task(), self._epoch
        assert task is not None
        self._requests[task] = request
        epoch.under_way += 1
        self._idle.clear()
        try:
            yield task
        finally:
            del self._requests[task]
            self._resetting.discard(task)
            epoch.under_way -= 1
            if not epoch.under_way and epoch is not self._epoch:
                epoch.over.set()
            if not self._requests:
                self._idle.set()


def _fail(context: Context, error: GatewayError, watch: Watch) -> None:
    # On record first: whatever goes wrong in telling it, the call has ended.
    code = status.code_of(error).name
    watch.ended(code, error.reason, detail=error.detail or error.public)
    status.fail(context, error, watch.call.request_id)


def authorize(call: Call) -> None:
    """Refuse a method or model that the caller's key does not allow, before any look-up."""
    identity = call.identity
    if identity.allowed_methods is not None and call.method not in identity.allowed_methods:
        raise GatewayError(
            ErrorReason.ERROR_REASON_FORBIDDEN, f"this key may not call {call.method}"
        )
    allow_model(call, call.model)


def allow_model(call: Call, model: str) -> None:
    """Refuse one model that the caller's key does not allow."""
    allowed = call.identity.allowed_models
    if allowed is not None and model not in allowed:
        raise GatewayError(
            ErrorReason.ERROR_REASON_FORBIDDEN, "this key may not use the model that was asked for"
        )


def _short_of_memory(watch: Watch) -> GatewayError:
    """Why a call was ended by us: another instance may take it, unless output is out already."""
    if watch.first_output_s is None:
        return GatewayError(
            ErrorReason.ERROR_REASON_OVERLOADED,
            "this instance is short of memory; another may take the call",
        )
    return GatewayError(
        ErrorReason.ERROR_REASON_STREAM_INTERRUPTED,
        "this instance is short of memory and gave the answer up",
        output_started=True,
        usage=watch.usage,
    )


def refuse(violations: Sequence[Violation]) -> None:
    """Raise INVALID_REQUEST naming every broken rule at once, if there is one."""
    if not violations:
        return
    first = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    raise GatewayError(
        ErrorReason.ERROR_REASON_INVALID_REQUEST,
        f"{first.field}: {first.description}{more}",
        violations=violations,
    )


def _first_values(metadata: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    values: dict[str, str] = {}
    for key, value in metadata:
        if isinstance(value, str):
            values.setdefault(key, value)
    return values


def _finish_reason(result: object) -> str:
    finish = getattr(result, "finish", result)
    if not isinstance(finish, Finish):
        return ""
    return FinishReason.Name(finish.reason).removeprefix("FINISH_REASON_")
