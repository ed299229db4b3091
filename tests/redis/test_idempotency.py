"""The same call twice is answered once (fault 87)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from turnout.v1.errors_pb2 import ErrorReason

from tests.redis.server import RedisServer
from tests.redis.setup import running
from tests.redis.test_caches import ENVELOPE, link
from turnout_server.core.errors import GatewayError
from turnout_server.store.idempotency import Idempotency, Permit, Reply
from turnout_server.store.memory_values import MemoryValues
from turnout_server.store.redis_values import RedisValues


@pytest.fixture(params=["memory", "redis"])
async def calls(
    request: pytest.FixtureRequest, redis_server: RedisServer
) -> AsyncIterator[Idempotency]:
    if request.param == "memory":
        yield Idempotency(MemoryValues(10_000_000), ENVELOPE)
        return
    cache_link = link(redis_server)
    await cache_link.start()
    async with running(cache_link.run()):
        yield Idempotency(RedisValues(cache_link), ENVELOPE)


async def begin(
    calls: Idempotency,
    *,
    tenant: str = "t",
    method: str = "Chat",
    key: str = "k",
    body: bytes = b"body",
    lease_s: float = 60.0,
) -> Permit | Reply:
    return await calls.begin(tenant, method, key, body, lease_s=lease_s)


async def permitted(calls: Idempotency, **names: object) -> Permit:
    permit = await begin(calls, **names)  # type: ignore[arg-type]
    assert isinstance(permit, Permit)
    return permit


async def test_a_call_made_again_gets_the_reply_of_the_first(calls: Idempotency) -> None:
    permit = await permitted(calls)
    await calls.complete(permit, b"answer")
    for _ in range(2):
        assert await begin(calls) == Reply(b"answer")


async def test_of_many_at_once_one_is_made(calls: Idempotency) -> None:
    outcomes = await asyncio.gather(*(begin(calls) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(outcome, Permit) for outcome in outcomes) == 1
    refused = [outcome for outcome in outcomes if isinstance(outcome, GatewayError)]
    assert {error.reason for error in refused} == {ErrorReason.ERROR_REASON_DUPLICATE_REQUEST}
    assert len(refused) == 19


async def test_a_key_with_another_body_is_refused(calls: Idempotency) -> None:
    permit = await permitted(calls)
    for _ in range(2):
        with pytest.raises(GatewayError) as refusal:
            await begin(calls, body=b"other")
        assert refusal.value.reason == ErrorReason.ERROR_REASON_INVALID_REQUEST
        await calls.complete(permit, b"answer")


async def test_a_call_that_failed_may_be_made_again(calls: Idempotency) -> None:
    await calls.abandon(await permitted(calls))
    await permitted(calls)


async def test_the_call_of_a_process_that_died_may_be_made_again(calls: Idempotency) -> None:
    await permitted(calls, lease_s=0.05)
    await asyncio.sleep(0.1)
    await permitted(calls)


async def test_keys_belong_to_a_tenant_and_a_method(calls: Idempotency) -> None:
    await permitted(calls)
    await permitted(calls, tenant="u")
    await permitted(calls, method="Embed")
    await permitted(calls, tenant="tC", method="hat")


async def test_without_a_store_every_call_is_made(own_server: RedisServer) -> None:
    cache_link = link(own_server)
    await cache_link.start()
    async with running(cache_link.run()):
        calls = Idempotency(RedisValues(cache_link), ENVELOPE)
        own_server.kill()
        for _ in range(3):
            permit = await permitted(calls)
            await calls.complete(permit, b"answer")
            await calls.abandon(permit)
