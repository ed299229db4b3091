"""Each invariant is shown to hold, and shown to notice when it does not."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from tests.fault.invariants import MIB, CallLog, Invariants, InvariantViolated, Probes
from tests.fault.upstream import FaultServer
from tests.unit.fault_harness.raw_client import ask

SECRET = "sk-canary"


@dataclass(slots=True)
class Books:
    """A stand-in for a server's counters."""

    counts: dict[str, int] = field(default_factory=dict)
    log: str = ""
    is_healthy: bool = True

    def probes(self) -> Probes:
        names = Probes().unchecked()
        counts = {name: 0 for name in names if name not in ("calls", "sinks", "normal_request")}
        self.counts = counts
        reads = {name: lambda name=name: self.counts[name] for name in counts}
        return Probes(
            calls=CallLog(), sinks={"log": lambda: self.log}, normal_request=self.ask, **reads
        )

    async def ask(self) -> None:
        assert self.is_healthy


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
async def invariants(books: Books) -> AsyncIterator[Invariants]:
    async with Invariants(books.probes(), canaries=[SECRET], spare_descriptors=2) as checked:
        checked.baseline()
        yield checked


@contextmanager
def violated(message: str) -> Iterator[None]:
    with pytest.raises(InvariantViolated, match=message):
        yield


async def test_all_hold_when_nothing_happened(invariants: Invariants, books: Books) -> None:
    await invariants.settled(0.1)
    assert books.probes().unchecked() == []
    assert "permits_held" in replace(books.probes(), permits_held=None).unchecked()


async def test_a_call_ends_exactly_once() -> None:
    calls = CallLog()
    async with Invariants(Probes(calls=calls)) as invariants:
        invariants.baseline()
        call = calls.begin()
        with violated("1: call 0 ended 0 times"):
            await invariants.settled(0.05)
        calls.end(call, "OK")
        await invariants.settled(0.05)
        calls.end(call, "CANCELLED")
        with violated(r"1: call 0 ended 2 times: \['OK', 'CANCELLED'\]"):
            await invariants.settled(0.05)


@pytest.mark.parametrize("level", ["upstream_active", "permits_held", "flights_open"])
async def test_levels_return_to_baseline(invariants: Invariants, books: Books, level: str) -> None:
    books.counts[level] = 1
    asyncio.get_running_loop().call_later(0.05, books.counts.update, {level: 0})
    await invariants.settled(1)
    books.counts[level] = 1
    with violated(f"2: {level} is 1, was 0"):
        await invariants.settled(0.05)


async def test_a_leaked_task_is_named(invariants: Invariants) -> None:
    leak = asyncio.create_task(asyncio.sleep(60), name="leaked-watcher")
    with violated("2: .* tasks, .*leaked-watcher"):
        await invariants.settled(0.05)
    leak.cancel()
    await invariants.settled(1)


async def test_the_harness_own_tasks_and_idle_connections_do_not_count(
    server: FaultServer, invariants: Invariants
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    while not server.open_connections:
        await asyncio.sleep(0.005)
    await invariants.settled(0.05)
    writer.close()
    assert not await reader.read()


async def test_leaked_descriptors_count(invariants: Invariants) -> None:
    leaks = [os.dup(0) for _ in range(3)]
    with violated("2: .* descriptors"):
        await invariants.settled(0.05)
    for leak in leaks:
        os.close(leak)
    await invariants.settled(0.05)


async def test_sockets_left_by_their_peer_count(invariants: Invariants) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
        theirs.close()
        with violated("2: 1 sockets left by their peer"):
            await invariants.settled(0.05)
        ours.close()
    await invariants.settled(0.05)


@pytest.mark.parametrize(
    ("number", "one", "other"),
    [
        (3, "reservations_settled", "reservations_made"),
        (3, "ledger_total", "usage_total"),
        (4, "attempt_records", "upstream_calls"),
        (4, "spans_ended", "spans_started"),
    ],
)
async def test_what_belongs_together_grows_together(
    invariants: Invariants, books: Books, number: int, one: str, other: str
) -> None:
    books.counts[one] += 2
    with violated(f"{number}: {one} grew by 2, {other} by 0"):
        await invariants.settled(0.05)
    books.counts[other] += 2
    await invariants.settled(0.05)


async def test_a_canary_is_found_in_a_sink_and_in_status_text(books: Books) -> None:
    probes = books.probes()
    assert probes.calls is not None
    async with Invariants(probes, canaries=[SECRET]) as invariants:
        invariants.baseline()
        probes.calls.end(probes.calls.begin(), "INTERNAL", f"boom {SECRET}")
        books.log = f"key={SECRET}"
        with violated("5: canary 0 is in log: …key=<here>…\n5: canary 0 is in status"):
            await invariants.settled(0.05)


async def test_memory_growth_is_bounded_even_when_freed_again(invariants: Invariants) -> None:
    ballast = bytearray(os.urandom(1)) * (24 * MIB)
    await asyncio.sleep(0.2)
    del ballast
    with violated("6: memory grew by"):
        await invariants.settled(0.05, max_rss_growth_bytes=16 * MIB)
    await invariants.settled(0.05, max_rss_growth_bytes=64 * MIB)


async def test_a_blocked_loop_is_noticed(invariants: Invariants) -> None:
    await asyncio.sleep(0.03)
    time.sleep(0.3)  # noqa: ASYNC251  the very mistake the sampler is there to notice
    await asyncio.sleep(0.03)
    with violated("6: the event loop lagged"):
        await invariants.settled(0.05)


async def test_the_next_normal_request_must_succeed(invariants: Invariants, books: Books) -> None:
    books.is_healthy = False
    with violated("7: the next normal request failed"):
        await invariants.settled(0.05)


async def test_every_violation_is_listed(invariants: Invariants, books: Books) -> None:
    books.counts |= {"permits_held": 1, "spans_started": 1}
    with violated("2: permits_held is 1, was 0\n4: spans_ended grew by 0, spans_started by 1"):
        await invariants.settled(0.05)


async def test_a_fault_against_the_fault_server_settles(server: FaultServer) -> None:
    async def ask_normally() -> None:
        assert (await ask(server.port, "openai_chat", "m")).end == "complete"

    probes = Probes(upstream_active=lambda: server.active_requests, normal_request=ask_normally)
    await ask_normally()
    async with Invariants(probes) as invariants:
        for script in ("hang", "rst", "garbage", "slowhdr", "trunc"):
            invariants.baseline()
            await ask(server.port, "openai_chat", f"fault:{script}", within_s=0.05)
            await invariants.settled()
