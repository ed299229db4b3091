"""Several processes on one Redis count as one."""

import asyncio
import json
import os
import sys

from tests.redis.limits_process import WIDE
from tests.redis.server import RedisServer
from tests.redis.setup import redis_counters
from turnout_server.core.charge import Charge, Claim


async def run_two(url: str, kind: str) -> list[dict[str, int]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.redis.limits_process",
            url,
            kind,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    outputs = [await process.communicate() for process in processes]
    assert all(process.returncode == 0 for process in processes)
    return [json.loads(output) for output, _ in outputs]


async def test_two_processes_with_two_hundred_calls_are_granted_the_fifty_of_the_limit(
    redis_server: RedisServer,
) -> None:
    reports = await run_two(redis_server.url, "burst")
    assert sum(report["granted"] for report in reports) == 50


async def test_six_hundred_calls_of_two_processes_book_what_they_used(
    redis_server: RedisServer,
) -> None:
    reports = await run_two(redis_server.url, "traffic")
    used = sum(report["used"] for report in reports)
    async with redis_counters(redis_server.url) as counters:
        levels = await counters.levels(Claim(charges=(Charge("tokens", WIDE, 0),)))
    assert used > 0
    assert levels["tokens"].used == used
