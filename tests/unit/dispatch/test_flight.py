"""Equal calls under way at once: one upstream answer, and nobody suffers for another."""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from turnout.v1.chat_service_pb2 import ChatResponse, Finish
from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.call import ANONYMOUS, Call, Method
from turnout_server.core.errors import GatewayError
from turnout_server.core.usage import add_usage
from turnout_server.core.watch import Watch
from turnout_server.dispatch.flight import Flights

KEY = b"key"
WORDS = [f"w{i} " for i in range(20)]


class Upstream:
    """Opens answers and counts them."""

    def __init__(
        self, gap_s: float = 0.0, error_at: int | None = None, close_s: float = 0.0
    ) -> None:
        self.opened = 0
        self.open_now = 0
        self._gap_s = gap_s
        self._error_at = error_at
        self._close_s = close_s

    async def open(self, watch: Watch) -> AsyncGenerator[ChatResponse, None]:
        self.opened += 1
        self.open_now += 1
        try:
            for i, word in enumerate(WORDS):
                await asyncio.sleep(self._gap_s)
                if i == self._error_at:
                    raise GatewayError(ErrorReason.ERROR_REASON_PROVIDER_ERROR, "broke")
                yield ChatResponse(text_delta=word)
        finally:
            # As an Answer does: booked before `finish` is told, and on every other way out.
            self.open_now -= 1
            add_usage(watch.usage, Usage(output_tokens=20))
            await asyncio.sleep(self._close_s)
        yield ChatResponse(finish=Finish())


def watch() -> Watch:
    return Watch(Call("id", Method.CHAT, ANONYMOUS, deadline=1e9, started=0.0))


async def read(flights: Flights, upstream: Upstream, own: Watch, stop_at: int = 99) -> str:
    text = ""
    events = flights.join(KEY, upstream.open, own, 1e9)
    async with aclosing(events):
        async for event, _ in events:
            text += event.text_delta
            stop_at -= 1
            if not stop_at:
                break
    return text


async def test_a_thousand_equal_calls_make_one_upstream_call() -> None:
    flights, upstream = Flights(), Upstream(gap_s=0.001)
    watches = [watch() for _ in range(1000)]
    texts = await asyncio.gather(*(read(flights, upstream, own) for own in watches))
    assert set(texts) == {"".join(WORDS)}
    assert (upstream.opened, len(flights)) == (1, 0)
    assert sum(own.usage.output_tokens for own in watches) == 20


async def test_who_joins_late_reads_from_the_beginning() -> None:
    flights, upstream = Flights(), Upstream(gap_s=0.002)
    first = asyncio.ensure_future(read(flights, upstream, watch()))
    await asyncio.sleep(0.02)
    assert await read(flights, upstream, watch()) == await first == "".join(WORDS)
    assert upstream.opened == 1


@pytest.mark.parametrize("seed", range(100))
async def test_a_leader_who_leaves_harms_nobody(seed: int) -> None:
    flights, upstream = Flights(), Upstream(gap_s=0.0002)
    leader_watch, followers = watch(), [watch() for _ in range(5)]
    leader = asyncio.ensure_future(read(flights, upstream, leader_watch))
    await asyncio.sleep(0)
    reading = [asyncio.ensure_future(read(flights, upstream, own)) for own in followers]
    await asyncio.sleep(random.Random(seed).uniform(0, 0.006))
    leader.cancel()
    texts = await asyncio.gather(*reading)
    assert set(texts) == {"".join(WORDS)}
    assert upstream.opened == 1
    everyone = [leader_watch, *followers]
    assert sum(own.usage.output_tokens for own in everyone) == 20


async def test_the_last_to_leave_closes_the_upstream_and_pays() -> None:
    flights, upstream = Flights(), Upstream(gap_s=0.001)
    watches = [watch(), watch()]
    await asyncio.gather(
        read(flights, upstream, watches[0], stop_at=2),
        read(flights, upstream, watches[1], stop_at=4),
    )
    assert (upstream.open_now, len(flights)) == (0, 0)
    assert [own.usage.output_tokens for own in watches] == [0, 20]


async def test_a_failure_is_shared_by_those_present_and_nobody_after() -> None:
    flights, upstream = Flights(), Upstream(gap_s=0.001, error_at=5)
    present = await asyncio.gather(
        *(read(flights, upstream, watch()) for _ in range(10)), return_exceptions=True
    )
    assert all(isinstance(one, GatewayError) for one in present)
    assert upstream.opened == 1
    with pytest.raises(GatewayError):
        await read(flights, upstream, watch())
    assert upstream.opened == 2


async def test_a_lone_slow_reader_holds_the_upstream_back() -> None:
    flights = Flights()
    made = 0

    async def endless(_: Watch) -> AsyncGenerator[ChatResponse, None]:
        nonlocal made
        while True:
            made += 1
            yield ChatResponse(text_delta="x")
            await asyncio.sleep(0)

    events = flights.join(KEY, endless, watch(), 1e9)
    async with aclosing(events):
        await anext(events)
        for _ in range(5000):
            await asyncio.sleep(0)
        assert made < 1100


async def test_a_flight_that_all_have_left_does_not_end_the_one_begun_in_its_place() -> None:
    flights, upstream = Flights(), Upstream(gap_s=0.01, close_s=0.01)
    left = asyncio.create_task(read(flights, upstream, watch()))
    await asyncio.sleep(0.015)
    left.cancel()
    await asyncio.sleep(0)
    begun = asyncio.create_task(read(flights, upstream, watch()))
    await asyncio.sleep(0.015)
    joined = asyncio.create_task(read(flights, upstream, watch()))
    assert await begun == await joined == "".join(WORDS)
    assert upstream.opened == 2
