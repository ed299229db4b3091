"""A caller may leave at any turn of the loop, and a deadline may strike while it is leaving."""

import asyncio
from typing import Any

import pytest
from turnout.v1.chat_service_pb2 import ChatRequest
from turnout.v1.routing_pb2 import CacheMode, CacheOptions, MidStreamPolicy
from turnout.v1.usage_pb2 import Usage

from tests.unit.dispatch.chat_setup import Forgetful, World, request, settle
from turnout_server.core.usage import add_usage
from turnout_server.dispatch.caching import ChatCaching
from turnout_server.policy.routes import Hedge

EAGER = Hedge(enabled=True, after_s=0.0, budget=9.0)
RESTART = MidStreamPolicy.MID_STREAM_POLICY_RESTART
CONTINUE = MidStreamPolicy.MID_STREAM_POLICY_CONTINUE
ROUTES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "plain": (("a/tokens:3",), {}),
    "fallback": (("a/wait:0|fail:TIMEOUT", "b/wait:0|say:x"), {}),
    "rival_wins": (("a/wait:0|wait:0|wait:0|wait:0|wait:0|say:a", "b/say:b"), {"hedge": EAGER}),
    "both_at_once": (("a/wait:0|say:a", "b/wait:0|say:b"), {"hedge": EAGER}),
    "first_wins": (("a/wait:0|wait:0|say:a", "b/wait:0|wait:0|wait:0|say:b"), {"hedge": EAGER}),
    "both_fail": (
        ("a/wait:0|wait:0|fail:TIMEOUT", "b/wait:0|fail:TIMEOUT", "c/say:c"),
        {"hedge": EAGER},
    ),
    "restart": (("a/say:a|wait:0|cut", "b/wait:0|say:b"), {"mid_stream": RESTART}),
    "continue": (
        ("a/say:long enough|cut", "b/wait:0|say:long enough to end"),
        {"mid_stream": CONTINUE},
    ),
    "restart_of_a_race": (
        ("a/wait:0|wait:0|say:a|wait:0|cut", "b/wait:0|wait:0|wait:0|say:b", "c/wait:0|say:c"),
        {"hedge": EAGER, "mid_stream": RESTART},
    ),
}


def world(route: str, *, cached: bool = False) -> World:
    scripts, options = ROUTES[route]
    made = World(caching=ChatCaching(Forgetful()) if cached else None)
    made.alias(*scripts, **options)
    return made


def check(made: World, calls: int) -> None:
    """The invariants: nothing is held, and everything is on record once."""
    assert made.leftovers() == {}
    assert len(made.seen.calls) == made.seen.accepted_calls <= calls
    attempts = made.seen.attempts
    assert len({id(record.attempt) for record in attempts}) == len(attempts)
    assert len(attempts) >= made.upstream_calls()
    spent, booked = Usage(), Usage()
    for record in attempts:
        if record.usage is not None:
            add_usage(spent, record.usage)
    for call in made.seen.calls:
        if call.usage.ByteSize():
            add_usage(booked, call.usage)
    assert booked == spent
    assert made.spent_nano_usd() == booked.cost_nano_usd


async def turns_of(made: World, *requests: ChatRequest) -> int:
    """How many turns of the loop the calls take when nobody leaves."""
    tasks = [asyncio.create_task(made.ask(one)) for one in requests]
    turns = 0
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        turns += 1
    return turns


async def leave(task: asyncio.Task[Any], after: int, again: int | None) -> None:
    for _ in range(after):
        await asyncio.sleep(0)
    task.cancel()
    if again is not None:
        for _ in range(again):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait([task])
    await settle()


@pytest.mark.parametrize("again", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("route", ROUTES)
async def test_whoever_leaves_leaves_nothing_behind(route: str, again: int | None) -> None:
    turns = await turns_of(world(route), request())
    for after in range(turns):
        made = world(route)
        await leave(asyncio.create_task(made.ask(request())), after, again)
        check(made, calls=1)


@pytest.mark.parametrize("again", [None, 0, 1, 2, 3])
@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("route", ROUTES)
async def test_whoever_leaves_a_shared_answer_leaves_nothing_behind(
    route: str, who: int, again: int | None
) -> None:
    asked = request(cache=CacheOptions(mode=CacheMode.CACHE_MODE_READ_WRITE))
    turns = await turns_of(world(route, cached=True), asked, asked)
    for after in range(turns):
        made = world(route, cached=True)
        tasks = [asyncio.create_task(made.ask(asked)) for _ in range(2)]
        await leave(tasks[who], after, again)
        await asyncio.wait(tasks)
        await settle()
        check(made, calls=2)


@pytest.mark.parametrize("again", [None, 0, 1, 2, 3])
async def test_the_last_to_leave_a_shared_answer_leaves_nothing_behind(again: int | None) -> None:
    asked = request(cache=CacheOptions(mode=CacheMode.CACHE_MODE_READ_WRITE))
    for route in ROUTES:
        turns = await turns_of(world(route, cached=True), asked, asked)
        for after in range(turns):
            made = world(route, cached=True)
            tasks = [asyncio.create_task(made.ask(asked)) for _ in range(2)]
            for _ in range(after // 2):
                await asyncio.sleep(0)
            tasks[0].cancel()
            await leave(tasks[1], after - after // 2, again)
            await asyncio.wait(tasks)
            await settle()
            check(made, calls=2)
