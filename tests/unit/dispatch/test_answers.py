"""What one caller sees of an answer: its order, its parts, and what went wrong on the way."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse, StreamOptions, ThinkingOptions
from turnout.v1.routing_pb2 import CacheMode, CacheOptions, MidStreamPolicy, RoutingOptions

from tests.unit.dispatch.chat_setup import Forgetful, World, request
from turnout_server.dispatch.caching import ChatCaching
from turnout_server.policy.routes import Hedge

EAGER = Hedge(enabled=True, after_s=0.0, budget=9.0)
RESTART = MidStreamPolicy.MID_STREAM_POLICY_RESTART
CONTINUE = MidStreamPolicy.MID_STREAM_POLICY_CONTINUE
ALL = StreamOptions(progress=True, final_message=True)


async def events_of(*scripts: str, asked: ChatRequest | None = None, **alias: Any) -> list[Any]:
    world = World()
    world.alias(*scripts, **alias)
    return (await world.ask(asked or request(stream=ALL))).events


def kinds(events: list[ChatResponse]) -> list[str | None]:
    return [event.WhichOneof("event") for event in events]


def failed(events: list[ChatResponse]) -> list[tuple[int, str]]:
    told = [event.attempt_failed for event in events if event.HasField("attempt_failed")]
    return [(one.attempt, one.provider) for one in told]


async def test_a_race_that_both_lose_is_told_whole() -> None:
    events = await events_of(
        "a/wait:1|fail:TIMEOUT", "b/wait:5|fail:TIMEOUT", "c/say:c", hedge=EAGER
    )
    assert sorted(failed(events)) == [(1, "a"), (2, "b")]
    assert kinds(events)[-3:] == ["route", "text_delta", "finish"]


async def test_a_rival_s_win_does_not_hide_who_failed() -> None:
    events = await events_of("a/wait:1|fail:TIMEOUT", "b/wait:5|say:b", hedge=EAGER)
    assert kinds(events) == ["attempt_failed", "route", "text_delta", "finish"]


async def test_an_older_attempt_s_failure_is_not_held_against_its_rival() -> None:
    """The plan stands at the rival: it is told of the rival's failure, whoever failed last."""
    world = World()
    world.alias("a/wait:9|fail:OVERLOADED", "b/wait:3|fail:TIMEOUT", "c/say:c", hedge=EAGER)
    assert (await world.ask(request())).events[0].text_delta == "c"
    assert {name: client.calls.total() for name, client in world.clients.items()} == {
        "a": 1,
        "b": 1,
        "c": 1,
    }


async def test_nothing_follows_a_race_in_which_somebody_met_the_caller_s_fault() -> None:
    world = World()
    world.alias("a/wait:9|fail:ERROR", "b/wait:1|fail:REJECTED", "c/say:c", hedge=EAGER)
    context = await world.ask(request())
    assert context.code.name == "INVALID_ARGUMENT"
    assert not world.clients["c"].calls


async def test_under_restart_the_broken_stream_is_told_and_generations_only_rise() -> None:
    events = await events_of(
        "a/say:a|cut", "b/say:b|cut", "c/flaky:1:UNREACHABLE|say:c", mid_stream=RESTART
    )
    assert failed(events)[:2] == [(1, "a"), (2, "b")]
    generations = [event.generation for event in events]
    assert generations == sorted(generations)
    assert generations[-1] == 2


@pytest.mark.parametrize("included", [True, False])
@pytest.mark.parametrize("before", ["", "think:hm|"])
@pytest.mark.parametrize("rest", ["say:it was long and it ended", "think:h|say:it was long and on"])
async def test_under_continue_parts_follow_each_other(
    before: str, rest: str, included: bool
) -> None:
    asked = request(stream=ALL, thinking=ThinkingOptions(include=included))
    if before and included:
        before = ""  # a caller who was shown thinking has more than text: nobody can go on
    events = await events_of(
        f"a/{before}say:it was long|cut", f"b/{rest}|call:f:{{}}", asked=asked, mid_stream=CONTINUE
    )
    text = "".join(event.text_delta for event in events)
    assert text.startswith("it was long and")
    shown = [e.part_index for e in events if e.WhichOneof("event") in ("text_delta", "tool_call")]
    assert all(one <= other for one, other in pairwise(shown))
    message = events[-1].finish.message
    assert message.parts[0].text == text
    assert [part.tool_call.name for part in message.parts if part.HasField("tool_call")] == ["f"]


async def test_text_held_back_comes_before_what_follows_it() -> None:
    """A word that might be a repetition is held; a tool call after it ends the doubt."""
    events = await events_of("a/say:it was long enough|cut", "b/say:x", mid_stream=CONTINUE)
    assert "".join(event.text_delta for event in events)
    world = World()
    world.alias("a/say:so it ended|cut", "b/say:so it ended, it |call:f:{}", mid_stream=CONTINUE)
    events = (await world.ask(request(stream=ALL))).events
    assert kinds(events)[-3:] == ["text_delta", "tool_call", "finish"]


async def test_attempts_are_counted_through_over_a_continuation() -> None:
    events = await events_of(
        "a/say:it was long|cut", "b/fail:UNREACHABLE", "c/say:it was long and", mid_stream=CONTINUE
    )
    numbers = [number for number, _ in failed(events)]
    assert numbers == sorted(set(numbers))
    assert events[-1].finish.route.attempts == len(numbers) + 1


@pytest.mark.parametrize(
    "routing",
    [
        RoutingOptions(disable_fallback=True),
        RoutingOptions(allowed_providers=["a"]),
        RoutingOptions(mid_stream_policy=MidStreamPolicy.MID_STREAM_POLICY_FAIL),
    ],
)
async def test_an_answer_is_shared_only_by_callers_who_asked_for_the_same_routing(
    routing: RoutingOptions,
) -> None:
    world = World(caching=ChatCaching(Forgetful()))
    world.alias("a/wait:5|say:a|cut", "b/say:b", mid_stream=RESTART)
    cache = CacheOptions(mode=CacheMode.CACHE_MODE_READ_WRITE)
    one, other = await asyncio.gather(
        world.ask(request(cache=cache)), world.ask(request(cache=cache, routing=routing))
    )
    assert one.events[-1].finish.route.provider == "b"
    assert other.code.name == "ABORTED"
