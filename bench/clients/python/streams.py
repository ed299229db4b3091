"""Streams through the Python client: ADDRESS MODEL STREAMS AT_ONCE; prints how they ended."""

import asyncio
import json
import sys
from collections import Counter

from turnout_client import AsyncClient, TurnoutError


async def main(address: str, model: str, streams: int, at_once: int) -> None:
    ended: Counter[str] = Counter()
    characters = 0
    left = iter(range(streams))

    async def call(client: AsyncClient) -> None:
        nonlocal characters
        for _ in left:
            try:
                async for text in client.chat(model, "Hello"):
                    characters += len(text)
                ended["OK"] += 1
            except TurnoutError as error:
                ended[error.reason] += 1

    async with AsyncClient(address) as client:
        await asyncio.gather(*(call(client) for _ in range(at_once)))
    print(json.dumps({"ended": ended, "characters": characters}))


if __name__ == "__main__":
    address, model, streams, at_once = sys.argv[1:]
    asyncio.run(main(address, model, int(streams), int(at_once)))
