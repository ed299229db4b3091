"""Each script breaks the bytes in exactly its own way."""

import asyncio
import time
import zlib

import pytest

from tests.fault.upstream import POISON, FaultServer, answer
from tests.unit.fault_harness.raw_client import CHAT_WIRES, RawClient, ask, request_bytes

both_wires = pytest.mark.parametrize("wire", CHAT_WIRES)


@both_wires
@pytest.mark.parametrize(
    ("script", "end", "tokens"),
    [
        ("rst~at=4", "reset", 4),
        ("cut~at=4~by=rst", "reset", 4),
        ("cut~at=4~by=close", "eof", 4),
        ("cut~at=4~by=clean", "complete", 4),
        ("cut~at=4~by=stall", "silent", 4),
        ("cut~at=0", "reset", 0),
        ("hangmid", "silent", 3),
        ("trunc", "eof", 3),
        ("truncmidevent", "complete", 3),
        ("nodone", "complete", 12),
        ("nodone_close", "eof", 12),
        ("nodone_finish", "complete", 12),
        ("done_nofinish", "complete", 12),
        ("hangafterhdr", "silent", 0),
        ("pinghang~every_ms=20", "silent", 0),
        ("pinghang~at=2", "silent", 2),
        ("utf8split", "complete", 12),
        ("utf8split~size=7", "complete", 12),
        ("bighdr~kib=8", "complete", 12),
    ],
)
async def test_a_stream_ends_as_its_script_says(
    server: FaultServer, wire: str, script: str, end: str, tokens: int
) -> None:
    received = await ask(server.port, wire, f"fault:{script}", within_s=0.15)
    assert received.status == 200
    assert received.end == end
    assert received.text() == "".join(answer(tokens))


@both_wires
async def test_terminators_are_withheld_one_at_a_time(server: FaultServer, wire: str) -> None:
    finish = b'"finish_reason":"stop"' if wire == "openai_chat" else b'"stop_reason":"end_turn"'
    done = b"data: [DONE]" if wire == "openai_chat" else b'"type":"message_stop"'
    seen = {}
    for script in ("ok", "nodone", "nodone_finish", "done_nofinish"):
        body = (await ask(server.port, wire, f"fault:{script}")).body
        seen[script] = (finish in body, done in body)
    assert seen == {
        "ok": (True, True),
        "nodone": (False, False),
        "nodone_finish": (True, False),
        "done_nofinish": (False, True),
    }


@both_wires
@pytest.mark.parametrize(
    ("script", "end"), [("rst", "reset"), ("hangmid", "silent"), ("trunc", "eof")]
)
async def test_unary_bodies_break_off_as_streams_do(
    server: FaultServer, wire: str, script: str, end: str
) -> None:
    model = f"fault:{script}"
    received = await ask(server.port, wire, model, stream=False, within_s=0.2)
    assert received.end == end
    assert received.body.startswith(b"{")
    with pytest.raises(ValueError, match=r".+"):
        _ = received.json


@pytest.mark.parametrize("script", ["hang", "slowhdr~every_ms=1"])
async def test_no_whole_head_ever_comes(server: FaultServer, script: str) -> None:
    received = await ask(server.port, "openai_chat", f"fault:{script}", within_s=0.2)
    assert (received.end, received.head) == ("silent", b"")


async def test_garbage_is_not_http(server: FaultServer) -> None:
    received = await ask(server.port, "openai_chat", "fault:garbage")
    assert not received.head.startswith(b"HTTP")


async def test_a_trickle_is_a_good_answer_byte_by_byte(server: FaultServer) -> None:
    received = await ask(server.port, "openai_chat", "fault:trickle~tokens=1~every_ms=0")
    assert received.text() == answer(1)[0]
    silent = await ask(server.port, "openai_chat", "fault:trickle", within_s=0.1)
    assert (silent.end, silent.body) == ("silent", b"d")


async def test_a_bomb_is_small_until_it_is_unpacked(server: FaultServer) -> None:
    model = "fault:gzipbomb~mib=16"
    received = await ask(server.port, "openai_chat", model, within_s=5)
    assert received.headers["content-encoding"] == "gzip"
    assert len(received.body) < 64 * 1024
    assert len(zlib.decompress(received.body, wbits=31)) == 16 * 2**20 + 8


async def test_gzip_holds_a_good_answer(server: FaultServer) -> None:
    received = await ask(server.port, "openai_chat", "fault:gzip", stream=False)
    assert b"0\xc3\xa9" in zlib.decompress(received.body, wbits=31)


@pytest.mark.parametrize(("script", "end"), [("hugeline", "complete"), ("noeol", "silent")])
async def test_a_line_grows_to_its_size(server: FaultServer, script: str, end: str) -> None:
    model = f"fault:{script}~mib=2"
    received = await ask(server.port, "openai_chat", model, within_s=0.4)
    assert received.end == end
    assert len(received.body) > 2 * 2**20
    assert received.body.rstrip().count(b"\n") == 0


async def test_a_reader_that_stops_stops_the_upstream(server: FaultServer) -> None:
    async with RawClient(server.port) as client:
        client.writer.write(request_bytes("openai_chat", "fault:hugeline~mib=64"))
        await asyncio.sleep(0.3)
        assert server.active_requests == 1
    await server.wait_until_idle()
    assert server.requests[0].outcome == "client_gone"


@pytest.mark.parametrize("script", ["hang", "hangmid", "ok~gap_ms=200", "pinghang", "trickle"])
async def test_a_client_that_leaves_is_noticed_at_once(server: FaultServer, script: str) -> None:
    async with RawClient(server.port) as client:
        client.writer.write(request_bytes("openai_chat", f"fault:{script}"))
        await server.wait_for_requests(1)
        await asyncio.sleep(0.05)
        assert (server.active_requests, server.open_connections) == (1, 1)
        assert server.requests[0].client_closed_at_s is None
        left_at_s = time.monotonic()
    await server.wait_until_idle()
    request = server.requests[0]
    assert request.outcome == "client_gone"
    assert request.client_closed_at_s is not None
    assert 0 <= request.client_closed_at_s - left_at_s < 1
    assert server.open_connections == 0


async def test_a_stale_connection_dies_at_the_next_request(server: FaultServer) -> None:
    async with RawClient(server.port) as client:
        assert (await client.ask("openai_chat", "fault:stale")).end == "complete"
        assert (await client.ask("openai_chat", "m")).end == "reset"
    assert (len(server.requests), server.stale_closes) == (1, 1)


async def test_an_idle_connection_is_closed_without_notice(server: FaultServer) -> None:
    async with RawClient(server.port) as client:
        received = await client.ask("openai_chat", "fault:stale~when=idle")
        assert "connection" not in received.headers
        assert await client.reader.read() == b""


@both_wires
@pytest.mark.parametrize("stream", [True, False])
async def test_extra_bytes_are_an_answer_nobody_asked_for(
    server: FaultServer, wire: str, stream: bool
) -> None:
    async with RawClient(server.port) as client:
        own = await client.ask(wire, "fault:extrabytes", stream=stream)
        assert (own.end, POISON.encode() in own.body) == ("complete", False)
        poison = await client.receive()
        assert (poison.status, POISON.encode() in poison.body) == (200, True)


async def test_a_stopped_server_refuses_and_starts_on_the_same_port(server: FaultServer) -> None:
    async with RawClient(server.port) as client:
        client.writer.write(request_bytes("openai_chat", "fault:hang"))
        await server.wait_for_requests(1)
        await server.stop()
        assert (await client.receive()).end == "reset"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)
    await server.start()
    assert (await ask(server.port, "openai_chat", "m")).status == 200
    assert server.requests[0].outcome == "cut"
