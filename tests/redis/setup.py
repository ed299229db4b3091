"""Counters and links as the gateway builds them, and tasks that end with the test."""

import asyncio
import math
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress

from turnout_server.policy.gcra import Limiter
from turnout_server.store.memory_counters import MemoryCounters
from turnout_server.store.redis import RedisLink
from turnout_server.store.redis_counters import SCRIPTS, RedisCounters
from turnout_server.store.resilient_counters import ResilientCounters


@asynccontextmanager
async def running(work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def limits_link(url: str) -> RedisLink:
    return RedisLink(
        url,
        name="limits",
        consequence="limits are counted here alone",
        scripts=SCRIPTS,
        needs_room=True,
    )


def memory_counters() -> MemoryCounters:
    return MemoryCounters(Limiter(lease_s=math.inf))


@asynccontextmanager
async def redis_counters(url: str) -> AsyncIterator[RedisCounters]:
    link = limits_link(url)
    counters = RedisCounters(link)
    await link.start()
    async with running(link.run()), running(counters.run()):
        yield counters


@asynccontextmanager
async def resilient_counters(url: str) -> AsyncIterator[ResilientCounters]:
    link = limits_link(url)
    counters = ResilientCounters(link, RedisCounters(link), memory_counters())
    await counters.start()
    async with running(counters.run()):
        yield counters


async def until_up(counters: ResilientCounters, *, within_s: float = 8.0) -> None:
    async with asyncio.timeout(within_s):
        while counters.degraded:
            await asyncio.sleep(0.01)
