"""What the configuration in deploy/envoy promises, shown with a real Envoy."""

import asyncio
import signal
import subprocess
from contextlib import ExitStack
from typing import Any

import pytest

from tests.mesh.envoy import CONFIG, ENVOY, Envoy, envoy_before
from tests.mesh.gateways import GatewayProcess, gateway
from turnout_client import AsyncClient, StreamInterrupted

PAST_ENVOYS_DEFAULT_S = 16


def lasting(seconds: float) -> str:
    """A model whose answer takes so long, with a word every 100 ms."""
    return f"scripted/tokens:{round(seconds * 10) + 1}@100"


async def words(address: str, model: str) -> int:
    async with AsyncClient(address) as client:
        return len((await client.chat(model, "hello").text()).split())


async def until(true: Any) -> None:
    async with asyncio.timeout(15):
        while not await asyncio.to_thread(true):
            await asyncio.sleep(0.05)


def test_envoy_takes_the_configuration_as_it_is() -> None:
    checked = subprocess.run(
        [str(ENVOY), "--mode", "validate", "--config-path", CONFIG, "--log-level", "error"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert checked.returncode == 0, checked.stderr


async def test_a_stream_outlives_envoys_default_timeout(one_gateway: GatewayProcess) -> None:
    with envoy_before([one_gateway.address]) as envoy:
        told = await words(envoy.address, lasting(PAST_ENVOYS_DEFAULT_S))

    assert told == PAST_ENVOYS_DEFAULT_S * 10 + 1


async def test_a_route_timeout_cuts_a_stream_and_the_client_says_so(
    one_gateway: GatewayProcess,
) -> None:
    def two_seconds(route: dict[str, Any], _: dict[str, Any]) -> None:
        route["timeout"] = "2s"

    with (
        envoy_before([one_gateway.address], two_seconds) as envoy,
        pytest.raises(StreamInterrupted) as cut,
    ):
        await words(envoy.address, lasting(4))

    assert cut.value.partial is not None
    assert 10 < len(cut.value.partial.text.split()) < 35
    assert cut.value.retryable is False


async def test_a_frozen_back_end_is_found_by_keepalive(one_gateway: GatewayProcess) -> None:
    def impatient(_: dict[str, Any], cluster: dict[str, Any]) -> None:
        (options,) = cluster["typed_extension_protocol_options"].values()
        http2 = options["explicit_http_config"]["http2_protocol_options"]
        http2["connection_keepalive"] = {"interval": "1s", "timeout": "1s"}
        del cluster["health_checks"]

    with envoy_before([one_gateway.address], impatient) as envoy:
        streaming = asyncio.create_task(words(envoy.address, lasting(30)))
        await until(lambda: envoy.statistic("cluster.turnout.upstream_rq_active"))
        await asyncio.sleep(0.5)
        one_gateway.signal(signal.SIGSTOP)
        with pytest.raises(StreamInterrupted):
            async with asyncio.timeout(10):
                await streaming


async def test_one_connection_reaches_every_instance() -> None:
    with ExitStack() as stack:
        gateways = [stack.enter_context(gateway()) for _ in range(2)]
        envoy = stack.enter_context(envoy_before([one.address for one in gateways]))
        async with AsyncClient(envoy.address) as client:
            for _ in range(20):
                await client.complete("scripted/say:hello", "hello")
        counts = envoy.calls_by_server()

    assert sum(counts.values()) == 20
    assert min(counts[one.address] for one in gateways) > 0


async def test_an_instance_that_drains_loses_nobody() -> None:
    with ExitStack() as stack:
        leaving, staying = (stack.enter_context(gateway()) for _ in range(2))
        envoy = stack.enter_context(envoy_before([leaving.address, staying.address]))
        async with AsyncClient(envoy.address) as client:
            underway = [
                asyncio.create_task(client.chat(lasting(5), "hello").text()) for _ in range(8)
            ]
            await until(lambda: envoy.statistic("cluster.turnout.upstream_rq_active") == 8)
            assert min(envoy.calls_by_server().values()) > 0
            leaving.signal(signal.SIGTERM)
            short_calls = await calls_until_gone(client, envoy, leaving.address)
            before = envoy.calls_by_server()[leaving.address]
            for _ in range(20):
                await client.complete("scripted/say:hello", "hello")
            answers = await asyncio.gather(*underway)
        status = await asyncio.to_thread(leaving.ended, 15)
        after = envoy.calls_by_server()[leaving.address]

    assert short_calls > 0
    assert [len(answer.split()) for answer in answers] == [51] * 8, "streams under way end well"
    assert after == before, "no new call went there once it said NOT_SERVING"
    assert status == 0


async def calls_until_gone(client: AsyncClient, envoy: Envoy, address: str) -> int:
    """Keep calling until Envoy holds the server for unhealthy; every call must succeed."""
    made = 0
    async with asyncio.timeout(10):
        while address in await asyncio.to_thread(envoy.healthy):
            assert (await client.complete("scripted/say:hello", "hello")).text == "hello"
            made += 1
    return made
