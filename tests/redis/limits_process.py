"""One of several gateways' processes on one Redis: `python limits_process.py URL KIND`.

Prints what it was granted, and the tokens that its calls used.
"""

import asyncio
import json
import sys
from random import Random

from tests.redis.setup import redis_counters
from turnout_server.core.charge import Charge, Claim, Rate, Refusal

FIFTY = Claim(charges=(Charge("fifty", Rate(50, 1e9), 1),))
WIDE = Rate(10_000_000, 1e9)


async def burst(url: str) -> dict[str, int]:
    async with redis_counters(url) as counters:
        outcomes = await asyncio.gather(*(counters.reserve(FIFTY) for _ in range(100)))
    return {"granted": sum(not isinstance(outcome, Refusal) for outcome in outcomes)}


async def traffic(url: str) -> dict[str, int]:
    random, used = Random(), 0
    async with redis_counters(url) as counters:

        async def call() -> None:
            nonlocal used
            charge = Charge("tokens", WIDE, random.randrange(1, 4000))
            reservation = await counters.reserve(Claim(charges=(charge,)))
            assert not isinstance(reservation, Refusal)
            spent = 0
            try:
                await asyncio.sleep(random.random() / 20)
                spent = random.randrange(1, 4000)
            finally:
                used += spent
                reservation.settle({"tokens": spent})

        calls = [asyncio.create_task(call()) for _ in range(300)]
        await asyncio.sleep(0.02)
        for victim in random.sample(calls, 90):
            victim.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert await counters.drain(5.0)
    return {"used": used}


if __name__ == "__main__":
    _, address, kind = sys.argv
    print(json.dumps(asyncio.run(burst(address) if kind == "burst" else traffic(address))))
