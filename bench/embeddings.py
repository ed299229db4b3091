"""`python -m bench.embeddings`: a batch, single texts at once, and 100,000 texts through a stream.

Figures are those of one machine, whose cores the caller and the provider share: trust ratios.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import psutil
from turnout.v1.embed_service_pb2 import (
    EmbedItem,
    EmbedItems,
    EmbedOptions,
    EmbedRequest,
    EmbedStreamRequest,
)
from turnout.v1.embed_service_pb2_grpc import EmbedServiceStub

from bench.served import gateway, usage

MIB = 1 << 20


async def unary() -> None:
    texts = [f"text number {number}" for number in range(64)]
    request = EmbedRequest(model="bench/embed@0", texts=texts)
    with gateway() as server:
        async with server.channel() as channel:
            stub: Any = EmbedServiceStub(channel)
            for _ in range(20):
                await stub.Embed(request)
            before = server.cpu_s()
            for _ in range(200):
                await stub.Embed(request)
            each_us = (server.cpu_s() - before) / 200 * 1e6
    print(f"embed 64 x 1536: {each_us:.0f} us CPU a call")


async def batching() -> None:
    for window in ("5ms", "0ms"):
        with gateway(f"batching: {{window: {window}}}\n") as server:
            async with server.channel() as channel:
                stub: Any = EmbedServiceStub(channel)
                requests = [
                    EmbedRequest(model="bench/embed@20", texts=[f"text {number}"])
                    for number in range(200)
                ]
                await stub.Embed(requests[0])
                started = time.perf_counter()
                await asyncio.gather(*(stub.Embed(request) for request in requests))
                took_ms = (time.perf_counter() - started) * 1000
                calls = (await usage(channel)).embed_upstream_calls - 1
        print(f"batching, window {window}: {calls} upstream calls for 200, all in {took_ms:.0f} ms")


async def stream() -> None:
    with gateway() as server:
        peak = asyncio.ensure_future(_peak_rss(server.process))
        before = server.cpu_s()
        command = [sys.executable, "-m", "bench.embeddings", server.port]
        client = await asyncio.to_thread(
            subprocess.run, command, check=True, stdout=subprocess.PIPE, text=True
        )
        cpu_s = server.cpu_s() - before
        peak.cancel()
        idle, most = _PEAKS[server.process.pid]
    seen = json.loads(client.stdout)
    print(
        f"stream: {seen['results']} texts x 1536 in {seen['took_s']:.1f} s:"
        f" {seen['results'] / seen['took_s']:.0f} texts/s, {seen['upstream_calls']} upstream calls,"
        f" {seen['errors']} errors, {cpu_s / seen['results'] * 1e6:.0f} us server CPU a text;"
        f" server {idle / MIB:.0f} -> {most / MIB:.0f} MiB at most, client"
        f" {seen['idle_bytes'] / MIB:.0f} -> {seen['peak_bytes'] / MIB:.0f} MiB"
    )


_PEAKS: dict[int, tuple[int, int]] = {}


async def _peak_rss(process: psutil.Process) -> None:
    idle = process.memory_info().rss
    while True:
        most = max(_PEAKS.get(process.pid, (idle, idle))[1], process.memory_info().rss)
        _PEAKS[process.pid] = (idle, most)
        await asyncio.sleep(0.05)


async def stream_into(port: str, texts: int = 100_000, at_once: int = 500) -> None:
    """The caller of `stream`, which keeps no result."""
    idle_bytes = psutil.Process().memory_info().rss

    async def requests() -> AsyncIterator[EmbedStreamRequest]:
        yield EmbedStreamRequest(options=EmbedOptions(model="bench/embed@20"))
        for start in range(0, texts, at_once):
            items = [EmbedItem(id=i, text=f"text {i}") for i in range(start, start + at_once)]
            yield EmbedStreamRequest(items=EmbedItems(items=items))

    seen: dict[str, Any] = {"results": 0, "errors": 0, "idle_bytes": idle_bytes}
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = EmbedServiceStub(channel)
        started = time.perf_counter()
        async for response in stub.EmbedStream(requests()):
            seen["results"] += len(response.results.results)
            seen["errors"] += sum(r.HasField("error") for r in response.results.results)
            if response.HasField("end"):
                seen["upstream_calls"] = response.end.upstream_calls
        seen["took_s"] = time.perf_counter() - started
    seen["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(seen))


async def main() -> None:
    """Print every figure."""
    await unary()
    await batching()
    await stream()


if __name__ == "__main__":
    asyncio.run(stream_into(sys.argv[1]) if sys.argv[1:] else main())
