"""The semantic cache through the port: which questions are answered as one, and which never."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from turnout.v1.chat_service_pb2 import ChatRequest, ResponseFormat, Tool
from turnout.v1.content_pb2 import ROLE_SYSTEM, ROLE_USER, Message
from turnout.v1.routing_pb2 import CacheMode, CacheOptions, CacheStatus

from tests.rpc.serving import TWO_PROVIDERS, Failed, Serving, kept_running, serve
from tests.rpc.tenants import PEPPER, auth, priced, tenant

HIT, MISS = CacheStatus.CACHE_STATUS_HIT, CacheStatus.CACHE_STATUS_MISS
ON = CacheOptions(mode=CacheMode.CACHE_MODE_READ_WRITE)
TOOL = Tool(name="look", parameters_json_schema="{}")
JSON = ResponseFormat(kind=ResponseFormat.KIND_JSON_OBJECT)
CONFIG = (
    TWO_PROVIDERS.replace("keys: []", "keys: [], options: {dimensions: 2}")
    + """
models:
  plain: {targets: [first/say:yes]}
  like: {targets: [first/say:yes], semantic_cache: {model: vectors, threshold: 0.5}}
  exact: {targets: [first/say:yes], semantic_cache: {model: vectors, threshold: 1}}
  open:
    targets: [first/say:yes]
    semantic_cache: {model: vectors, threshold: 0.5, tools: true, structured: true}
  broken: {targets: [first/say:yes], semantic_cache: {model: nobody, threshold: 0.5}}
  slow: {targets: [first/say:yes], semantic_cache: {model: late, threshold: 0.5}}
  vectors: {targets: [second/say:v]}
  nobody: {targets: ["second/fail:UNREACHABLE"]}
  late: {targets: ["second/wait:5000"]}
"""
)
# Scripted vectors mean nothing; these have a cosine of 0.53, and the third is at -0.11.
ALIKE = ("What is a switch?", "What is a railway switch?")
UNLIKE = "Why is the sky blue?"


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    environ = {"PEPPER": PEPPER}
    async with (
        serve(tmp_path, CONFIG + auth(tmp_path), adapt=priced, environ=environ) as serving,
        kept_running(serving.gateway),
    ):
        yield serving
        await serving.idle()


def asked(text: str, model: str = "like", before: str = "be brief", **fields: Any) -> ChatRequest:
    messages = [Message(role=ROLE_SYSTEM, text=before), Message(role=ROLE_USER, text=text)]
    return ChatRequest(**{"model": model, "messages": messages, "cache": ON, **fields})


async def status(serving: Serving, request: ChatRequest, name: str = "acme") -> Any:
    events = await serving.ask(request, metadata=tenant(name))
    assert not isinstance(events, Failed), events
    return events[-1].finish.route.cache_status


async def both(serving: Serving, **fields: Any) -> list[Any]:
    return [await status(serving, asked(text, **fields)) for text in ALIKE]


async def test_a_like_question_gets_the_answer_again_as_a_hit(serving: Serving) -> None:
    assert await both(serving) == [MISS, HIT]
    assert serving.provider("first").calls["say:yes"] == 1
    first, again = serving.seen.calls
    # Each pays for its own question's vector, and the second for nothing else.
    assert (first.usage.output_tokens, again.usage.output_tokens) == (1, 0)
    assert again.usage.input_tokens == len(ALIKE[1].split())
    assert (again.cache_hits, again.saved_nano_usd) == (1, first.usage.cost_nano_usd)


async def test_a_question_unlike_any_is_answered_anew(serving: Serving) -> None:
    await both(serving)
    assert await status(serving, asked(UNLIKE)) == MISS


async def test_only_an_alias_that_asks_for_it_is_served_so(serving: Serving) -> None:
    assert await both(serving, model="plain") == [MISS, MISS]
    assert await both(serving, model="exact") == [MISS, MISS]


async def test_a_call_that_leaves_the_cache_alone_is_left_alone(serving: Serving) -> None:
    off = CacheOptions(mode=CacheMode.CACHE_MODE_OFF)
    await both(serving, cache=off)
    assert serving.provider("first").calls["say:yes"] == 2
    assert not serving.provider("second").calls


async def test_what_else_was_said_must_be_equal_and_so_must_the_tenant(serving: Serving) -> None:
    await both(serving)
    assert await status(serving, asked(ALIKE[0], before="be long")) == MISS
    assert await status(serving, asked(ALIKE[1], temperature=0.5)) == MISS
    assert await status(serving, asked(ALIKE[1]), name="beta") == MISS


@pytest.mark.parametrize("wish", [{"tools": [TOOL]}, {"response_format": JSON}])
async def test_tools_and_structure_are_answered_exactly_unless_asked_for(
    serving: Serving, wish: dict[str, Any]
) -> None:
    assert await both(serving, **wish) == [MISS, MISS]
    assert await both(serving, model="open", **wish) == [MISS, HIT]


@pytest.mark.parametrize("model", ["broken", "slow"])
async def test_without_a_vector_in_time_the_question_is_simply_answered(
    serving: Serving, model: str
) -> None:
    assert await both(serving, model=model) == [MISS, MISS]


async def test_equal_questions_at_once_make_one_vector(serving: Serving) -> None:
    await asyncio.gather(*(status(serving, asked(ALIKE[0])) for _ in range(20)))
    assert serving.provider("second").calls["say:v"] == 1
