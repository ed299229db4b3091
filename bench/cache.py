"""`python -m bench.cache`: what a hit costs, and the hit ratio of calls that follow Zipf's law.

Figures are those of one machine, whose cores the callers and the provider share: trust ratios.
"""

import asyncio
import random
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from turnout.v1.chat_service_pb2_grpc import ChatServiceStub

from bench.__main__ import batch
from bench.served import chat, gateway, usage
from tests.redis.server import RedisServer


async def hits() -> None:
    for backend in ("memory", "redis"):
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            redis = await stack.enter_async_context(RedisServer(Path(folder)))
            cache = f"cache: {{backend: {backend}, url: '{redis.url}', mode: read_write}}\n"
            server = stack.enter_context(gateway(cache))
            for at_once, label in ((1, "one at a time"), (8, "eight at once")):
                # The first batch fills the cache and warms up; it is not counted.
                work = (server.process, server.port, "bench/tokens:32@10")
                await asyncio.to_thread(batch, *work, streams=50, at_once=at_once)
                seen = await asyncio.to_thread(batch, *work, streams=2000, at_once=at_once)
                print(
                    f"cache hit, {backend}, {label}: first event p50 {seen.first_p50_ms:.2f} ms,"
                    f" p99 {seen.first_p99_ms:.2f} ms,"
                    f" {seen.cpu_us / seen.streams:.0f} us CPU a call"
                )


async def zipf() -> None:
    chooser = random.Random(1)
    weights = [1 / rank for rank in range(1, 1001)]
    prompts = chooser.choices(range(1000), weights, k=2000)
    with gateway("cache: {mode: read_write}\n") as server:
        async with server.channel() as channel:
            stub: Any = ChatServiceStub(channel)
            left = iter(prompts)

            async def caller() -> None:
                for prompt in left:
                    async for _ in stub.Chat(chat(f"question {prompt}")):
                        pass

            await asyncio.gather(*(caller() for _ in range(16)))
            row = await usage(channel)
    joined = row.requests - row.cache_hits - row.cache_misses
    print(
        f"zipf: {row.requests} calls over {len(set(prompts))} prompts of 1000:"
        f" {row.cache_hits} hits ({row.cache_hits / row.requests:.1%}, joined streams included),"
        f" {row.cache_misses} misses, {joined} others"
    )


async def main() -> None:
    """Print every figure."""
    await hits()
    await zipf()


if __name__ == "__main__":
    asyncio.run(main())
