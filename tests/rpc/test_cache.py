"""The response cache through the port: what is found again, by whom, and what it costs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from turnout.admin.v1.admin_service_pb2 import InvalidateCacheRequest
from turnout.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse, StreamOptions, ThinkingOptions
from turnout.v1.embed_service_pb2 import EmbedRequest
from turnout.v1.embed_service_pb2_grpc import EmbedServiceStub
from turnout.v1.routing_pb2 import CacheMode, CacheOptions, CacheStatus, RoutingOptions

from tests.redis.server import RedisServer
from tests.rpc.serving import TWO_PROVIDERS, Failed, Serving, chat, kept_running, serve, text_of
from tests.rpc.tenants import PEPPER, TOKEN_NANO_USD, auth, priced, tenant
from turnout_server.providers.scripted.script import words

SCRIPT = 'think:let me see|say:one|say: and more|call:look:{"at":[1,2]}'
SAY = "first/say:yes"
READ_WRITE, READ_ONLY = CacheMode.CACHE_MODE_READ_WRITE, CacheMode.CACHE_MODE_READ_ONLY
REFRESH, OFF = CacheMode.CACHE_MODE_REFRESH, CacheMode.CACHE_MODE_OFF
HIT, MISS = CacheStatus.CACHE_STATUS_HIT, CacheStatus.CACHE_STATUS_MISS
BYPASS, COALESCED = CacheStatus.CACHE_STATUS_BYPASS, CacheStatus.CACHE_STATUS_COALESCED
ON = CacheOptions(mode=READ_WRITE)


@asynccontextmanager
async def cached(folder: Path, cache: str = "{}", more: str = "", **options: Any) -> Any:
    config = f"{TWO_PROVIDERS}cache: {cache}\n{more}"
    options = {"adapt": priced, "environ": {"PEPPER": PEPPER}, **options}
    async with serve(folder, config, **options) as serving, kept_running(serving.gateway):
        yield serving
        await serving.idle()


@pytest.fixture(params=["memory", "redis"])
async def cache(
    request: pytest.FixtureRequest, tmp_path: Path, redis_server: RedisServer
) -> AsyncIterator[Serving]:
    """A gateway whose cache lies in memory, or in a real Redis."""
    section = f"{{backend: {request.param}, url: '{redis_server.url}'}}"
    async with cached(tmp_path, section) as serving:
        yield serving


def upstream_calls(serving: Serving) -> int:
    return sum(sum(serving.provider(name).calls.values()) for name in ("first", "second"))


async def answer(serving: Serving, request: ChatRequest, **options: Any) -> list[ChatResponse]:
    events = await serving.ask(request, **options)
    assert not isinstance(events, Failed), events
    return events


async def status(serving: Serving, request: ChatRequest, **options: Any) -> Any:
    return (await answer(serving, request, **options))[-1].finish.route.cache_status


async def test_a_replay_says_all_that_the_first_answer_said(cache: Serving) -> None:
    request = chat(
        f"first/{SCRIPT}",
        cache=ON,
        stream=StreamOptions(final_message=True, tool_call_deltas=True),
        thinking=ThinkingOptions(include=True),
    )
    first, again = await answer(cache, request), await answer(cache, request)
    kinds = [event.WhichOneof("event") for event in again]
    assert kinds == ["thinking_delta", "text_delta", "tool_call_delta", "tool_call", "finish"]
    assert text_of(again) == text_of(first) == "one and more"
    said, said_again = first[-1].finish, again[-1].finish
    assert said_again.message == said.message
    assert (said_again.reason, said_again.raw_reason) == (said.reason, said.raw_reason)
    assert said_again.response_id == said.response_id
    assert (said.route.cache_status, said_again.route.cache_status) == (MISS, HIT)
    assert said.usage.cost_nano_usd == 5 * TOKEN_NANO_USD
    assert said_again.usage.HasField("cost_nano_usd")
    assert said_again.usage.ByteSize() == 2  # a cost, which is 0, and not a token
    assert [call.saved_nano_usd for call in cache.seen.calls] == [0, 5 * TOKEN_NANO_USD]
    assert upstream_calls(cache) == 1


async def test_what_a_caller_did_not_ask_to_see_is_not_replayed(cache: Serving) -> None:
    await answer(cache, chat(f"first/{SCRIPT}", cache=ON))
    again = await answer(cache, chat(f"first/{SCRIPT}", cache=ON))
    kinds = [event.WhichOneof("event") for event in again]
    assert kinds == ["text_delta", "tool_call", "finish"]
    assert not again[-1].finish.HasField("message")


async def test_streams_and_unary_calls_answer_each_other(cache: Serving) -> None:
    await answer(cache, chat(SAY, cache=ON))
    whole = await cache.chat.CompleteChat(chat(SAY, cache=ON))
    assert (whole.text, whole.finish.route.cache_status) == ("yes", HIT)


async def test_each_mode_reads_and_writes_as_it_says(cache: Serving) -> None:
    def by(mode: CacheMode.ValueType) -> ChatRequest:
        return chat(SAY, cache=CacheOptions(mode=mode))

    assert await status(cache, chat(SAY)) == BYPASS
    assert await status(cache, by(READ_ONLY)) == MISS
    assert await status(cache, by(READ_WRITE)) == MISS  # READ_ONLY kept nothing
    assert await status(cache, by(READ_ONLY)) == HIT
    assert await status(cache, by(OFF)) == BYPASS
    refreshed = (await answer(cache, by(REFRESH)))[-1].finish
    assert refreshed.route.cache_status == MISS
    found = (await answer(cache, by(READ_WRITE)))[-1].finish
    assert (found.route.cache_status, found.response_id) == (HIT, refreshed.response_id)


async def test_the_configuration_says_what_holds_for_silent_calls(tmp_path: Path) -> None:
    async with cached(tmp_path, "{mode: read_write}") as serving:
        assert [await status(serving, chat(SAY)) for _ in range(2)] == [MISS, HIT]
        assert await status(serving, chat(SAY, cache=CacheOptions(mode=OFF))) == BYPASS


async def test_an_answer_is_too_old_for_a_younger_max_age(cache: Serving) -> None:
    def within(age: Duration) -> ChatRequest:
        return chat(SAY, cache=CacheOptions(mode=READ_WRITE, max_age=age))

    assert await status(cache, within(Duration(seconds=60))) == MISS
    await asyncio.sleep(0.06)
    assert await status(cache, within(Duration(seconds=60))) == HIT
    assert await status(cache, within(Duration(nanos=50_000_000))) == MISS


async def test_an_answer_ends_with_its_ttl(tmp_path: Path) -> None:
    async with cached(tmp_path, "{mode: read_write, ttl: 50ms}") as serving:
        assert [await status(serving, chat(SAY)) for _ in range(2)] == [MISS, HIT]
        await asyncio.sleep(0.06)
        assert await status(serving, chat(SAY)) == MISS


async def test_namespaces_are_apart(cache: Serving) -> None:
    one = chat(SAY, cache=CacheOptions(mode=READ_WRITE, namespace="one"))
    other = chat(SAY, cache=CacheOptions(mode=READ_WRITE, namespace="other"))
    assert [await status(cache, request) for request in (one, other, one)] == [MISS, MISS, HIT]


async def test_another_tenant_never_hits_and_never_joins(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    section = f"{{backend: redis, url: '{redis_server.url}', mode: read_write}}"
    async with cached(tmp_path, section, auth(tmp_path)) as serving:
        slow = chat("first/wait:50|say:yes")
        together = await asyncio.gather(
            *(status(serving, slow, metadata=tenant(name)) for name in ("acme", "beta"))
        )
        assert together == [MISS, MISS]
        assert await status(serving, slow, metadata=tenant("acme")) == HIT
        assert await status(serving, slow, metadata=tenant("gamma")) == MISS
        assert upstream_calls(serving) == 3


async def test_only_whole_answers_are_kept(cache: Serving) -> None:
    for script in ("say:a|cut", "say:a|fail:OVERLOADED", "say:a|finish:CONTENT_FILTER"):
        for _ in range(2):
            await cache.ask(chat(f"first/{script}", cache=ON))
        assert cache.provider("first").calls[script] == 2


async def test_a_fallbacks_answer_is_kept_under_its_own_name(tmp_path: Path) -> None:
    models = "models: {smart: {targets: ['first/fail:AUTH', second/say:its]}}\n"
    async with cached(tmp_path, "{mode: read_write}", models) as serving:
        assert text_of(await answer(serving, chat("smart"))) == "its"
        # What would be asked first has no answer kept; whoever asks the fallback finds one.
        again = await answer(serving, chat("smart"))
        assert (text_of(again), again[-1].finish.route.cache_status) == ("its", HIT)
        assert again[-1].finish.route.provider == "second"
        first_alone = chat("smart", routing=RoutingOptions(disable_fallback=True))
        assert isinstance(await serving.ask(first_alone), Failed)


async def test_a_thousand_equal_streams_are_one_call_upstream(tmp_path: Path) -> None:
    async with cached(tmp_path, "{mode: read_write}", max_in_flight=2000) as serving:
        request = chat("first/tokens:40@50")
        answers = await asyncio.gather(*(answer(serving, request) for _ in range(1000)))
        assert upstream_calls(serving) == 1
        assert len({text_of(events) for events in answers}) == 1
        statuses = [events[-1].finish.route.cache_status for events in answers]
        assert statuses.count(MISS) == 1
        assert set(statuses) <= {MISS, COALESCED, HIT}
        assert COALESCED in statuses
        assert sum(call.usage.output_tokens for call in serving.seen.calls) == 40


async def test_an_operator_drops_answers_by_tenant_and_namespace(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    address = f"unix:{tmp_path}/admin"
    section = f"{{backend: redis, url: '{redis_server.url}'}}"
    async with (
        cached(tmp_path, section, auth(tmp_path), admin_listen=address) as serving,
        grpc.aio.insecure_channel(address) as channel,
    ):
        admin: Any = AdminServiceStub(channel)

        async def ask(name: str, namespace: str) -> Any:
            options = CacheOptions(mode=READ_WRITE, namespace=namespace)
            return await status(serving, chat(SAY, cache=options), metadata=tenant(name))

        async def drop(**what: str) -> int:
            response = await admin.InvalidateCache(InvalidateCacheRequest(**what))
            return int(response.entries_dropped)

        places = [(name, space) for name in ("acme", "beta") for space in ("", "n")]
        for place in places:
            assert await ask(*place) == MISS
        assert await drop(tenant="acme", namespace="n") == 1
        assert [await ask(*place) for place in places] == [HIT, MISS, HIT, HIT]
        assert await drop(tenant="beta") == 2
        assert [await ask(*place) for place in places] == [HIT, HIT, MISS, MISS]
        assert await drop() == 4


async def test_texts_embedded_before_are_not_embedded_again(cache: Serving) -> None:
    stub: Any = EmbedServiceStub(cache.channel)

    async def embed(*texts: str) -> Any:
        return await stub.Embed(EmbedRequest(model="first/say:hi", texts=texts, cache=ON))

    first = await embed("one two", "three four")
    again = await embed("three four", "five six", "one two")
    assert (first.cache_hits, first.upstream_calls) == (0, 1)
    assert (again.cache_hits, again.upstream_calls) == (2, 1)
    assert [again.embeddings[i] for i in (2, 0)] == list(first.embeddings)
    assert again.usage.cost_nano_usd == 2 * TOKEN_NANO_USD
    whole = await embed("one two", "three four", "five six")
    assert (whole.cache_hits, whole.upstream_calls) == (3, 0)
    assert whole.route.cache_status == HIT
    assert whole.usage.cost_nano_usd == 0


async def test_a_cache_that_was_poisoned_or_killed_only_misses(
    tmp_path: Path, own_server: RedisServer
) -> None:
    section = f"{{backend: redis, url: '{own_server.url}', mode: read_write}}"
    async with cached(tmp_path, section) as serving:
        assert [await status(serving, chat(SAY)) for _ in range(2)] == [MISS, HIT]
        (key,) = await own_server.do("KEYS", "turnout:cache:*")  # type: ignore[misc]
        await own_server.do("SET", key, "garbage")
        assert [await status(serving, chat(SAY)) for _ in range(2)] == [MISS, HIT]
        own_server.kill()
        assert [await status(serving, chat(SAY)) for _ in range(2)] == [MISS, MISS]


async def test_a_leader_who_leaves_at_any_instant_harms_no_follower(tmp_path: Path) -> None:
    async with cached(tmp_path, "{mode: read_write}") as serving:
        random = Random(3)

        async def round_of(number: int) -> None:
            request = chat("first/tokens:20@3", end_user_id="u", temperature=number / 100)
            leader = asyncio.ensure_future(serving.ask(request))
            await asyncio.sleep(random.random() * 0.01)
            followers = [asyncio.ensure_future(answer(serving, request)) for _ in range(3)]
            await asyncio.sleep(random.random() * 0.1)
            leader.cancel()
            texts = {text_of(events) for events in await asyncio.gather(*followers)}
            await asyncio.gather(leader, return_exceptions=True)
            assert texts == {"".join(words(20))}

        for start in range(0, 100, 10):
            await asyncio.gather(*(round_of(number) for number in range(start, start + 10)))
        # Where the leader left before anybody had joined, the answer began anew, and only there.
        assert 100 <= upstream_calls(serving) < 200
