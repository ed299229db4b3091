"""A gateway in a process of its own, over the provider that has nothing to do."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import psutil
from turnout.v1.chat_service_pb2 import ChatRequest
from turnout.v1.content_pb2 import ROLE_USER, Message
from turnout.v1.usage_service_pb2 import QueryUsageRequest
from turnout.v1.usage_service_pb2_grpc import UsageServiceStub

from bench.__main__ import process

BASE = """
server: {{listen: "127.0.0.1:0", max_in_flight: 5000}}
providers: {{bench: {{row: openai_compatible, base_url: "http://127.0.0.1:{port}/v1", keys: []}}}}
models: {{}}
usage: {{url: "sqlite:///{folder}/usage.db"}}
telemetry: {{log_level: error}}
"""


@dataclass(frozen=True, slots=True)
class Server:
    """A gateway in a process of its own."""

    process: psutil.Process
    port: str

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def channel(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")


@contextmanager
def gateway(more: str = "") -> Iterator[Server]:
    """A gateway over the fake provider, with more configuration."""
    with (
        process("-m", "bench.upstream") as (_, upstream),
        tempfile.TemporaryDirectory() as folder,
    ):
        file = Path(folder) / "bench.yaml"
        file.write_text(BASE.format(port=upstream, folder=folder) + more)
        with process("-m", "bench.gateway", str(file)) as (child, port):
            yield Server(child, port)


def chat(text: str, model: str = "bench/tokens:32@0") -> ChatRequest:
    return ChatRequest(model=model, messages=[Message(role=ROLE_USER, text=text)])


async def usage(channel: grpc.aio.Channel) -> Any:
    stub: Any = UsageServiceStub(channel)
    (row,) = (await stub.QueryUsage(QueryUsageRequest())).rows
    return row
