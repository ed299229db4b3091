"""Callers that leave, dawdle, or send what no well-behaved client would."""

import asyncio
import random
import ssl
import statistics
import sys
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc._cython import cygrpc
from hyperframe.frame import (
    ContinuationFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse, Tool
from turnout.v1.chat_service_pb2_grpc import ChatServiceStub
from turnout.v1.content_pb2 import ROLE_USER, Message, Part, ToolResult

from tests.fault import raw_http2
from tests.fault.conftest import Figures, OpenStage
from tests.fault.invariants import MIB
from tests.fault.raw_http2 import RawHttp2
from tests.fault.stage import DEFAULT_TEXT, Stage, Told
from tests.fault.upstream import TcpProxy
from tests.rpc.serving import failed
from turnout_server.core.call import Method
from turnout_server.core.watch import AttemptOutcome
from turnout_server.rpc import calls as rpc_calls
from turnout_server.rpc import server as rpc_server
from turnout_server.rpc.writer import StreamWriter

ROOT = Path(__file__).parents[2]
RAW_CHAT = "/turnout.v1.ChatService/Chat"


def serve_with(patch: pytest.MonkeyPatch, **options: int) -> None:
    """Have servers started from now on use other options of grpc, by their last word."""
    changed = {
        name: options.get(name.rpartition(".")[2], value) for name, value in rpc_server.OPTIONS
    }
    patch.setattr(rpc_server, "OPTIONS", tuple(changed.items()))


async def leave_after(stage: Stage, request: ChatRequest, wait_s: float) -> float:
    """Call and cancel after a while; returns when (monotonic) it was cancelled."""
    number = stage.calls.begin()
    call = stage.chat.Chat(request, timeout=20)
    reading = asyncio.ensure_future(drain(call))
    await asyncio.sleep(wait_s)
    call.cancel()
    cancelled_at_s = time.monotonic()
    with suppress(asyncio.CancelledError):
        await reading
    stage.calls.end(number, (await call.code()).name)
    return cancelled_at_s


async def drain(call: Any) -> None:
    async for _ in call:
        pass


async def until_over(stage: Stage, calls: int) -> None:
    """Wait until so many calls are on record."""
    async with asyncio.timeout(5):
        while len(stage.sinks.seen.calls) < calls:
            await asyncio.sleep(0.005)


@pytest.fixture
def begun(stage: Stage) -> int:
    """Calls on record before the test."""
    return len(stage.sinks.seen.calls)


# ---------------------------------------------------------------- leaving


@pytest.mark.row(61, 62)
@pytest.mark.parametrize(
    ("moment", "script"),
    [("before output", "ok~first_ms=400"), ("mid-stream", "ok~tokens=400~gap_ms=2")],
)
async def test_a_cancel_at_any_instant_closes_the_upstream_and_is_booked_once(
    stage: Stage, wire: str, moment: str, script: str, begun: int, figures: Figures
) -> None:
    source = random.Random(61)
    closed_after_ms: list[float] = []
    for _ in range(50):
        seen = len(stage.upstream.requests)
        at_s = await leave_after(stage, stage.request(wire, script), source.uniform(0, 0.05))
        await stage.upstream.wait_until_idle()
        closed = [request.client_closed_at_s for request in stage.upstream.requests[seen:]]
        closed_after_ms += [(gone - at_s) * 1000 for gone in closed if gone is not None]
    await until_over(stage, len(stage.sinks.seen.accepted_calls))
    assert {record.code for record in stage.sinks.seen.calls[begun:]} == {"CANCELLED"}
    assert {record.outcome for record in stage.attempts} <= {AttemptOutcome.CANCELLED}
    assert all(record.usage for record in stage.attempts), "what was sent is paid for"
    assert stage.health(wire).error_rate == 0.0
    stage.unsent_attempts = len(stage.attempts) - len(stage.upstream.requests)
    assert 0 <= stage.unsent_attempts <= 20
    middle, most = statistics.median(closed_after_ms), max(closed_after_ms)
    p99 = sorted(closed_after_ms)[int(0.99 * len(closed_after_ms))]
    figures.add(
        f"{wire}: cancel {moment} to upstream's close, {len(closed_after_ms)} instants: "
        f"p50 {middle:.1f} ms, p99 {p99:.1f} ms, max {most:.1f} ms"
    )


@pytest.mark.row(62)
async def test_a_caller_who_leaves_in_mid_stream_pays_for_what_was_said(
    stage: Stage, wire: str, begun: int
) -> None:
    number = stage.calls.begin()
    call = stage.chat.Chat(stage.request(wire, "hangmid~at=6"), timeout=20)
    await call.read()
    call.cancel()
    stage.calls.end(number, (await call.code()).name)
    await until_over(stage, begun + 1)
    (record,) = stage.attempts
    assert record.usage is not None
    assert record.usage.estimated
    assert record.usage.output_tokens > 0


@pytest.mark.row(63)
async def test_a_killed_caller_frees_its_upstream_within_a_second(
    stage: Stage, wire: str, figures: Figures
) -> None:
    stage.max_rss_growth_bytes = 64 * MIB
    caller = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.fault.lone_caller",
        str(stage.gateway.port),
        f"{wire}/fault:hangmid",
        cwd=ROOT,
        env={"PYTHONPATH": "generated/python"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert caller.stdout is not None
    assert await caller.stdout.readline() == b"speaks\n"
    caller.kill()
    killed_at_s = time.monotonic()
    await stage.upstream.wait_until_idle(within_s=1.0)
    gone_at_s = stage.upstream.requests[0].client_closed_at_s
    assert gone_at_s is not None
    took_ms = (gone_at_s - killed_at_s) * 1000
    figures.add(f"{wire}: SIGKILL of the caller to upstream's close: {took_ms:.1f} ms")
    await caller.wait()


@pytest.mark.row(64)
@pytest.mark.parametrize("script", ["hangmid", "ok~tokens=4000~gap_ms=5"])
async def test_a_caller_behind_a_dead_network_is_noticed_by_keepalive(
    set_stage: OpenStage, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No FIN and no RST comes, only silence: a proxy passes no byte any more."""
    serve_with(monkeypatch, keepalive_time_ms=1_000, keepalive_timeout_ms=500, ping_timeout_ms=500)
    stage = await set_stage()
    async with (
        TcpProxy(stage.gateway.port) as network,
        grpc.aio.insecure_channel(f"127.0.0.1:{network.port}") as channel,
    ):
        number = stage.calls.begin()
        call = ChatServiceStub(channel).Chat(stage.request("openai", script))
        await call.read()
        network.stall()
        await stage.upstream.wait_until_idle(within_s=10.0)
        network.reset_all()
        code = await call.code()
        stage.calls.end(number, code.name)
    assert code is grpc.StatusCode.UNAVAILABLE


# ---------------------------------------------------------------- dawdling


@pytest.mark.row(65)
async def test_a_slow_readers_pace_reaches_the_upstream(stage: Stage, wire: str) -> None:
    # Upstream, gateway and caller share this process. What grows was not traced: up to 98 MiB was
    # seen, against the 256 MiB that flow where nobody holds them back.
    stage.max_rss_growth_bytes = 160 * MIB
    number = stage.calls.begin()
    call = stage.chat.Chat(stage.request(wire, "torrent~mib=256"))
    await call.read()
    await asyncio.sleep(0.5)
    (request,) = stage.upstream.requests
    early = request.frames_sent
    await asyncio.sleep(0.5)
    assert request.frames_sent == early, "nothing flows while nothing is read"
    assert early * 64 * 1024 < 32 * MIB
    for _ in range(200):
        await call.read()
    await asyncio.sleep(0.1)
    assert request.frames_sent > early, "and on it goes"
    call.cancel()
    stage.calls.end(number, (await call.code()).name)


@pytest.mark.row(65)
async def test_a_slow_reader_loses_nothing(stage: Stage, wire: str) -> None:
    stage.max_rss_growth_bytes = 64 * MIB
    number = stage.calls.begin()
    size_bytes = 0
    call = stage.chat.Chat(stage.request(wire, "torrent~mib=8"))
    async for event in call:
        size_bytes += len(event.text_delta)
        await asyncio.sleep(0.005)
    stage.calls.end(number, (await call.code()).name)
    assert size_bytes == 8 * MIB


@pytest.mark.row(66)
async def test_a_caller_who_never_reads_is_let_go(
    stage: Stage, wire: str, monkeypatch: pytest.MonkeyPatch, begun: int
) -> None:
    monkeypatch.setitem(StreamWriter.__init__.__kwdefaults__, "write_timeout_s", 0.5)
    stage.max_rss_growth_bytes = 96 * MIB
    number = stage.calls.begin()
    call = stage.chat.Chat(stage.request(wire, "torrent~mib=256"))
    await stage.upstream.wait_for_requests(1)
    await stage.upstream.wait_until_idle(within_s=5.0)
    await until_over(stage, begun + 1)
    assert stage.gateway.in_flight() == 0, "the place is free while the caller still hangs on"
    call.cancel()
    stage.calls.end(number, (await call.code()).name)


# ---------------------------------------------------------------- deadlines


@pytest.mark.row(67)
async def test_a_deadline_shorter_than_the_answer_calls_nobody_else(
    stage: Stage, wire: str
) -> None:
    told = await stage.ask(
        wire, "hang", spare=True, timeout=0.2, routing={"disable_fallback": True}
    )
    assert told.code == "DEADLINE_EXCEEDED"
    assert told.took_s < 0.6
    await stage.upstream.wait_until_idle()
    assert stage.spare.requests == []
    assert stage.health(wire).error_rate == 0.0


@pytest.mark.row(67)
async def test_a_deadline_is_divided_among_the_targets(stage: Stage, wire: str) -> None:
    told = await stage.ask(wire, "hang", spare=True, timeout=1.0)
    assert told.text == DEFAULT_TEXT
    assert 0.4 < told.took_s < 0.9


@pytest.mark.row(67)
async def test_a_deadline_in_mid_stream_ends_the_upstream_too(
    stage: Stage, wire: str, begun: int
) -> None:
    told = await stage.ask(wire, "ok~tokens=4000~gap_ms=5", timeout=0.3)
    assert told.code == "DEADLINE_EXCEEDED"
    assert "".join(told.text)
    await stage.upstream.wait_until_idle()
    await until_over(stage, begun + 1)
    assert stage.sinks.seen.calls[-1].code == "DEADLINE_EXCEEDED"
    assert stage.health(wire).error_rate == 0.0


@pytest.mark.row(68)
async def test_a_call_without_a_deadline_is_given_one(
    stage: Stage, wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rpc_calls.NO_DEADLINE_S, Method.CHAT, 0.3)
    monkeypatch.setitem(rpc_calls.NO_DEADLINE_S, Method.COMPLETE_CHAT, 0.3)
    for call in (stage.ask, stage.complete):
        told = await call(wire, "hang", timeout=None)
        assert told.outcome == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
        assert told.told_of.pushback_ms == -1
        assert told.took_s < 1.0


@pytest.mark.row(69)
@pytest.mark.parametrize("timeout_s", [-1.0, 0.0, 0.001, 0.02, 0.04])
async def test_a_deadline_too_near_calls_nobody(stage: Stage, wire: str, timeout_s: float) -> None:
    told = await stage.ask(wire, spare=True, timeout=timeout_s)
    assert told.code == "DEADLINE_EXCEEDED"
    await asyncio.sleep(0.1)
    assert stage.upstream_calls() == 0


# ---------------------------------------------------------------- sizes


@pytest.mark.row(70)
async def test_an_oversized_message_is_refused_and_a_large_one_taken(stage: Stage) -> None:
    # The caller makes its copies in the same process.
    stage.max_rss_growth_bytes = 200 * MIB
    stage.invariants.max_loop_lag_s = 1.0
    large = await stage.ask("openai", messages=[Message(role=ROLE_USER, text="x" * (5 * MIB))])
    assert large.text == DEFAULT_TEXT
    oversized = stage.request("openai", messages=[Message(role=ROLE_USER, text="x" * (33 * MIB))])
    told = await stage.send(oversized)
    assert told.code == "RESOURCE_EXHAUSTED"
    assert len(stage.upstream.requests) == 1


@pytest.mark.row(71)
async def test_a_compression_bomb_is_never_unfolded(stage: Stage) -> None:
    stage.max_rss_growth_bytes = 48 * MIB
    bomb = await asyncio.to_thread(_bomb, 256)
    async with RawHttp2(stage.gateway.port) as caller:
        body = raw_http2.message(bomb, compressed=True)
        await caller.send([caller.headers(1, grpc_encoding="gzip"), *raw_http2.data(1, body)])
        assert await caller.status_of(1) == "8", "RESOURCE_EXHAUSTED"
    assert stage.upstream_calls() == 0


def _bomb(size_mib: int) -> bytes:
    packer = zlib.compressobj(level=9, wbits=31)
    zeros = bytes(MIB)
    return b"".join(packer.compress(zeros) for _ in range(size_mib)) + packer.flush()


@pytest.mark.row(72)
async def test_streams_beyond_a_connections_limit_are_refused_and_harm_nobody(
    stage: Stage,
) -> None:
    async with RawHttp2(stage.gateway.port) as caller:
        await caller.send(caller.headers(2 * n + 1) for n in range(1_200))
        await caller.until(lambda: len(raw_http2.resets(caller)) >= 200)
        assert set(raw_http2.resets(caller)) == {raw_http2.REFUSED_STREAM}
        assert (await stage.ask("openai")).text == DEFAULT_TEXT


# ---------------------------------------------------------------- nonsense


async def ask_raw(stage: Stage, body: bytes, method: str = RAW_CHAT, **options: Any) -> Told:
    """Send bytes as they are to a method that streams."""
    call = stage.channel.unary_stream(
        method, request_serializer=None, response_deserializer=ChatResponse.FromString
    )
    told = Told()
    number = stage.calls.begin()
    try:
        async for event in call(body, timeout=10, **options):
            told.events.append(event)
    except grpc.aio.AioRpcError as error:
        told.failure = failed(error)
    stage.calls.end(number, told.code, f"{told.failure}")
    return told


@pytest.mark.row(74, 75)
@pytest.mark.parametrize(
    "body",
    [
        b"\xff",
        b"\x0a\x05ab",
        b"\x0a\x02\xff\xfe",
        b"\x08" * 50,
        b"\x12" + b"\xff" * 9 + b"\x01",
        bytes(range(256)),
    ],
    ids=["wild", "cut", "not-utf-8", "varints", "huge-length", "all-bytes"],
)
async def test_bytes_that_are_no_request_are_the_callers_fault(stage: Stage, body: bytes) -> None:
    told = await ask_raw(stage, body)
    assert told.outcome == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    assert stage.upstream_calls() == 0


@pytest.mark.row(74)
@pytest.mark.parametrize("model", ["fault:ok\t", "fault:ok~seed=é", "fault:ok\r\nx-evil: 1", " "])
async def test_a_model_that_no_header_can_hold_is_still_answered(
    stage: Stage, wire: str, model: str
) -> None:
    """The initial metadata name the model, and hold printable ASCII only."""
    stage.upstream.rules[model] = "ok"
    for call in (stage.ask, stage.complete):
        told = await call(wire, model=f"{wire}/{model}")
        assert (told.text, told.finish.route.model) == (DEFAULT_TEXT, model)


@pytest.mark.row(74)
async def test_random_bytes_never_show_a_bug(stage: Stage) -> None:
    source = random.Random(74)
    valid = stage.request("", "", model="openai/plain").SerializeToString()
    for _ in range(300):
        body = bytearray(valid)
        for _ in range(source.randint(1, 4)):
            body[source.randrange(len(body))] = source.randrange(256)
        told = await ask_raw(stage, bytes(body))
        assert told.code in ("OK", "INVALID_ARGUMENT", "NOT_FOUND"), bytes(body)


@pytest.mark.row(75)
async def test_nesting_without_end_is_refused(stage: Stage) -> None:
    part = Part(text="at last")
    for _ in range(40):
        part = Part(tool_result=ToolResult(tool_call_id="t", parts=[part]))
    request = stage.request("openai", messages=[Message(role=ROLE_USER, parts=[part])])
    told = await ask_raw(stage, request.SerializeToString())
    assert told.outcome == ("INVALID_ARGUMENT", "INVALID_REQUEST")


@pytest.mark.row(75)
async def test_a_mebibyte_of_fields_we_do_not_know_is_passed_over(stage: Stage) -> None:
    unknown = b"\xfa\xff\x7f\x20" + b"x" * 32
    body = stage.request("openai").SerializeToString() + unknown * (MIB // len(unknown))
    assert (await ask_raw(stage, body)).text == DEFAULT_TEXT


HOSTILE: dict[str, dict[str, Any]] = {
    "messages": {"messages": []},
    "temperature": {"temperature": float("nan")},
    "max_output_tokens": {"max_output_tokens": 2**31},
    "tools": {"tools": [Tool(name=f"t{n}") for n in range(10_000)]},
    "stop_sequences": {"stop_sequences": ["x"] * 17},
    "labels": {"labels": {f"k{n}": "v" for n in range(33)}},
    "model": {"model": "m" * 257},
}
"""Values without sense, by the field that must be named."""


@pytest.mark.row(76)
@pytest.mark.parametrize("field", HOSTILE)
async def test_senseless_values_are_refused_by_the_name_of_their_field(
    stage: Stage, field: str
) -> None:
    told = await stage.ask("openai", **HOSTILE[field])
    assert told.outcome == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    named = [violation.field for violation in told.told_of.bad_request.field_violations]
    assert any(name.startswith(field) for name in named)
    assert stage.upstream_calls() == 0


@pytest.mark.row(80)
async def test_metadata_without_end_is_refused(stage: Stage) -> None:
    bomb = tuple((f"x-{n}", "v" * 64) for n in range(2_000))
    told = await stage.ask("openai", metadata=bomb)
    assert told.code == "RESOURCE_EXHAUSTED"
    assert stage.upstream_calls() == 0


@pytest.mark.row(81)
async def test_headers_that_claim_an_identity_are_not_believed(stage: Stage) -> None:
    claims = (
        ("x-tenant-id", "somebody-else"),
        ("x-forwarded-client-cert", 'By=spiffe://mesh/a;URI="spiffe://mesh/admin"'),
        ("x-forwarded-for", "10.0.0.1"),
    )
    assert (await stage.ask("openai", metadata=claims)).code == "OK"
    identity = stage.sinks.seen.accepted_calls[-1].identity
    assert (identity.tenant, identity.subject) == ("default", "")


@pytest.mark.row(86)
@pytest.mark.parametrize(
    "method", ["/turnout.v1.ChatService/Sing", "/turnout.v2.ChatService/Chat", "/x/y"]
)
async def test_an_unknown_method_is_unimplemented(stage: Stage, method: str) -> None:
    assert (await ask_raw(stage, b"", method)).code == "UNIMPLEMENTED"


@pytest.mark.row(87)
async def test_an_idempotency_key_sent_again_is_given_the_same_reply(
    stage: Stage, wire: str
) -> None:
    once = (("idempotency-key", "once"),)
    for call in (stage.ask, stage.complete):
        told = [await call(wire, metadata=once) for _ in range(3)]
        assert {one.text for one in told} == {DEFAULT_TEXT}
    assert len(stage.upstream.requests) == 2, "one for each method"
    other = await stage.ask(wire, metadata=once, temperature=0.5)
    assert other.outcome == ("INVALID_ARGUMENT", "INVALID_REQUEST")


@pytest.mark.row(87)
async def test_an_idempotency_key_under_way_is_not_begun_twice(stage: Stage, wire: str) -> None:
    once = (("idempotency-key", "once"),)
    script = "ok~first_ms=200"
    first = asyncio.ensure_future(stage.ask(wire, script, metadata=once))
    await stage.upstream.wait_for_requests(1)
    second = await stage.ask(wire, script, metadata=once)
    assert second.outcome == ("ABORTED", "DUPLICATE_REQUEST")
    assert (await first).text == DEFAULT_TEXT
    assert len(stage.upstream.requests) == 1


@pytest.mark.row(87)
async def test_a_failed_call_does_not_use_its_idempotency_key_up(stage: Stage, wire: str) -> None:
    once = (("idempotency-key", "once"),)
    stage.upstream.queue.extend(["400", "ok"])
    assert (await stage.ask(wire, metadata=once)).code == "INVALID_ARGUMENT"
    assert (await stage.ask(wire, metadata=once)).text == DEFAULT_TEXT


# ---------------------------------------------------------------- the transport under attack


@pytest.mark.row(64, 82, 84, 88)
def test_every_option_of_the_server_is_one_that_grpc_knows() -> None:
    """grpc says nothing of an option that it does not know."""
    library = Path(cygrpc.__file__).read_bytes()
    assert [name for name, _ in rpc_server.OPTIONS if name.encode() not in library] == []


@pytest.mark.row(82)
async def test_a_flood_of_pings_is_hung_up_on(stage: Stage) -> None:
    async with RawHttp2(stage.gateway.port) as caller:
        await caller.send(PingFrame(0, b"8 octets") for _ in range(400))
        await caller.until(caller.closed.is_set)
        # Its last words may be lost to the reset that follows bytes nobody read.
        assert {*raw_http2.goaways(caller)} <= {raw_http2.ENHANCE_YOUR_CALM}


@pytest.mark.row(82)
async def test_a_callers_honest_keepalive_survives_silence(
    set_stage: OpenStage, wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers may ping every ten seconds; here all intervals are a tenth of those in life."""
    least_ms = dict(rpc_server.OPTIONS)["grpc.http2.min_ping_interval_without_data_ms"]
    serve_with(monkeypatch, min_ping_interval_without_data_ms=least_ms // 10)
    stage = await set_stage(
        channel_options=(
            ("grpc.keepalive_time_ms", 1_000),
            ("grpc.keepalive_timeout_ms", 500),
            ("grpc.http2.max_pings_without_data", 0),
        )
    )
    assert (await stage.ask(wire, "ok~first_ms=4500")).text == DEFAULT_TEXT


def _frames(attack: str, caller: RawHttp2, count: int) -> Iterator[Any]:
    if attack == "rapid reset":
        for n in range(count):
            yield caller.headers(2 * n + 1)
            yield RstStreamFrame(2 * n + 1, error_code=8)
    elif attack == "settings":
        for _ in range(count):
            yield SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 65_535})
    elif attack == "zero window update":
        for n in range(count):
            yield caller.headers(2 * n + 1)
            # hyperframe itself refuses an increment of nothing.
            yield _Bytes(
                WindowUpdateFrame(2 * n + 1, window_increment=1).serialize()[:9] + bytes(4)
            )
    else:
        head = caller.headers(1)
        yield HeadersFrame(1, head.data)
        for _ in range(count):
            yield ContinuationFrame(1, b"\x00" * 4_096)


class _Bytes:
    """A frame that no library would make."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def serialize(self) -> bytes:
        return self._raw


@pytest.mark.row(83)
@pytest.mark.parametrize(
    "attack", ["rapid reset", "settings", "continuation", "zero window update"]
)
async def test_a_flood_of_frames_leaves_the_server_well(
    stage: Stage, attack: str, figures: Figures
) -> None:
    stage.max_rss_growth_bytes = 80 * MIB
    began_s, cpu_s = time.monotonic(), time.process_time()
    async with RawHttp2(stage.gateway.port) as caller:
        await caller.send(_frames(attack, caller, 4_000))
        assert (await stage.ask("openai")).text == DEFAULT_TEXT
    figures.add(
        f"{attack}: 4,000 in {time.monotonic() - began_s:.2f} s, "
        f"{time.process_time() - cpu_s:.2f} s of CPU with the attacker's own"
    )


@pytest.mark.row(84)
@pytest.mark.parametrize("sent", [b"", raw_http2.PREFACE[:10], b"\x16\x03\x01"])
async def test_half_a_handshake_is_not_waited_for(
    set_stage: OpenStage, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_with(monkeypatch, server_handshake_timeout_ms=500)
    stage = await set_stage()
    connections = [await _connect(stage.gateway.port, sent) for _ in range(50)]
    async with asyncio.timeout(4):
        for reader, _ in connections:
            await until_hung_up(reader)
    for _, writer in connections:
        writer.close()


async def _connect(port: int, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    return reader, writer


async def until_hung_up(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while await reader.read(65_536):
            pass


@asynccontextmanager
async def few_lines(stage: Stage) -> AsyncIterator[None]:
    """What happens inside writes hardly anything into the log."""
    before = len(stage.sinks.log_text().splitlines())
    yield
    await asyncio.sleep(0.1)
    assert len(stage.sinks.log_text().splitlines()) - before <= 3


@pytest.mark.row(85)
async def test_plain_http_is_hung_up_on(stage: Stage) -> None:
    async with few_lines(stage):
        for _ in range(20):
            reader, writer = await _connect(
                stage.gateway.port, b"GET / HTTP/1.1\r\nhost: turnout\r\n\r\n"
            )
            async with asyncio.timeout(3):
                await until_hung_up(reader)
            writer.close()


@pytest.mark.row(85)
async def test_tls_to_the_plain_port_is_hung_up_on(stage: Stage) -> None:
    context = ssl.create_default_context()
    async with few_lines(stage):
        for _ in range(20):
            with pytest.raises((ssl.SSLError, ConnectionError, TimeoutError)):
                await asyncio.open_connection(
                    "127.0.0.1",
                    stage.gateway.port,
                    ssl=context,
                    server_hostname="turnout",
                    ssl_handshake_timeout=3,
                )
