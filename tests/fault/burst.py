"""Many streams at once from a process of its own: `python -m tests.fault.burst PORT MODEL COUNT`.

It prints one line of JSON: for each status how many calls ended with it, and how long they took.
"""

import asyncio
import json
import sys
import time
from collections import defaultdict

import grpc
from turnout.v1.chat_service_pb2 import ChatRequest
from turnout.v1.chat_service_pb2_grpc import ChatServiceStub
from turnout.v1.content_pb2 import ROLE_USER, Message

CONNECTIONS = 4
"""A thousand streams is what one connection may have."""


async def main(port: str, model: str, count: str) -> None:
    """Call so many times at once, and tell."""
    message = Message(role=ROLE_USER, text="hello")
    took_s: dict[str, list[float]] = defaultdict(list)
    own = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", own) for _ in range(CONNECTIONS)]
    await asyncio.gather(*(channel.channel_ready() for channel in channels))

    async def call(number: int) -> None:
        stub = ChatServiceStub(channels[number % CONNECTIONS])
        began_s = time.monotonic()
        stream = stub.Chat(ChatRequest(model=model, messages=[message]), timeout=60)
        try:
            async for _ in stream:
                pass
        except grpc.aio.AioRpcError:
            pass
        took_s[(await stream.code()).name].append(time.monotonic() - began_s)

    await asyncio.gather(*map(call, range(int(count))))
    await asyncio.gather(*(channel.close() for channel in channels))
    print(json.dumps(took_s), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
