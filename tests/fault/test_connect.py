"""The way to an upstream: no connection, a bad one, or one that brings no head of an answer."""

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.fault import certificates
from tests.fault.conftest import OpenStage
from tests.fault.invariants import MIB
from tests.fault.stage import DEFAULT_TEXT, Config, Stage
from tests.fault.upstream import FaultServer, TcpProxy, Weather, black_hole, closed_port
from turnout_server.policy.breaker import CircuitState
from turnout_server.providers import upstream
from turnout_server.providers.resolver import GuardedResolver


def provider(wire: str, origin: str, **timeouts: str) -> Config:
    """A provider at another origin, reached over one wire."""
    return {
        "row": wire,
        "base_url": f"{origin}/v1" if wire == "openai" else origin,
        "keys": [{"env": "STAGE_KEY_A"}],
        "timeouts": {"connect": "300ms"} | timeouts,
    }


async def assert_unreachable(stage: Stage) -> None:
    """`other` cannot be reached: callers go elsewhere at once, or are told so."""
    told = await stage.ask("other", spare=True)
    assert (told.text, told.finish.route.provider) == (DEFAULT_TEXT, "spare")
    assert told.finish.route.attempts == 2, "no second try while another target is left"
    alone = await stage.ask("other")
    assert alone.outcome == ("UNAVAILABLE", "PROVIDER_UNREACHABLE")
    assert {one.provider for one in alone.told_of.detail.attempts} == {"other"}
    assert stage.health("other").error_rate == 1.0


@pytest.mark.row(1)
async def test_a_refused_connection_is_passed_by_at_once(set_stage: OpenStage, wire: str) -> None:
    stage = await set_stage(
        providers={"other": provider(wire, f"http://127.0.0.1:{closed_port()}")}
    )
    await assert_unreachable(stage)
    for _ in range(3):
        await stage.ask("other")
    assert stage.health("other").state is CircuitState.OPEN


@pytest.mark.row(2)
async def test_a_name_nobody_knows_is_unreachable(set_stage: OpenStage, wire: str) -> None:
    stage = await set_stage(
        providers={"other": provider(wire, "http://turnout.invalid", connect="3s")}
    )
    await assert_unreachable(stage)


@pytest.mark.row(2)
async def test_a_slow_resolver_blocks_neither_the_loop_nor_the_call(
    set_stage: OpenStage, wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def slow(host: Any, *args: Any, **options: Any) -> Any:
        if host == "slow.test":
            time.sleep(1)
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    stage = await set_stage(providers={"other": provider(wire, "http://slow.test")})
    told = await stage.ask("other", spare=True)
    assert (told.text, told.took_s < 0.9) == (DEFAULT_TEXT, True)


@pytest.mark.row(3)
@pytest.mark.parametrize("case", ["good", "expired", "wrong_name", "unknown_ca"])
async def test_only_a_good_certificate_is_spoken_to(
    set_stage: OpenStage, wire: str, case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = trustme.CA()
    tls = certificates.server_context(case, ca)
    with certificates.trusting(ca, tmp_path, monkeypatch):
        async with FaultServer(tls=tls) as server:
            origin = f"https://{certificates.HOST}:{server.port}"
            stage = await set_stage(providers={"other": provider(wire, origin, connect="2s")})
            if case == "good":
                assert (await stage.ask("other")).text == DEFAULT_TEXT
                stage.unsent_attempts += 1  # seen by a server that the stage does not count
                return
            await assert_unreachable(stage)
            assert server.requests == [], "neither key nor prompt reached it"


@pytest.mark.row(4)
async def test_a_black_hole_costs_no_more_than_the_connect_timeout(
    set_stage: OpenStage, wire: str
) -> None:
    async with black_hole() as port:
        stage = await set_stage(providers={"other": provider(wire, f"http://127.0.0.1:{port}")})
        told = await stage.ask("other", spare=True)
        assert told.text == DEFAULT_TEXT
        assert 0.3 <= told.took_s < 1.0
        await assert_unreachable(stage)


@pytest.mark.row(5)
async def test_an_upstream_that_takes_the_request_and_hangs_is_left(
    stage: Stage, wire: str
) -> None:
    told = await stage.ask(wire, "hang", spare=True, first_output_s=0.2)
    assert told.text == DEFAULT_TEXT
    assert 0.2 <= told.took_s < 0.8
    await stage.upstream.wait_until_idle()
    assert stage.upstream.requests[0].outcome == "client_gone"
    alone = await stage.ask(wire, "hang", first_output_s=0.1)
    assert alone.outcome == ("UNAVAILABLE", "PROVIDER_TIMEOUT")
    assert stage.health(wire).error_rate == 1.0


@pytest.mark.row(5)
async def test_the_configured_first_output_timer_runs_without_the_callers(
    set_stage: OpenStage, wire: str
) -> None:
    stage = await set_stage(timeouts={"first_output": "300ms"})
    told = await stage.ask(wire, "hang", spare=True)
    assert told.text == DEFAULT_TEXT
    assert 0.3 <= told.took_s < 1.0


@pytest.mark.row(5)
async def test_a_connection_that_is_taken_and_never_served_is_left(
    set_stage: OpenStage, wire: str
) -> None:
    async with FaultServer() as server, TcpProxy(server.port) as proxy:
        proxy.weather = Weather(accept="hang")
        stage = await set_stage(providers={"other": provider(wire, proxy.base_url)})
        told = await stage.ask("other", spare=True, first_output_s=0.2)
        assert told.text == DEFAULT_TEXT
        stage.unsent_attempts += 1


@pytest.mark.row(6)
async def test_a_head_that_drips_in_does_not_feed_the_timer(stage: Stage, wire: str) -> None:
    told = await stage.ask(wire, "slowhdr~every_ms=30", spare=True, first_output_s=0.3)
    assert told.text == DEFAULT_TEXT
    assert 0.3 <= told.took_s < 0.9


@pytest.mark.row(7)
async def test_an_enormous_head_is_refused_without_being_kept(stage: Stage, wire: str) -> None:
    stage.max_rss_growth_bytes = 12 * MIB
    told = await stage.ask(wire, "bighdr", spare=True)
    assert (told.text, told.finish.route.provider) == (DEFAULT_TEXT, "spare")
    assert (await stage.ask(wire, "bighdr")).outcome == ("UNAVAILABLE", "PROVIDER_ERROR")
    assert stage.health(wire).error_rate == 1.0


@pytest.mark.row(8)
async def test_bytes_that_are_not_http_are_a_failure(stage: Stage, wire: str) -> None:
    told = await stage.ask(wire, "garbage", spare=True)
    assert (told.text, told.finish.route.provider) == (DEFAULT_TEXT, "spare")
    assert (await stage.ask(wire, "garbage")).outcome == ("UNAVAILABLE", "PROVIDER_ERROR")
    assert stage.health(wire).error_rate == 1.0


@pytest.mark.row(9)
async def test_a_connection_that_died_idle_costs_a_retry_that_no_budget_pays(
    stage: Stage, wire: str
) -> None:
    """The budget would pay for three in ten seconds; these are more."""
    for number in range(8):
        stage.upstream.queue.append("stale")
        assert (await stage.ask(wire)).text == DEFAULT_TEXT
        told = await stage.ask(wire)
        assert told.text == DEFAULT_TEXT, number
        assert told.finish.route.attempts == 2
    assert stage.upstream.stale_closes == 8


@pytest.mark.row(9)
async def test_a_connection_closed_while_idle_is_not_used_again(stage: Stage, wire: str) -> None:
    stage.upstream.queue.append("stale~when=idle")
    open_before = stage.upstream.open_connections
    assert (await stage.ask(wire)).text == DEFAULT_TEXT
    async with asyncio.timeout(2):
        while stage.upstream.open_connections == open_before:
            await asyncio.sleep(0.01)
    told = await stage.ask(wire)
    assert (told.text, told.finish.route.attempts) == (DEFAULT_TEXT, 1)


@pytest.mark.row(10)
@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_is_never_followed(stage: Stage, wire: str, status: int) -> None:
    async with FaultServer() as trap:
        script = f"redirect~status={status}~to={trap.base_url}"
        told = await stage.ask(wire, script, spare=True)
        assert (told.text, told.finish.route.provider) == (DEFAULT_TEXT, "spare")
        assert (await stage.ask(wire, script)).outcome == ("UNAVAILABLE", "PROVIDER_ERROR")
        assert trap.connections_accepted == 0


@pytest.mark.row(11)
async def test_the_environment_sends_nothing_elsewhere(
    set_stage: OpenStage, wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FaultServer() as trap:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, trap.base_url)
        monkeypatch.setenv("OPENAI_BASE_URL", trap.openai_base_url)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", trap.base_url)
        monkeypatch.setenv("no_grpc_proxy", "127.0.0.1")  # the caller's own library reads them
        stage = await set_stage()
        assert (await stage.ask(wire)).text == DEFAULT_TEXT
        assert trap.connections_accepted == 0


@pytest.mark.row(12)
async def test_a_pool_that_is_used_up_is_waited_for_a_second_at_most(
    set_stage: OpenStage, wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(upstream.http_client.__kwdefaults__, "max_connections", 2)
    monkeypatch.setattr(upstream, "POOL_WAIT_S", 0.2)
    stage = await set_stage()
    hung = [stage.chat.Chat(stage.request(wire, "hang"), timeout=20) for _ in range(2)]
    await stage.upstream.wait_for_requests(2)
    told = await stage.ask(wire, spare=True)
    assert (told.text, told.finish.route.provider) == (DEFAULT_TEXT, "spare")
    alone = await stage.ask(wire)
    assert alone.outcome == ("UNAVAILABLE", "PROVIDER_OVERLOADED")
    for call in hung:
        call.cancel()
    await stage.upstream.wait_until_idle()
    assert (await stage.ask(wire, "ok~tokens=3")).code == "OK", "the places came back"


def leads_to(patch: pytest.MonkeyPatch, name: str, *addresses: str) -> None:
    """Have a name resolve to these addresses, one after the other; the last one stays."""
    resolve, left = socket.getaddrinfo, [*addresses]

    def moving(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != name:
            return resolve(host, port, *args, **options)
        address = left.pop(0) if len(left) > 1 else left[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        where = (address, port, 0, 0) if ":" in address else (address, port)
        return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", where)]

    patch.setattr(socket, "getaddrinfo", moving)


@pytest.mark.row(13)
@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "64:ff9b::a9fe:a9fe"])
async def test_a_name_that_leads_to_a_clouds_credentials_is_not_dialled(
    set_stage: OpenStage, wire: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_to(monkeypatch, "moving.test", address)
    stage = await set_stage(providers={"other": provider(wire, "http://moving.test", connect="3s")})
    await assert_unreachable(stage)


@pytest.mark.row(13)
@pytest.mark.parametrize("inside", ["127.0.0.1", "10.0.0.7", "100.64.0.1", "::ffff:192.168.0.1"])
async def test_a_public_name_never_comes_to_lead_inside(
    inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leads_to(monkeypatch, "moving.test", inside, "8.8.8.8", inside)
    resolver = GuardedResolver()
    assert len(await resolver.resolve("moving.test")) == 1, "a name of ours may lead inside"
    assert len(await resolver.resolve("moving.test")) == 1
    with pytest.raises(OSError, match="must not lead"):
        await resolver.resolve("moving.test")
