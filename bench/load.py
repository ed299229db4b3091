"""Callers: so many streams at once, until so many are done. Prints what they saw as JSON."""

import asyncio
import json
import sys
import time
from typing import Any

import grpc
import uvloop
from turnout.v1.chat_service_pb2 import ChatRequest
from turnout.v1.chat_service_pb2_grpc import ChatServiceStub
from turnout.v1.content_pb2 import ROLE_USER, Message


async def _main(port: str, model: str, streams: int, at_once: int) -> None:
    question = Message(role=ROLE_USER, text="benchmark")
    request = ChatRequest(model=model, messages=[question])
    first_s: list[float] = []
    messages = 0
    left = iter(range(streams))

    async def call(stub: Any) -> None:
        nonlocal messages
        for _ in left:
            started = time.perf_counter()
            first, finished = True, False
            async for event in stub.Chat(request):
                if first:
                    first_s.append(time.perf_counter() - started)
                    first = False
                messages += 1
                finished = event.HasField("finish")
            assert finished, "a stream ended without finish"

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = ChatServiceStub(channel)
        started = time.perf_counter()
        await asyncio.gather(*(call(stub) for _ in range(at_once)))
        wall_s = time.perf_counter() - started
    first_s.sort()
    seen = {
        "wall_s": wall_s,
        "messages": messages,
        "first_p50_ms": 1000 * first_s[len(first_s) // 2],
        "first_p99_ms": 1000 * first_s[int(len(first_s) * 0.99)],
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    port, model, streams, at_once = sys.argv[1:]
    uvloop.run(_main(port, model, int(streams), int(at_once)))
