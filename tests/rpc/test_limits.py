"""Tenants' limits and providers' grants through the port, in memory and on a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest
from turnout.v1.chat_service_pb2 import ChatRequest
from turnout.v1.embed_service_pb2 import (
    EmbedItem,
    EmbedItems,
    EmbedOptions,
    EmbedRequest,
    EmbedStreamRequest,
)
from turnout.v1.embed_service_pb2_grpc import EmbedServiceStub
from turnout.v1.routing_pb2 import RoutingOptions
from turnout.v1.usage_service_pb2 import GetLimitsRequest, Limit
from turnout.v1.usage_service_pb2_grpc import UsageServiceStub

from tests.redis.server import RedisServer
from tests.rpc.serving import (
    TWO_PROVIDERS,
    Failed,
    Serving,
    chat,
    failed,
    kept_running,
    serve,
    text_of,
)
from tests.rpc.tenants import PEPPER, TOKEN_NANO_USD, auth, priced, tenant

SAY = "first/say:yes"
Outcome = Any


@asynccontextmanager
async def limited(
    folder: Path, tenants: str, redis: str = "", more: str = "", **options: Any
) -> AsyncIterator[Serving]:
    backend = f"backend: redis, url: '{redis}', " if redis else ""
    config = f"{TWO_PROVIDERS}limits: {{{backend}tenants: {tenants}}}\n{more}"
    options = {"adapt": priced, "environ": {"PEPPER": PEPPER}, **options}
    async with serve(folder, config, **options) as serving, kept_running(serving.gateway):
        yield serving
        await serving.idle()


async def limits(serving: Serving, name: str = "default", **options: Any) -> dict[str, Limit]:
    stub: Any = UsageServiceStub(serving.channel)
    response = await stub.GetLimits(GetLimitsRequest(), **options)
    return {limit.id: limit for limit in response.limits}


def refusals(outcomes: Sequence[Outcome]) -> list[Failed]:
    return [outcome for outcome in outcomes if isinstance(outcome, Failed)]


async def embed(serving: Serving, *texts: str, **options: Any) -> Outcome:
    stub: Any = EmbedServiceStub(serving.channel)
    try:
        request = EmbedRequest(model="first/say:v", texts=texts)
        return await stub.Embed(request, **{"timeout": 10, **options})
    except grpc.aio.AioRpcError as error:
        return failed(error)


async def embed_stream(
    serving: Serving, *messages: Sequence[str], **options: Any
) -> tuple[list[Any], Any]:
    """Every result, and the end."""

    def requests() -> Iterator[EmbedStreamRequest]:
        yield EmbedStreamRequest(options=EmbedOptions(model="first/say:v"))
        for message in messages:
            items = [EmbedItem(id=i, text=text) for i, text in enumerate(message)]
            yield EmbedStreamRequest(items=EmbedItems(items=items))

    stub: Any = EmbedServiceStub(serving.channel)
    results, end = [], None
    async for response in stub.EmbedStream(requests(), **{"timeout": 20, **options}):
        results += response.results.results
        end = response.end if response.HasField("end") else end
    return results, end


async def test_over_a_limit_a_caller_is_told_when_to_come_again(tmp_path: Path) -> None:
    async with limited(tmp_path, "{default: {rpm: 60}}") as serving:
        outcomes = [await serving.ask(chat(SAY)) for _ in range(61)]
        (told,) = refusals(outcomes)
        assert told is outcomes[-1]
        assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert told.reason == "RATE_LIMITED"
        assert 0 < told.detail.retry_delay.ToMilliseconds() <= 1000
        assert 0 < told.pushback_ms <= 1000
        assert told.quota.violations[0].subject == "rpm"
        assert serving.provider("first").calls["say:yes"] == 60


async def test_each_tenant_has_its_own(tmp_path: Path) -> None:
    tenants = "{default: {rpm: 2}, acme: {rpm: 4}}"
    async with limited(tmp_path, tenants, more=auth(tmp_path)) as serving:
        for name, admitted in (("acme", 4), ("beta", 2), ("gamma", 2)):
            outcomes = [await serving.ask(chat(SAY), metadata=tenant(name)) for _ in range(6)]
            assert len(outcomes) - len(refusals(outcomes)) == admitted


async def test_a_model_may_be_limited_besides(tmp_path: Path) -> None:
    tenants = f"{{default: {{rpm: 4, models: {{'{SAY}': {{rpm: 1}}}}}}}}"
    async with limited(tmp_path, tenants) as serving:
        outcomes = [await serving.ask(chat(model)) for model in (SAY, SAY, "second/say:yes")]
        (told,) = refusals(outcomes)
        assert told is outcomes[1]
        assert told.quota.violations[0].subject == f"models.{SAY}.rpm"


async def test_calls_at_once_are_bounded_and_a_seat_comes_back(tmp_path: Path) -> None:
    async with limited(tmp_path, "{default: {concurrency: 3}}") as serving:
        slow = chat("first/wait:100|say:yes")
        outcomes = await asyncio.gather(*(serving.ask(slow) for _ in range(8)))
        assert len(refusals(outcomes)) == 5
        assert text_of(await serving.ask(slow)) == "yes"


async def test_tokens_are_reserved_and_then_only_those_used_are_booked(tmp_path: Path) -> None:
    async with limited(tmp_path, "{default: {tpm: 1000000}}") as serving:
        call = asyncio.ensure_future(
            serving.ask(chat("first/wait:300|tokens:5@0", max_output_tokens=700_000))
        )
        await asyncio.sleep(0.15)
        assert (await limits(serving))["tpm"].remaining < 350_000
        second = await serving.ask(chat(SAY, max_output_tokens=700_000))
        assert isinstance(second, Failed)
        assert not isinstance(await call, Failed)
        # One word was asked, five were said; a little of the minute has passed since.
        assert (await limits(serving))["tpm"].remaining >= 1_000_000 - 6


async def test_what_alone_passes_the_limit_never_passes(tmp_path: Path) -> None:
    async with limited(tmp_path, "{default: {tpm: 100}}") as serving:
        told = await serving.ask(chat(SAY, max_output_tokens=1000))
        assert isinstance(told, Failed)
        assert (told.reason, told.pushback_ms) == ("TOO_LARGE", -1)
        assert not isinstance(await serving.ask(chat(SAY)), Failed)  # no bound: the limit is one


async def test_two_gateways_on_one_redis_admit_fifty_of_two_hundred(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    fifty = "{default: {rpm: 50}}"
    async with (
        limited(tmp_path, fifty, redis_server.url) as one,
        limited(tmp_path, fifty, redis_server.url) as two,
    ):
        slow = chat("first/wait:50|say:yes")
        outcomes = await asyncio.gather(
            *(serving.ask(slow) for _ in range(100) for serving in (one, two))
        )
        admitted = len(outcomes) - len(refusals(outcomes))
        # A slot comes back every 1.2 s, and the burst may take that long on a busy machine.
        assert 50 <= admitted <= 52
        assert {told.reason for told in refusals(outcomes)} == {"RATE_LIMITED"}


async def test_two_gateways_on_one_redis_share_seats(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    five = "{default: {concurrency: 5}}"
    async with (
        limited(tmp_path, five, redis_server.url) as one,
        limited(tmp_path, five, redis_server.url) as two,
    ):
        slow = chat("first/wait:1500|say:yes")
        outcomes = await asyncio.gather(
            *(serving.ask(slow) for _ in range(10) for serving in (one, two))
        )
        assert len(outcomes) - len(refusals(outcomes)) == 5
        assert (await limits(two))["concurrency"].remaining == 5


@pytest.mark.parametrize("backend", ["memory", "redis"])
async def test_of_random_calls_with_a_third_cancelled_what_is_booked_is_what_was_used(
    tmp_path: Path, redis_server: RedisServer, backend: str
) -> None:
    url = redis_server.url if backend == "redis" else ""
    most = 10**9
    # A day's budget does not drain, so it can be compared to the token's price.
    async with limited(tmp_path, "{default: {budget_usd_per_day: 1}}", url) as serving:
        random = Random(7)

        async def call(number: int) -> None:
            words, gap = random.randrange(1, 40), random.randrange(0, 4)
            request = chat(f"first/tokens:{words}@{gap}", max_output_tokens=40)
            work = serving.ask(request) if number % 3 else embed(serving, "a b c", f"d {number}")
            task = asyncio.ensure_future(work)
            if random.random() < 0.3:
                await asyncio.sleep(random.random() * 0.15)
                task.cancel()
            outcome = await asyncio.gather(task, return_exceptions=True)
            assert not isinstance(outcome[0], Failed), outcome

        for start in range(0, 600, 60):
            await asyncio.gather(*(call(number) for number in range(start, start + 60)))
        await serving.idle()
        async with asyncio.timeout(5):
            while len(serving.seen.calls) < 400 or serving.gateway.in_flight():
                await asyncio.sleep(0.01)
        records = serving.seen.calls
        used = sum(record.usage.cost_nano_usd for record in records)
        tokens = sum(r.usage.input_tokens + r.usage.output_tokens for r in records)
        assert used == tokens * TOKEN_NANO_USD > 0
        assert any(record.code == "CANCELLED" for record in records)
        assert most - (await limits(serving))["budget_usd_per_day"].remaining == used


async def test_a_budget_that_is_spent_says_so_and_no_retry(tmp_path: Path) -> None:
    # Ten tokens a call, and money for twenty-five.
    budget = 25 * TOKEN_NANO_USD / 1e9
    async with limited(tmp_path, f"{{default: {{budget_usd_per_month: {budget}}}}}") as serving:
        request = chat("first/tokens:9@0", max_output_tokens=9)
        outcomes = [await serving.ask(request) for _ in range(3)]
        (told,) = refusals(outcomes)
        assert (told.reason, told.pushback_ms) == ("BUDGET_EXHAUSTED", -1)
        assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        left = (await limits(serving))["budget_usd_per_month"]
        assert (left.remaining, left.unit) == (5 * TOKEN_NANO_USD, "nano_usd")
        assert left.reset_time.seconds


async def test_a_budget_survives_a_restart_by_the_ledger(tmp_path: Path) -> None:
    tenants = "{default: {budget_usd_per_day: 0.000025}}"
    for remaining in (15, 5):
        async with limited(tmp_path, tenants) as serving:
            assert not isinstance(
                await serving.ask(chat("first/tokens:9@0", max_output_tokens=9)), Failed
            )
            left = (await limits(serving))["budget_usd_per_day"].remaining
            assert left == remaining * TOKEN_NANO_USD


async def test_a_model_without_a_price_is_refused_or_let_through_by_policy(tmp_path: Path) -> None:
    tenants = "{default: {budget_usd_per_day: 1, unknown_price: error}}"
    async with limited(tmp_path, tenants, adapt=lambda settings: settings) as serving:
        told = await serving.ask(chat(SAY))
        assert isinstance(told, Failed)
        assert told.reason == "FORBIDDEN"
    tenants = "{default: {budget_usd_per_day: 1}}"
    async with limited(tmp_path, tenants, adapt=lambda settings: settings) as serving:
        assert not isinstance(await serving.ask(chat(SAY)), Failed)


async def test_what_is_left_is_told_by_limit(tmp_path: Path) -> None:
    tenants = f"{{default: {{rpm: 60, concurrency: 9, models: {{'{SAY}': {{tpm: 500}}}}}}}}"
    async with limited(tmp_path, tenants) as serving:
        await serving.ask(chat(SAY))
        told = await limits(serving)
        assert list(told) == ["concurrency", f"models.{SAY}.tpm", "rpm"]
        assert (told["rpm"].value, told["rpm"].remaining, told["rpm"].unit) == (60, 59, "requests")
        assert told["rpm"].period.seconds == 60
        assert told["concurrency"].remaining == 9


async def test_without_limits_there_is_nothing_to_tell(serving: Serving) -> None:
    assert await limits(serving) == {}


async def test_a_reload_changes_limits_at_once(tmp_path: Path) -> None:
    async with limited(tmp_path, "{default: {rpm: 1}}") as serving:
        await serving.ask(chat(SAY))
        assert isinstance(await serving.ask(chat(SAY)), Failed)
        file = tmp_path / "turnout.yaml"
        file.write_text(file.read_text().replace("rpm: 1", "rpm: 5"))
        reloader = serving.gateway.reloader
        assert reloader is not None
        assert (await reloader.reload()).warnings == ()
        assert not isinstance(await serving.ask(chat(SAY)), Failed)


async def test_an_embedding_batch_takes_a_request_and_its_tokens(tmp_path: Path) -> None:
    tenants = "{default: {rpm: 2, budget_usd_per_day: 1}}"
    async with limited(tmp_path, tenants) as serving:
        await embed(serving, "one two three", "four five")
        told = await limits(serving)
        assert told["rpm"].remaining == 1
        assert told["budget_usd_per_day"].remaining == 10**9 - 5 * TOKEN_NANO_USD
        await embed(serving, "one")
        refused = await embed(serving, "one")
        assert refused.reason == "RATE_LIMITED"


async def test_an_embedding_stream_is_one_request_and_one_seat(tmp_path: Path) -> None:
    tenants = "{default: {rpm: 1, concurrency: 1, budget_usd_per_day: 1}}"
    async with limited(tmp_path, tenants) as serving:
        batch = [f"text {number}" for number in range(2000)]
        results, end = await embed_stream(serving, batch, batch, ["odd one out"])
        assert not any(result.HasField("error") for result in results)
        assert end.embedded_items == 4001
        assert end.upstream_calls > 1
        used = end.usage.input_tokens * TOKEN_NANO_USD
        assert used == end.usage.cost_nano_usd > 0
        assert (await limits(serving))["budget_usd_per_day"].remaining == 10**9 - used


async def test_an_embedding_stream_waits_for_tokens_rather_than_fail(tmp_path: Path) -> None:
    tenants = "{default: {tpm: 6000}}"
    async with limited(tmp_path, tenants) as serving:
        # Estimated at 2000 tokens a batch and counted as 500 words by the provider.
        batch = ["word " * 8 for _ in range(200)]
        await serving.ask(chat(SAY, max_output_tokens=5900))
        batches = [[f"{number} {text}" for text in batch] for number in range(8)]
        results, end = await embed_stream(serving, *batches)
        assert not any(result.HasField("error") for result in results)
        assert end.embedded_items == 1600


async def test_a_stream_that_is_left_has_settled_all_it_held(tmp_path: Path) -> None:
    tenants = "{default: {concurrency: 1, budget_usd_per_day: 1}}"
    async with limited(tmp_path, tenants) as serving:

        async def requests() -> AsyncIterator[EmbedStreamRequest]:
            yield EmbedStreamRequest(options=EmbedOptions(model="first/wait:200"))
            for number in range(50):
                items = [EmbedItem(id=i, text=f"text {number} {i}") for i in range(2000)]
                yield EmbedStreamRequest(items=EmbedItems(items=items))

        stub: Any = EmbedServiceStub(serving.channel)
        call = stub.EmbedStream(requests())
        await call.read()
        await asyncio.sleep(0.1)
        call.cancel()
        await serving.idle()
        async with asyncio.timeout(5):
            while not serving.seen.calls:
                await asyncio.sleep(0.01)
        (record,) = serving.seen.calls
        told = await limits(serving)
        assert told["concurrency"].remaining == 1
        spent = 10**9 - told["budget_usd_per_day"].remaining
        assert spent == record.usage.cost_nano_usd > 0


async def test_a_key_is_paced_by_what_its_provider_grants(tmp_path: Path) -> None:
    more = "providers: {first: {row: scripted, keys: [], limits: {rpm: 3}}, "
    config = more + "second: {row: scripted, keys: []}}\n"
    async with serve(tmp_path, config) as serving, kept_running(serving.gateway):
        fall_back = RoutingOptions(fallback_models=["second/say:no"])
        said = [text_of(await serving.ask(chat(SAY, routing=fall_back))) for _ in range(5)]
        assert said == ["yes", "yes", "yes", "no", "no"]
        assert serving.provider("first").calls["say:yes"] == 3


async def lasting(serving: Serving, for_s: float, request: ChatRequest) -> list[Outcome]:
    """What callers are told, ten at a time, for a while."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + for_s
    outcomes: list[Outcome] = []
    while loop.time() < ends:
        outcomes += await asyncio.gather(*(serving.ask(request) for _ in range(10)))
    return outcomes


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_no_call_is_lost_while_redis_dies_in_flight(
    tmp_path: Path, own_server: RedisServer, fault: str
) -> None:
    tenants = "{default: {rpm: 1000000, tpm: 100000000, concurrency: 1000}}"
    cache = f"cache: {{backend: redis, url: '{own_server.url}', mode: read_write}}\n"
    async with limited(tmp_path, tenants, own_server.url, cache) as serving:
        calls = asyncio.ensure_future(lasting(serving, 1.0, chat("first/tokens:3@5")))
        await asyncio.sleep(0.2)
        own_server.kill() if fault == "kill" else own_server.freeze()
        outcomes = await calls
        assert refusals(outcomes) == []
        assert len(outcomes) > 50


async def test_a_strict_tenant_is_refused_while_redis_is_away(
    tmp_path: Path, own_server: RedisServer
) -> None:
    tenants = "{default: {rpm: 100}, bank: {rpm: 100, strict: true}}"
    async with limited(tmp_path, tenants, own_server.url, auth(tmp_path)) as serving:
        gauges: dict[str, Callable[[], float]] = {}
        serving.gateway.stores.show(lambda name, _, read: gauges.update({name: read}))
        assert not isinstance(await serving.ask(chat(SAY), metadata=tenant("bank")), Failed)
        assert gauges["turnout.limits.degraded"]() == 0
        own_server.kill()
        told = await serving.ask(chat(SAY), metadata=tenant("bank"))
        assert isinstance(told, Failed)
        assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "OVERLOADED")
        assert not isinstance(await serving.ask(chat(SAY), metadata=tenant("acme")), Failed)
        assert gauges["turnout.limits.degraded"]() == 1
