"""The yardstick: grpc.aio on uvloop streaming the same messages, with nothing behind it."""

import asyncio
import sys
from typing import Any

import grpc
import uvloop
from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse, Finish
from turnout.v1.chat_service_pb2_grpc import (
    ChatServiceServicer,
    add_ChatServiceServicer_to_server,
)


class _Bare(ChatServiceServicer):
    async def Chat(self, request: ChatRequest, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        count, _, gap_ms = request.model.rpartition(":")[2].partition("@")
        for _ in range(int(count)):
            if gap_ms != "0":
                await asyncio.sleep(int(gap_ms) / 1000)
            await context.write(ChatResponse(text_delta=" token"))
        await context.write(ChatResponse(finish=Finish()))


async def _main() -> None:
    server = grpc.aio.server()
    add_ChatServiceServicer_to_server(_Bare(), server)  # type: ignore[abstract]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    sys.exit(uvloop.run(_main()))
