"""The seven invariants that hold after every fault, whatever the fault was.

1. Each call ends with exactly one terminal status.
2. Upstream requests, permits, single-flight entries, tasks and descriptors return to baseline.
3. Each reservation is settled once, and the ledger is the sum of the usage records.
4. There is one attempt record per upstream call, and every span has ended.
5. Neither canary is in any log, span, metric or status text.
6. Memory stays within the test's bound, and the event loop never lags 250 ms.
7. The next normal request succeeds.

The class knows nothing of the server: what it reads is passed as callables.
"""

import asyncio
import contextlib
import weakref
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

import psutil

from tests.fault.pulse import Pulse

Count = Callable[[], float]
Text = Callable[[], str]

MIB = 1 << 20
HARNESS_TASKS = ("faultd", "tcpx")

_POLL_S = 0.02


class InvariantViolated(AssertionError):
    """At least one invariant does not hold; the message lists every one that does not."""


@dataclass(slots=True)
class CallLog:
    """What the test's clients saw: each call begun, and each terminal status it was given."""

    statuses: list[list[str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def begin(self) -> int:
        """Note a new call; the number is for `end`."""
        self.statuses.append([])
        return len(self.statuses) - 1

    def end(self, call: int, code: str, text: str = "") -> None:
        """Note a terminal status and all text (message, details, trailers) that came with it."""
        self.statuses[call].append(code)
        self.texts.append(text)

    def violations(self) -> Iterator[str]:
        """The calls that have not ended exactly once."""
        for call, codes in enumerate(self.statuses):
            if len(codes) != 1:
                yield f"1: call {call} ended {len(codes)} times: {codes}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """What can be read of the system under test; None is not checked, and `unchecked` names it.

    Counts of (2) are levels; all others only ever grow, and are compared since the baseline.
    `pooled_descriptors` are those of idle connections kept for the next request: no leak.
    """

    calls: CallLog | None = None
    upstream_active: Count | None = None
    pooled_descriptors: Count | None = None
    permits_held: Count | None = None
    flights_open: Count | None = None
    reservations_made: Count | None = None
    reservations_settled: Count | None = None
    ledger_total: Count | None = None
    usage_total: Count | None = None
    upstream_calls: Count | None = None
    attempt_records: Count | None = None
    spans_started: Count | None = None
    spans_ended: Count | None = None
    sinks: Mapping[str, Text] | None = None
    normal_request: Callable[[], Awaitable[object]] | None = None

    def unchecked(self) -> list[str]:
        """Names of the probes that are missing."""
        return [probe.name for probe in fields(self) if getattr(self, probe.name) is None]


_LEVELS = ("upstream_active", "permits_held", "flights_open")
_EQUAL_GROWTH = (
    ("3", "reservations_settled", "reservations_made"),
    ("3", "ledger_total", "usage_total"),
    ("4", "attempt_records", "upstream_calls"),
    ("4", "spans_ended", "spans_started"),
)


@dataclass(frozen=True, slots=True)
class _Baseline:
    counts: Mapping[str, float]
    task_count: int
    tasks: weakref.WeakSet[asyncio.Task[Any]]
    descriptors: int
    unclosed_sockets: int
    rss_bytes: int


class Invariants:
    """Checks the seven invariants around one fault; an async context manager.

    async with Invariants(probes, canaries=[key, prompt]) as invariants:
        invariants.baseline()          # after a warm-up request
        ...                            # the fault
        await invariants.settled()

    `spare_descriptors` allows for idle pooled connections, both ends of which are ours in a test.
    Tasks whose name begins with one of `ignored_tasks` are not counted.
    """

    def __init__(
        self,
        probes: Probes,
        *,
        canaries: Sequence[str] = (),
        max_loop_lag_s: float = 0.25,
        spare_descriptors: int = 8,
        ignored_tasks: Sequence[str] = HARNESS_TASKS,
    ) -> None:
        self._probes = probes
        self._canaries = canaries
        self.max_loop_lag_s = max_loop_lag_s
        self._spare_descriptors = spare_descriptors
        self._ignored_tasks = tuple(ignored_tasks)
        self._process = psutil.Process()
        self._baseline: _Baseline | None = None
        self.pulse = Pulse()

    async def __aenter__(self) -> Self:
        await self.pulse.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.pulse.__aexit__(*exc_info)

    def baseline(self) -> None:
        """Take the present state as the one to return to."""
        tasks = self._tasks()
        self.pulse.reset()
        self._baseline = _Baseline(
            counts=self._counts(),
            task_count=len(tasks),
            tasks=weakref.WeakSet(tasks),
            descriptors=self._descriptors(),
            unclosed_sockets=self._unclosed_sockets(),
            rss_bytes=self.pulse.rss_bytes(),
        )

    async def settled(
        self,
        within_s: float = 2.0,
        *,
        max_rss_growth_bytes: int = 32 * MIB,
        normal_request_within_s: float = 5.0,
    ) -> None:
        """Wait until every invariant holds again; raises InvariantViolated with those that do not.

        The normal request is made once the rest has settled, and must settle as well.
        """
        await self._settle(within_s, max_rss_growth_bytes)
        if self._probes.normal_request is not None:
            try:
                async with asyncio.timeout(normal_request_within_s):
                    await self._probes.normal_request()
            except Exception as error:
                raise InvariantViolated(f"7: the next normal request failed: {error!r}") from error
            await self._settle(within_s, max_rss_growth_bytes)
        # Last, since reading every sink may itself hold the loop.
        if leaks := [*self._leaks()]:
            raise InvariantViolated("\n".join(leaks))

    async def _settle(self, within_s: float, max_rss_growth_bytes: int) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while [*self._violations(max_rss_growth_bytes)]:
                    await asyncio.sleep(_POLL_S)
        if violations := [*self._violations(max_rss_growth_bytes)]:
            raise InvariantViolated("\n".join(violations))

    def _violations(self, max_rss_growth_bytes: int) -> Iterator[str]:
        before = self._require_baseline()
        if self._probes.calls is not None:
            yield from self._probes.calls.violations()
        yield from self._levels_off(before)
        yield from self._resources_held(before)
        yield from self._unequal_growth(before)
        yield from self._strain(before, max_rss_growth_bytes)

    def _levels_off(self, before: _Baseline) -> Iterator[str]:
        now = self._counts()
        for name in _LEVELS:
            if name in now and now[name] != before.counts[name]:
                yield f"2: {name} is {now[name]:g}, was {before.counts[name]:g}"

    def _resources_held(self, before: _Baseline) -> Iterator[str]:
        tasks = self._tasks()
        if len(tasks) > before.task_count:
            new = [f"{task.get_name()}: {task.get_coro()}" for task in tasks - {*before.tasks}]
            yield f"2: {len(tasks)} tasks, were {before.task_count}; new: {new}"
        descriptors = self._descriptors()
        if descriptors > before.descriptors + self._spare_descriptors:
            yield f"2: {descriptors} descriptors, were {before.descriptors}"
        unclosed = self._unclosed_sockets()
        if unclosed > before.unclosed_sockets:
            yield f"2: {unclosed} sockets left by their peer and not closed by us"

    def _unequal_growth(self, before: _Baseline) -> Iterator[str]:
        now = self._counts()
        for invariant, name, expected in _EQUAL_GROWTH:
            if name in now and expected in now:
                grown, wanted = (now[key] - before.counts[key] for key in (name, expected))
                if grown != wanted:
                    yield f"{invariant}: {name} grew by {grown:g}, {expected} by {wanted:g}"

    def _strain(self, before: _Baseline, max_rss_growth_bytes: int) -> Iterator[str]:
        growth_bytes = self.pulse.peak_rss_bytes - before.rss_bytes
        if growth_bytes > max_rss_growth_bytes:
            allowed_mib = max_rss_growth_bytes / MIB
            yield f"6: memory grew by {growth_bytes / MIB:.1f} MiB, allowed {allowed_mib:.1f}"
        if self.pulse.worst_lag_s >= self.max_loop_lag_s:
            yield f"6: the event loop lagged {self.pulse.worst_lag_s * 1000:.0f} ms"

    def _leaks(self) -> Iterator[str]:
        sinks = dict(self._probes.sinks or {})
        if (calls := self._probes.calls) is not None:
            sinks["status"] = lambda: "\n".join(calls.texts)
        for name, read in sinks.items():
            text = read()
            for number, canary in enumerate(self._canaries):
                if canary in text:
                    at = text.index(canary)
                    yield f"5: canary {number} is in {name}: …{text[max(0, at - 80) : at]}<here>…"

    def _counts(self) -> dict[str, float]:
        names = {*_LEVELS, *(name for _, *pair in _EQUAL_GROWTH for name in pair)}
        probes = {name: getattr(self._probes, name) for name in names}
        return {name: read() for name, read in probes.items() if read is not None}

    def _tasks(self) -> set[asyncio.Task[Any]]:
        current = asyncio.current_task()
        return {
            task
            for task in asyncio.all_tasks()
            if task is not current and not task.get_name().startswith(self._ignored_tasks)
        }

    def _descriptors(self) -> int:
        """Open descriptors without those that a pool keeps on purpose."""
        pooled = self._probes.pooled_descriptors
        return self._process.num_fds() - (int(pooled()) if pooled is not None else 0)

    def _unclosed_sockets(self) -> int:
        sockets = self._process.net_connections(kind="tcp")
        return sum(held.status == psutil.CONN_CLOSE_WAIT for held in sockets)

    def _require_baseline(self) -> _Baseline:
        assert self._baseline is not None, "call baseline() first"
        return self._baseline
