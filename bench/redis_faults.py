"""`python -m bench.redis_faults`: each fault of Redis under load: p99 of the calls, and calls lost.

Cache and limits lie in one Redis behind a proxy; the fault strikes 0.2 s after 3 s of calls begin.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from turnout.v1.chat_service_pb2_grpc import ChatServiceStub

from bench.served import Server, chat, gateway
from tests.fault.upstream.tcp_proxy import TcpProxy, Weather
from tests.redis.server import RedisServer

Fault = Callable[[RedisServer, TcpProxy], Awaitable[object]]


async def _nothing(server: RedisServer, proxy: TcpProxy) -> None:
    """So that the others can be compared."""


async def _killed(server: RedisServer, proxy: TcpProxy) -> None:
    server.kill()


async def _hung(server: RedisServer, proxy: TcpProxy) -> None:
    server.freeze()


async def _slow(server: RedisServer, proxy: TcpProxy) -> None:
    proxy.weather = Weather(delay_s=0.2)


async def _full(server: RedisServer, proxy: TcpProxy) -> None:
    await server.do("CONFIG", "SET", "maxmemory", "1")


async def _replica(server: RedisServer, proxy: TcpProxy) -> None:
    await server.do("REPLICAOF", "127.0.0.1", 1)


async def _flushed(server: RedisServer, proxy: TcpProxy) -> None:
    await server.do("FLUSHALL")


async def _scripts_lost(server: RedisServer, proxy: TcpProxy) -> None:
    await server.do("SCRIPT", "FLUSH")


async def _reset(server: RedisServer, proxy: TcpProxy) -> None:
    await server.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


async def _poisoned(server: RedisServer, proxy: TcpProxy) -> None:
    for key in (await server.do("KEYS", "turnout:*")) or ():  # type: ignore[attr-defined]
        await server.do("SET", key, "garbage")


FAULTS: Sequence[Fault] = (
    _nothing, _killed, _hung, _slow, _full, _replica, _reset, _flushed, _scripts_lost, _poisoned,
)  # fmt: skip


async def callers(channel: grpc.aio.Channel, for_s: float) -> tuple[list[float], int]:
    """How long each call of eight callers took, sorted, and how many failed."""
    stub: Any = ChatServiceStub(channel)
    ends = time.perf_counter() + for_s
    took: list[float] = []
    lost = 0

    async def caller() -> None:
        nonlocal lost
        while time.perf_counter() < ends:
            started = time.perf_counter()
            try:
                async for _ in stub.Chat(chat(f"question {len(took) % 50}")):
                    pass
            except grpc.aio.AioRpcError:
                lost += 1
            took.append(time.perf_counter() - started)
            await asyncio.sleep(0.02)

    await asyncio.gather(*(caller() for _ in range(8)))
    return sorted(took), lost


async def main() -> None:
    """Print a line for each fault."""
    for fault in FAULTS:
        async with _limited() as (server, redis_server, proxy), server.channel() as channel:
            await callers(channel, 1.0)
            running = asyncio.ensure_future(callers(channel, 3.0))
            await asyncio.sleep(0.2)
            await fault(redis_server, proxy)
            took, lost = await running
            print(
                f"redis {fault.__name__.strip('_')}: {len(took)} calls, {lost} lost,"
                f" p50 {statistics.median(took) * 1000:.1f} ms,"
                f" p99 {took[int(len(took) * 0.99)] * 1000:.1f} ms, most {took[-1] * 1000:.1f} ms"
            )


@asynccontextmanager
async def _limited() -> AsyncIterator[tuple[Server, RedisServer, TcpProxy]]:
    """A gateway whose cache and limits lie in one Redis."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        redis_server = await stack.enter_async_context(RedisServer(Path(folder)))
        proxy = await stack.enter_async_context(TcpProxy(redis_server.port))
        url = f"redis://127.0.0.1:{proxy.port}/0"
        tenants = "{default: {rpm: 1000000, tpm: 1000000000, concurrency: 1000}}"
        # Off the event loop, which is where the proxy lives.
        served = gateway(
            f"cache: {{backend: redis, url: '{url}', mode: read_write}}\n"
            f"limits: {{backend: redis, url: '{url}', tenants: {tenants}}}\n"
        )
        server = await asyncio.to_thread(stack.enter_context, served)
        yield server, redis_server, proxy


if __name__ == "__main__":
    asyncio.run(main())
