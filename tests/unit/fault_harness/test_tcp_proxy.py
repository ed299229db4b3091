"""The proxy passes bytes, until its weather says otherwise; each cut is counted."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.fault.upstream import FaultServer, TcpProxy, Weather, answer, black_hole, closed_port
from tests.unit.fault_harness.raw_client import RawClient, ask, request_bytes


@pytest.fixture
async def proxy(server: FaultServer) -> AsyncIterator[TcpProxy]:
    async with TcpProxy(server.port) as running:
        yield running


async def test_fair_weather_passes_everything(server: FaultServer, proxy: TcpProxy) -> None:
    received = await ask(proxy.port, "openai_chat", "m")
    assert received.text() == "".join(answer(12))
    assert proxy.counts.connections == 1
    assert proxy.counts.bytes_to_client == len(received.head) + len(received.body) + _framing(12)
    assert proxy.counts.bytes_to_server == len(request_bytes("openai_chat", "m"))


def _framing(tokens: int) -> int:
    """Bytes of chunk framing: role, tokens, finish and terminator, then the last chunk."""
    sized = tokens + 2
    return sized * len(b"ff\r\n\r\n") + len(b"e\r\n\r\n") + len(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("by", "end", "count"),
    [
        ("rst", "reset", "resets"),
        ("close", "eof", "closes"),
        ("half_close", "eof", "half_closes"),
        ("stall", "silent", "stalls"),
    ],
)
async def test_the_answer_is_cut_at_its_byte(
    proxy: TcpProxy, by: str, end: str, count: str
) -> None:
    proxy.weather = Weather(cut_at_byte=700, cut_by=by)  # type: ignore[arg-type]
    received = await ask(proxy.port, "openai_chat", "m", within_s=0.2)
    assert received.end == end
    assert proxy.counts.bytes_to_client == 700
    assert getattr(proxy.counts, count) == 1


async def test_a_request_can_be_cut_on_its_way(server: FaultServer, proxy: TcpProxy) -> None:
    proxy.weather = Weather(cut_at_byte=50, cut_by="stall", cut_direction="to_server")
    assert (await ask(proxy.port, "openai_chat", "m", within_s=0.1)).end == "silent"
    assert server.requests == []
    assert proxy.counts.bytes_to_server == 50


async def test_half_closed_clients_may_still_send(server: FaultServer, proxy: TcpProxy) -> None:
    async with RawClient(proxy.port) as client:
        await client.ask("openai_chat", "m")
        proxy.half_close_all()
        assert await client.reader.read() == b""
        client.writer.write(request_bytes("openai_chat", "m"))
        await server.wait_for_requests(2)


async def test_delay_holds_for_bytes_that_follow(proxy: TcpProxy) -> None:
    async with RawClient(proxy.port) as client:
        await client.ask("openai_chat", "m")
        proxy.weather = Weather(delay_s=0.05)
        begun_at_s = time.monotonic()
        assert (await client.ask("openai_chat", "m")).end == "complete"
    assert time.monotonic() - begun_at_s >= 0.1


async def test_a_stall_ends_with_resume(proxy: TcpProxy) -> None:
    async with RawClient(proxy.port) as client:
        await client.ask("openai_chat", "m")
        proxy.stall()
        assert (await client.ask("openai_chat", "m", within_s=0.1)).end == "silent"
        proxy.resume()
        assert (await client.receive()).end == "complete"


async def test_connections_can_be_refused_their_start(proxy: TcpProxy) -> None:
    proxy.weather = Weather(accept="reset")
    assert (await ask(proxy.port, "openai_chat", "m")).end == "reset"
    proxy.weather = Weather(accept="hang")
    assert (await ask(proxy.port, "openai_chat", "m", within_s=0.1)).end == "silent"
    assert (proxy.counts.resets, proxy.counts.stalls) == (1, 1)


async def test_reset_all_cuts_both_ends(server: FaultServer, proxy: TcpProxy) -> None:
    async with RawClient(proxy.port) as client:
        client.writer.write(request_bytes("openai_chat", "fault:hangmid"))
        await server.wait_for_requests(1)
        proxy.reset_all()
        assert (await client.receive()).end == "reset"
    await server.wait_until_idle()
    assert server.requests[0].outcome == "client_gone"
    assert proxy.open_connections == 0


async def test_a_client_that_leaves_takes_the_server_side_along(
    server: FaultServer, proxy: TcpProxy
) -> None:
    async with RawClient(proxy.port) as client:
        client.writer.write(request_bytes("openai_chat", "fault:hang"))
        await server.wait_for_requests(1)
    await server.wait_until_idle()
    assert server.open_connections == 0


async def test_a_server_that_is_down_resets_the_client(server: FaultServer) -> None:
    async with TcpProxy(closed_port()) as proxy:
        assert (await ask(proxy.port, "openai_chat", "m")).end == "reset"


async def test_a_black_hole_neither_accepts_nor_refuses() -> None:
    async with black_hole() as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.open_connection("127.0.0.1", port)
