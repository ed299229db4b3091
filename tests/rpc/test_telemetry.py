"""What logs, traces and metrics tell of calls through the port, and what they never tell."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import structlog
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from turnout.v1.chat_service_pb2_grpc import ChatServiceStub
from turnout.v1.routing_pb2 import CacheMode, CacheOptions, RoutingOptions

from tests.rpc.serving import TWO_PROVIDERS, chat
from turnout_server.app.settings import read_settings
from turnout_server.app.wiring import Gateway
from turnout_server.telemetry import logs
from turnout_server.telemetry.call_log import CallLog
from turnout_server.telemetry.metrics import Metrics
from turnout_server.telemetry.sink import LineSink
from turnout_server.telemetry.tracing import Tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACED = (("traceparent", f"00-{TRACE}-{PARENT}-01"), ("x-request-id", "mine-1"))
CANARY = "canary-7f3a"


@dataclass(slots=True)
class Watched:
    """A gateway with all its observers, and everything they wrote."""

    chat: Any
    spans: InMemorySpanExporter
    reader: InMemoryMetricReader
    file: Path
    sink: LineSink

    async def ended(self, calls: int) -> None:
        """Wait until so many calls are over: a caller hears of its end before the observers do."""
        async with asyncio.timeout(5):
            while len(self.servers()) < calls:
                await asyncio.sleep(0.005)

    def servers(self) -> list[ReadableSpan]:
        return [s for s in self.spans.get_finished_spans() if s.kind is SpanKind.SERVER]

    def attempts(self) -> list[ReadableSpan]:
        return [s for s in self.spans.get_finished_spans() if s.kind is SpanKind.CLIENT]

    def lines(self) -> list[dict[str, Any]]:
        self.sink.close()
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def everything(self) -> str:
        """All that any sink was given, as one text."""
        spans = [span.to_json() for span in self.spans.get_finished_spans()]
        return "\n".join([json.dumps(self.lines()), *spans, str(self.reader.get_metrics_data())])


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    root, own = logging.getLogger(), logging.getLogger("turnout_server")
    before = (root.handlers[:], root.level, own.level)
    file = tmp_path / "log"
    fd = os.open(file, os.O_CREAT | os.O_WRONLY)
    sink = logs.configure(fd=fd)
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    tracing = Tracing(tracers.get_tracer("test"))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    config = tmp_path / "turnout.yaml"
    head = 'server: {listen: "127.0.0.1:0", drain_grace: 1s}\nusage: {url: off}\n'
    config.write_text(head + TWO_PROVIDERS)
    observers = [tracing, CallLog(tracing.trace_id), Metrics(meters.get_meter("test"))]
    gateway = Gateway(read_settings(config, {}), observers)
    await gateway.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel:
        yield Watched(ChatServiceStub(channel), spans, reader, file, sink)
    await gateway.stop(lame_duck_s=0)
    sink.close()
    os.close(fd)
    root.handlers[:], root.level, own.level = before
    structlog.reset_defaults()


async def test_one_call_is_one_line_and_one_tree_of_spans(watched: Watched) -> None:
    request = chat(
        "first/fail:OVERLOADED", routing=RoutingOptions(fallback_models=["second/say:yes"])
    )
    async for _ in watched.chat.Chat(request, metadata=TRACED, timeout=20):
        pass
    await watched.ended(1)
    [server] = watched.servers()
    assert server.context is not None
    assert server.parent is not None
    assert f"{server.context.trace_id:032x}" == TRACE
    assert f"{server.parent.span_id:016x}" == PARENT
    attempts = watched.attempts()
    assert {span.parent.span_id for span in attempts if span.parent} == {server.context.span_id}
    assert [(span.attributes or {})["turnout.outcome"] for span in attempts][-1] == "ok"
    lines = watched.lines()
    assert {(line["request_id"], line["trace_id"]) for line in lines} == {("mine-1", TRACE)}
    assert [line["event"] for line in lines] == ["attempt failed"] * (len(lines) - 1) + ["call"]
    assert len(lines) == len(attempts)
    assert (lines[-1]["code"], lines[-1]["provider"]) == ("OK", "second")


async def test_a_shared_answers_attempts_are_in_the_trace_of_who_began_it(
    watched: Watched,
) -> None:
    cache = CacheOptions(mode=CacheMode.CACHE_MODE_READ_WRITE)
    request = chat("first/wait:50|say:yes", cache=cache)

    async def ask() -> None:
        async for _ in watched.chat.Chat(request, metadata=TRACED, timeout=20):
            pass

    await asyncio.gather(*(ask() for _ in range(3)))
    await watched.ended(3)
    (attempt,) = watched.attempts()
    assert attempt.parent is not None
    assert attempt.parent.span_id in {
        server.context.span_id for server in watched.servers() if server.context
    }


async def test_a_callers_cancel_is_no_error(watched: Watched) -> None:
    call = watched.chat.Chat(chat("first/say:hi|hang"), metadata=TRACED)
    await call.read()
    call.cancel()
    await watched.ended(1)
    [server] = watched.servers()
    assert server.status.status_code is StatusCode.UNSET
    assert (server.attributes or {})["rpc.response.status_code"] == "CANCELLED"
    assert [span.status.status_code for span in watched.attempts()] == [StatusCode.UNSET]
    [line] = watched.lines()
    assert (line["level"], line["code"], line["request_id"]) == ("info", "CANCELLED", "mine-1")


async def test_a_deadline_is_told_as_one(watched: Watched) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await watched.chat.CompleteChat(chat("first/hang"), timeout=0.1)
    await watched.ended(1)
    [line] = [line for line in watched.lines() if line["event"] == "call"]
    assert line["code"] == "DEADLINE_EXCEEDED"


async def test_concurrent_calls_do_not_mix_their_ids(watched: Watched) -> None:
    async def one(number: int) -> None:
        metadata = (
            ("x-request-id", f"r-{number}"),
            ("traceparent", f"00-{number:032x}-{PARENT}-01"),
        )
        await watched.chat.CompleteChat(chat("first/tokens:3@2"), metadata=metadata, timeout=20)

    await asyncio.gather(*(one(number) for number in range(1, 41)))
    await watched.ended(40)
    pairs = {(line["request_id"], line["trace_id"]) for line in watched.lines()}
    assert pairs == {(f"r-{number}", f"{number:032x}") for number in range(1, 41)}


@pytest.mark.parametrize(
    "model",
    [
        f"first/say:the {CANARY} answers",
        f"first/say:the {CANARY} breaks off|cut",
        f"first/think:the {CANARY} thinks|fail:ERROR",
        f"first/fail:REJECTED|say:{CANARY} {CANARY}",
        f"no {CANARY} model",
    ],
)
async def test_no_word_of_prompt_or_answer_reaches_any_sink(watched: Watched, model: str) -> None:
    request = chat(model, labels={"note": CANARY})
    request.messages[0].text = f"tell the {CANARY} nothing"
    metadata = (("authorization", f"Bearer {CANARY}"), ("baggage", f"user={CANARY}"))
    with suppress(grpc.aio.AioRpcError):
        async for _ in watched.chat.Chat(request, metadata=metadata, timeout=20):
            pass
    await watched.ended(1)
    told = watched.everything()
    assert '"event": "call"' in told
    assert CANARY not in told
