"""Signals, workers and a parent's death, met by a real process."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.rpc.process import chat_stub, server_process
from tests.rpc.serving import chat

ENDS_WITHIN_S = 45.0


async def started(channel: grpc.aio.Channel, model: str) -> Any:
    """A stream that has said its first word."""
    stream = chat_stub(channel).Chat(chat(model), wait_for_ready=True)
    await stream.read()
    return stream


async def rest_of(stream: Any) -> str:
    """How a stream ended: its status."""
    with contextlib.suppress(grpc.aio.AioRpcError):
        while (await stream.read()) is not grpc.aio.EOF:
            pass
    return str((await stream.code()).name)


async def test_sigterm_lets_streams_end_and_books_every_one(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    async with server_process(tmp_path, unused_tcp_port) as server:
        await server.ready()
        async with server.channel() as channel:
            health = aiter(HealthStub(channel).Watch(HealthCheckRequest()))
            assert (await anext(health)).status == HealthCheckResponse.SERVING
            streams = [await started(channel, "first/say:a|wait:1000|say:b") for _ in range(20)]
            server.signal(signal.SIGTERM)
            assert (await anext(health)).status == HealthCheckResponse.NOT_SERVING
            late = await started(channel, "first/say:late")
            assert await rest_of(late) == "OK"
            assert [await rest_of(stream) for stream in streams] == ["OK"] * 20
            assert await server.ended(ENDS_WITHIN_S) == 0
        assert [call["code"] for call in server.events("call")] == ["OK"] * 21


async def test_the_grace_ends_what_does_not(tmp_path: Path, unused_tcp_port: int) -> None:
    async with server_process(tmp_path, unused_tcp_port, drain_grace="500ms") as server:
        await server.ready()
        async with server.channel() as channel:
            streams = [await started(channel, "first/say:a|hang") for _ in range(3)]
            server.signal(signal.SIGTERM)
            assert [await rest_of(stream) for stream in streams] == ["UNAVAILABLE"] * 3
            assert await server.ended(ENDS_WITHIN_S) == 0
        booked = [(call["code"], call["reason"]) for call in server.events("call")]
        assert booked == [("UNAVAILABLE", "SHUTTING_DOWN")] * 3


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_streams_at_once_and_still_books_them(
    tmp_path: Path, unused_tcp_port: int, first: signal.Signals
) -> None:
    grace = {"drain_grace": "1m", "lame_duck": "1m"}
    async with server_process(tmp_path, unused_tcp_port, **grace) as server:
        await server.ready()
        async with server.channel() as channel:
            streams = [await started(channel, "first/say:a|hang") for _ in range(5)]
            server.signal(first)
            await asyncio.sleep(0.3)
            server.signal(signal.SIGTERM)
            assert [await rest_of(stream) for stream in streams] == ["UNAVAILABLE"] * 5
            assert await server.ended(ENDS_WITHIN_S) == 0
        booked = [(call["code"], call["reason"]) for call in server.events("call")]
        assert booked == [("UNAVAILABLE", "SHUTTING_DOWN")] * 5


async def answers(server: Any, count: int) -> list[str]:
    """How calls end, each on a connection of its own."""
    codes = []
    for _ in range(count):
        async with server.channel() as channel:
            codes.append(await rest_of(await started(channel, "first/say:a|say:b")))
    return codes


async def test_a_killed_worker_is_replaced_while_the_others_serve(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    async with server_process(tmp_path, unused_tcp_port, workers=2) as server:
        await server.ready(workers=2)
        parent = psutil.Process(server.pid)
        before = parent.children()
        assert len(before) == 2
        assert all("--worker" in worker.cmdline() for worker in before)
        async with server.channel() as channel:
            await started(channel, "first/say:a|hang")
            before[0].kill()
            assert await answers(server, 10) == ["OK"] * 10
        await server.ready(workers=3)
        assert len(parent.children()) == 2
        assert [line["exit_status"] for line in server.events("a worker died")] == [-9]
        server.signal(signal.SIGTERM)
        assert await server.ended(ENDS_WITHIN_S) == 0
        assert not [worker for worker in before if worker.is_running()]


async def test_workers_share_the_port_drain_together_and_have_own_admin_ports(
    tmp_path: Path, unused_tcp_port_factory: Any
) -> None:
    port = unused_tcp_port_factory()
    async with server_process(tmp_path, port, workers=2, admin_listen="127.0.0.1:0") as server:
        await server.ready(workers=2)
        async with contextlib.AsyncExitStack() as stack:
            channels = [await stack.enter_async_context(server.channel()) for _ in range(12)]
            streams = [await started(each, "first/say:a|wait:700|say:b") for each in channels]
            server.signal(signal.SIGTERM)
            assert [await rest_of(stream) for stream in streams] == ["OK"] * 12
        assert await server.ended(ENDS_WITHIN_S) == 0
        assert len(server.events("call")) == 12


async def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path, unused_tcp_port: int) -> None:
    async with server_process(tmp_path, unused_tcp_port, workers=2) as server:
        await server.ready(workers=2)
        workers = psutil.Process(server.pid).children()
        server.signal(signal.SIGKILL)
        async with asyncio.timeout(ENDS_WITHIN_S):
            while any(worker.is_running() for worker in workers):
                await asyncio.sleep(0.05)


async def test_a_taken_port_is_said_in_one_line(
    tmp_path: Path, unused_tcp_port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    async with server_process(tmp_path, unused_tcp_port) as first:
        await first.ready()
        for workers in (1, 2):
            (tmp_path / "second").mkdir(exist_ok=True)
            second = server_process(tmp_path / "second", unused_tcp_port, workers=workers)
            async with second as refused:
                assert await refused.ended(ENDS_WITHIN_S) == 1
            told = capfd.readouterr().err.strip()
            assert told.startswith(f"turnout: cannot listen on 127.0.0.1:{unused_tcp_port}")
            assert "\n" not in told


async def test_workers_that_cannot_start_end_the_parent_with_their_reason(
    tmp_path: Path, unused_tcp_port_factory: Any
) -> None:
    port, admin = unused_tcp_port_factory(), unused_tcp_port_factory()
    with contextlib.closing(await asyncio.start_server(print, "127.0.0.1", admin)):
        async with server_process(
            tmp_path, port, workers=2, admin_listen=f"127.0.0.1:{admin}"
        ) as server:
            assert await server.ended(ENDS_WITHIN_S) == 1


def test_this_process_was_not_forked_from_a_server() -> None:
    """Workers are begun by exec: nothing in the server calls fork, or a pool that might."""
    source = Path(__file__).parents[2] / "server" / "turnout_server"
    banned = ("os.fork", "import multiprocessing", "from multiprocessing", "ProcessPoolExecutor")
    texts = {file: file.read_text() for file in source.rglob("*.py")}
    assert not [file for file, text in texts.items() if any(word in text for word in banned)]
    assert os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "false") == "false"
