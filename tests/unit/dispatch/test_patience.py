"""Time limits of a stream: for each wait, for all of them, and never for a reader's own pace."""

import asyncio
from contextlib import suppress

import pytest
from turnout.v1.chat_service_pb2 import ChatResponse
from turnout.v1.routing_pb2 import RoutingOptions

from tests.unit.dispatch.chat_setup import Context, World, request
from turnout_server.core.target import Endpoint, Target, Timeouts
from turnout_server.dispatch.patience import Patience
from turnout_server.policy.routes import Alias

SHORT_S = 0.02
LONG_S = 0.4
"""Long enough that a busy machine does not reach it by accident."""


class SlowReader(Context):
    """A caller who takes longer over each message than a provider may over the next."""

    async def write(self, event: ChatResponse) -> None:
        await asyncio.sleep(0.6 * LONG_S)
        await super().write(event)


async def waited(patience: Patience, wait_s: float, event: asyncio.Event) -> bool:
    """Whether the wait ended by its time."""
    patience.begin(wait_s)
    try:
        await event.wait()
    except asyncio.CancelledError:
        if patience.end():
            return True
        raise
    finally:
        patience.end()
    return False


async def test_a_wait_ends_when_its_time_is_up() -> None:
    assert await waited(Patience(), SHORT_S, asyncio.Event())
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_each_wait_has_its_own_time() -> None:
    patience, loop = Patience(), asyncio.get_running_loop()
    for _ in range(4):
        event = asyncio.Event()
        loop.call_later(LONG_S / 3, event.set)
        assert not await waited(patience, LONG_S, event)
    assert not await waited(patience, 60, event)
    began = loop.time()
    assert await waited(patience, SHORT_S, asyncio.Event())
    assert loop.time() - began < 30
    patience.stop()


async def test_between_waits_time_does_not_count() -> None:
    patience, event = Patience(), asyncio.Event()
    event.set()
    assert not await waited(patience, SHORT_S, event)
    await asyncio.sleep(2 * SHORT_S)
    assert await waited(patience, SHORT_S, asyncio.Event())


@pytest.mark.parametrize("time_is_up", [True, False])
async def test_a_cancel_from_elsewhere_wins(time_is_up: bool) -> None:
    patience = Patience()
    task = asyncio.create_task(waited(patience, 60, asyncio.Event()))
    await asyncio.sleep(0)
    if time_is_up:
        patience._ends = 0.0
        patience._ring()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_slow_reader_is_not_held_against_the_provider() -> None:
    """Neither by the stall timer nor by the time that a whole answer may take."""
    world = World()
    endpoint = Endpoint("a", "scripted", "scripted", "", timeouts=Timeouts(total_s=LONG_S))
    world.alias("a/tokens:2@1|wait:1")
    card = world.aliases["model"].targets[0].card
    world.aliases["model"] = Alias("model", (Target(endpoint, card),))
    routing = RoutingOptions()
    routing.stall_timeout.FromNanoseconds(int(LONG_S / 2 * 1e9))
    context = SlowReader()
    await world.service.Chat(request(routing=routing), context)  # type: ignore[arg-type]
    assert context.events[-1].HasField("finish")
    assert [str(record.outcome) for record in world.seen.attempts] == ["ok"]


async def test_a_stall_after_output_is_a_timeout() -> None:
    world = World()
    world.alias("a/say:x|hang")
    routing = RoutingOptions()
    routing.stall_timeout.FromNanoseconds(int(SHORT_S * 1e9))
    context = await world.ask(request(routing=routing))
    assert context.code.name == "ABORTED"
    (record,) = world.seen.attempts
    assert record.failure is not None
    assert record.failure.kind.name == "TIMEOUT"
