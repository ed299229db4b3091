"""The HTTP port over real connections, good and bad."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from turnout_server.telemetry.metrics_port import MetricsPort


class Health:
    """What the probes say."""

    ready = True
    live = True


class Running:
    """A port and what it is asked."""

    def __init__(self, port: MetricsPort, number: int, health: Health) -> None:
        self.port = port
        self.number = number
        self.health = health

    async def send(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    async def get(self, path: str, headers: str = "") -> tuple[int, str]:
        answer = await self.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()


def render(accept: str) -> tuple[bytes, str]:
    return f"metrics for {accept}\n".encode(), "text/plain"


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    health = Health()
    port = MetricsPort("127.0.0.1:0", render, ready=lambda: health.ready, live=lambda: health.live)
    number = await port.start()
    yield Running(port, number, health)
    port.close()


async def test_metrics_are_rendered_for_what_the_scraper_accepts(running: Running) -> None:
    assert await running.get("/metrics", "Accept: text/x\r\n") == (200, "metrics for text/x\n")
    assert await running.get("/metrics?name=x") == (200, "metrics for \n")


async def test_probes_answer_by_their_callables(running: Running) -> None:
    assert await running.get("/readyz") == (200, "ok\n")
    running.health.ready = False
    assert (await running.get("/readyz"))[0] == 503
    assert (await running.get("/healthz"))[0] == 200
    running.health.live = False
    assert (await running.get("/healthz"))[0] == 503


async def test_whatever_else_is_refused(running: Running) -> None:
    assert (await running.get("/"))[0] == 404
    assert b"405" in await running.send(b"POST /metrics HTTP/1.1\r\n\r\n")
    assert (await running.send(b"HEAD /metrics HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\n")


@pytest.mark.parametrize("rubbish", [b"\x16\x03\x01\r\n\r\n", b"GET\r\n\r\n", b"x" * 100_000])
async def test_rubbish_hurts_nobody(running: Running, rubbish: bytes) -> None:
    with suppress(ConnectionError):
        await running.send(rubbish)
    assert (await running.get("/healthz"))[0] == 200


async def test_idle_connections_use_up_nothing_but_their_own_places(running: Running) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", running.number) for _ in range(20)]
    assert (await running.get("/healthz"))[0] == 200
    for _, writer in idle:
        writer.close()
        await writer.wait_closed()


async def test_a_path_is_listened_on_too(tmp_path: Path) -> None:
    path = tmp_path / "metrics.sock"
    port = MetricsPort(f"unix:{path}", render, ready=lambda: True, live=lambda: True)
    assert await port.start() == 0
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert b"200 OK" in await reader.read()
    writer.close()
    await writer.wait_closed()
    port.close()
