"""The process itself: how it ends, what it runs out of, and what outlives a release.

Signals, workers, the memory ladder and the watchdog are met by real processes in tests/rpc.
"""

import asyncio
import os
import resource
import sys
import time
from pathlib import Path

import grpc
import psutil
import pytest
from turnout.v1.chat_service_pb2 import ChatResponse

from tests.fault.stage import DEFAULT_TEXT, Stage
from tests.rpc.process import chat_stub, server_process
from tests.rpc.serving import chat
from turnout_server.core.watch import AttemptOutcome

DYING_GUARD = """
import sys
from turnout_server.app import wiring
from turnout_server.__main__ import main

async def die(self):
    raise RuntimeError("the guard died")

wiring.Gateway._guard = die
main()
"""


@pytest.mark.row(107)
async def test_a_stop_books_every_stream_and_closes_every_upstream(stage: Stage, wire: str) -> None:
    """Half of them end within the grace, half are cut by it."""
    short = [asyncio.ensure_future(stage.ask(wire, "ok~tokens=20~gap_ms=10")) for _ in range(10)]
    long = [asyncio.ensure_future(stage.ask(wire, "ok~tokens=900~gap_ms=10")) for _ in range(10)]
    await stage.upstream.wait_for_requests(20)
    await stage.drain(grace_s=0.6)
    assert [(await told).code for told in short] == ["OK"] * 10
    assert [(await told).code for told in long] == ["UNAVAILABLE"] * 10
    reasons = sorted(record.code for record in stage.sinks.seen.calls)
    assert reasons == ["OK"] * 10 + ["UNAVAILABLE"] * 10
    outcomes = [record.outcome for record in stage.attempts]
    assert outcomes.count(AttemptOutcome.CANCELLED) == 10
    await stage.upstream.wait_until_idle()


@pytest.mark.row(112)
async def test_a_process_out_of_descriptors_lives_and_recovers(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    async with server_process(tmp_path, unused_tcp_port) as server:
        await server.ready()
        process = psutil.Process(server.pid)
        async with server.channel() as channel:
            assert await answer(channel) == "hi"
            limit = process.num_fds() + 20
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, limit))
            callers = [
                await asyncio.open_connection("127.0.0.1", unused_tcp_port) for _ in range(80)
            ]
            before_s = sum(process.cpu_times()[:2])
            await asyncio.sleep(1)
            assert sum(process.cpu_times()[:2]) - before_s < 0.5, "it does not spin"
            assert await answer(channel) == "hi", "who is connected is served"
            for _, writer in callers:
                writer.close()
        async with server.channel() as fresh:
            assert await answer(fresh) == "hi", "and so is who comes after"


async def answer(channel: grpc.aio.Channel) -> str:
    call = chat_stub(channel).Chat(chat("first/say:hi"), wait_for_ready=True, timeout=10)
    return "".join([event.text_delta async for event in call])


@pytest.mark.row(115)
async def test_a_task_that_dies_in_the_background_ends_the_process_loudly(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    file = tmp_path / "turnout.yaml"
    file.write_text(
        f"server: {{listen: '127.0.0.1:{unused_tcp_port}'}}\n"
        "providers: {first: {row: scripted, keys: []}}\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DYING_GUARD, "serve", "--config", str(file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    async with asyncio.timeout(20):
        told, _ = await process.communicate()
    assert process.returncode not in (0, None)
    assert b"RuntimeError" in told


@pytest.mark.row(116)
async def test_a_caller_of_a_later_release_is_served(stage: Stage, wire: str) -> None:
    """It sends fields that we do not know; the rest of its request means what it says."""
    known = stage.request(wire).SerializeToString()
    later = b"\xca\xbb\x01\x05later" + b"\xd0\xbb\x01\x07"
    call = stage.channel.unary_stream(
        "/turnout.v1.ChatService/Chat",
        request_serializer=None,
        response_deserializer=None,
    )
    number = stage.calls.begin()
    events = [ChatResponse.FromString(raw) async for raw in call(known + later, timeout=10)]
    stage.calls.end(number, "OK")
    assert "".join(event.text_delta for event in events) == DEFAULT_TEXT


@pytest.mark.row(127)
async def test_a_configuration_that_changes_under_load_costs_no_call(
    stage: Stage, wire: str
) -> None:
    ends_s = time.monotonic() + 1.5
    codes: list[str] = []

    async def caller() -> None:
        while time.monotonic() < ends_s:
            told = await stage.ask(wire, "ok~gap_ms=5")
            codes.append(told.code if told.text == DEFAULT_TEXT else told.text)

    async def operator() -> None:
        turn = 0
        while time.monotonic() < ends_s:
            turn += 1
            models = {f"turn-{turn}": {"targets": ["spare/fault:ok"]}}
            providers = dict(stage.config["providers"])
            providers[wire] = providers[wire] | {"headers": {"x-turn": str(turn)}}
            await stage.reapply(models=models, providers=providers)
            await asyncio.sleep(0.1)

    await asyncio.gather(operator(), *(caller() for _ in range(8)))
    assert {*codes} == {"OK"}
    assert len(codes) > 50
    assert len({request.headers.get("x-turn") for request in stage.upstream.requests}) > 5
