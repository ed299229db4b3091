"""A loop that is blocked and a memory that runs full, as callers and operators meet them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.rpc.serving import Failed, Serving, chat, kept_running, serve, text_of
from turnout_server.app import wiring
from turnout_server.app.memory import Memory
from turnout_server.dispatch.admission import Pressure


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


def block_the_loop(block_s: float) -> None:
    time.sleep(block_s)


async def test_a_blocked_loop_is_told_of_with_its_place_and_makes_unready(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with serve(tmp_path) as serving:
        watchdog = serving.gateway.watchdog
        assert watchdog.ready()
        assert watchdog.live()
        asyncio.get_running_loop().call_soon(block_the_loop, 1.8)
        await until(lambda: not watchdog.ready())
        assert watchdog.live()
        assert text_of(await serving.ask(chat("first/say:hi"))) == "hi"
    told = "".join(capfd.readouterr())
    assert "the event loop is blocked" in told
    assert "block_the_loop" in told
    assert "the event loop was blocked" in told


@asynccontextmanager
async def limited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serving]:
    """A gateway whose control group is three files, and its guards at work."""
    for name, text in (("current", "0"), ("stat", "inactive_file 0")):
        (folder / name).write_text(text)
    memory = Memory(1000, folder / "current", folder / "stat", "inactive_file")
    monkeypatch.setattr(wiring, "find_memory", lambda: memory)
    monkeypatch.setattr(wiring, "GUARD_EVERY_S", 0.05)
    async with serve(folder) as serving, kept_running(serving.gateway):
        yield serving


async def fill(serving: Serving, folder: Path, used: int, pressure: Pressure) -> None:
    (folder / "current").write_text(str(used))
    await until(lambda: serving.gateway.watchdog.pressure() is pressure)


async def reason_of(serving: Serving, **options: object) -> str:
    told = await serving.ask(chat("first/say:hi"), **options)
    if not isinstance(told, Failed):
        return "OK"
    assert told.code is grpc.StatusCode.UNAVAILABLE
    assert told.pushback_ms > 0
    return told.reason


async def test_batch_is_shed_first_then_all_that_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = {"metadata": (("x-priority", "batch"),)}
    async with limited(tmp_path, monkeypatch) as serving:
        for used, pressure, of_batch, of_interactive in (
            (840, Pressure.NONE, "OK", "OK"),
            (860, Pressure.SHED_BATCH, "OVERLOADED", "OK"),
            (930, Pressure.SHED_NEW, "OVERLOADED", "OVERLOADED"),
            (100, Pressure.NONE, "OK", "OK"),
        ):
            await fill(serving, tmp_path, used, pressure)
            assert await reason_of(serving, **batch) == of_batch
            assert await reason_of(serving) == of_interactive


async def test_the_last_rung_resets_the_largest_calls_and_frees_their_upstreams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with limited(tmp_path, monkeypatch) as serving:
        small = serving.chat.Chat(chat("first/say:a|hang"))
        await small.read()
        silent = asyncio.create_task(
            serving.ask(chat("first/hang", labels={f"k{n}": "x" * 256 for n in range(32)}))
        )
        large = asyncio.create_task(
            serving.ask(chat("first/say:a|hang", stop_sequences=["x" * 64] * 16, end_user_id="u"))
        )
        await until(lambda: serving.provider("first").open_streams == 3)
        await asyncio.sleep(0.05)
        await fill(serving, tmp_path, 960, Pressure.RESET_LARGEST)
        first = await silent
        assert isinstance(first, Failed)
        assert (first.code, first.reason) == (grpc.StatusCode.UNAVAILABLE, "OVERLOADED")
        second = await large
        assert isinstance(second, Failed)
        assert (second.code, second.reason) == (grpc.StatusCode.ABORTED, "STREAM_INTERRUPTED")
        assert second.detail.output_started
        (tmp_path / "current").write_text("0")
        small.cancel()
        await serving.idle()


async def test_health_says_no_while_new_calls_are_shed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with limited(tmp_path, monkeypatch) as serving:
        watch = aiter(HealthStub(serving.channel).Watch(HealthCheckRequest()))
        told = [(await anext(watch)).status]
        await fill(serving, tmp_path, 930, Pressure.SHED_NEW)
        told.append((await anext(watch)).status)
        await fill(serving, tmp_path, 100, Pressure.NONE)
        told.append((await anext(watch)).status)
    assert told == [
        HealthCheckResponse.SERVING,
        HealthCheckResponse.NOT_SERVING,
        HealthCheckResponse.SERVING,
    ]
