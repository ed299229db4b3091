"""A whole gateway on a real port, with providers that play scripts."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse
from turnout.v1.chat_service_pb2_grpc import ChatServiceStub
from turnout.v1.content_pb2 import ROLE_USER, Message
from turnout.v1.errors_pb2 import ErrorDetail, ErrorReason

from turnout_server.app.settings import Settings, read_settings
from turnout_server.app.wiring import Gateway
from turnout_server.core.call import Call
from turnout_server.core.watch import AttemptRecord, CallRecord, Observer
from turnout_server.providers.scripted.client import Client

TWO_PROVIDERS = """
providers:
  first: {row: scripted, keys: []}
  second: {row: scripted, keys: []}
"""


class Seen(Observer):
    """Every record that the gateway made."""

    def __init__(self) -> None:
        self.accepted_calls: list[Call] = []
        self.attempts: list[AttemptRecord] = []
        self.calls: list[CallRecord] = []

    def accepted(self, call: Call) -> None:
        self.accepted_calls.append(call)

    def attempt_ended(self, call: Call, record: AttemptRecord) -> None:
        self.attempts.append(record)

    def ended(self, call: Call, record: CallRecord) -> None:
        self.calls.append(record)


@dataclass(slots=True)
class Failed:
    """A call that ended in an error, and everything its status said."""

    code: grpc.StatusCode
    message: str
    events: list[ChatResponse]
    trailers: dict[str, Any]
    detail: ErrorDetail = field(default_factory=ErrorDetail)
    bad_request: error_details_pb2.BadRequest = field(default_factory=error_details_pb2.BadRequest)
    info: error_details_pb2.ErrorInfo = field(default_factory=error_details_pb2.ErrorInfo)
    quota: error_details_pb2.QuotaFailure = field(default_factory=error_details_pb2.QuotaFailure)

    @property
    def reason(self) -> str:
        return ErrorReason.Name(self.detail.reason).removeprefix("ERROR_REASON_")

    @property
    def pushback_ms(self) -> int:
        return int(self.trailers["grpc-retry-pushback-ms"])


def failed(error: grpc.aio.AioRpcError, events: list[ChatResponse] | None = None) -> Failed:
    trailers = dict(error.trailing_metadata() or ())
    told = Failed(error.code(), error.details() or "", events or [], trailers)
    raw = trailers.get("grpc-status-details-bin")
    if raw:
        for detail in status_pb2.Status.FromString(raw).details:
            for message in (told.detail, told.bad_request, told.info, told.quota):
                detail.Unpack(message)
    return told


@dataclass(slots=True)
class Serving:
    """A running gateway, a channel to it, and what its observer saw."""

    gateway: Gateway
    channel: grpc.aio.Channel
    seen: Seen

    @property
    def chat(self) -> Any:
        return ChatServiceStub(self.channel)

    def provider(self, name: str) -> Client:
        provider = self.gateway.snapshot().providers[name]
        assert isinstance(provider, Client)
        return provider

    async def ask(self, request: ChatRequest, **options: Any) -> list[ChatResponse] | Failed:
        """Every event of one chat, or how it failed."""
        events: list[ChatResponse] = []
        try:
            async for event in self.chat.Chat(request, **{"timeout": 20, **options}):
                events.append(event)  # noqa: PERF401  what came before an error counts too
        except grpc.aio.AioRpcError as error:
            return failed(error, events)
        return events

    async def idle(self) -> None:
        """Wait until nothing is under way any more: no stream, no permit, no place."""
        async with asyncio.timeout(5):
            while not self.is_idle():
                await asyncio.sleep(0.005)

    def is_idle(self) -> bool:
        providers = self.gateway.snapshot().providers.values()
        open_streams = sum(p.open_streams for p in providers if isinstance(p, Client))
        return not (open_streams or self.gateway.in_flight())


Serve = Callable[..., Any]


@asynccontextmanager
async def serve(
    folder: Path,
    config: str = TWO_PROVIDERS,
    *,
    environ: Mapping[str, str] | None = None,
    credentials: grpc.ChannelCredentials | None = None,
    adapt: Callable[[Settings], Settings] = lambda settings: settings,
    **server: object,
) -> AsyncIterator[Serving]:
    """Start a gateway from YAML on a free port; it is stopped at the end.

    Its ledger lies in `folder`. `adapt` changes what was read. With `credentials` the channel
    speaks TLS, to `localhost`.
    """
    file = folder / "turnout.yaml"
    section = {"listen": "127.0.0.1:0", "drain_grace": "1s", **server}
    ledger = {"url": f"sqlite:///{folder / 'usage.db'}"}
    file.write_text(f"server: {json.dumps(section)}\nusage: {json.dumps(ledger)}\n{config}")
    seen = Seen()

    def read() -> Settings:
        return adapt(read_settings(file, environ or {}))

    gateway = Gateway(read(), [seen], read=read)
    await gateway.start()
    try:
        async with channel_to(gateway, credentials) as channel:
            yield Serving(gateway, channel, seen)
    finally:
        await gateway.stop(lame_duck_s=0)


def channel_to(
    gateway: Gateway, credentials: grpc.ChannelCredentials | None = None
) -> grpc.aio.Channel:
    """A new connection, in plain text or by TLS."""
    if credentials is None:
        return grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}")
    # Channels to one address share a connection, and so its certificates, unless told not to.
    return grpc.aio.secure_channel(
        f"localhost:{gateway.port}", credentials, [("grpc.use_local_subchannel_pool", 1)]
    )


@asynccontextmanager
async def kept_running(gateway: Gateway) -> AsyncIterator[None]:
    """Everything that runs beside the calls: reloads, and the guards of the process."""
    running = asyncio.create_task(gateway.run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def chat(model: str, **fields: Any) -> ChatRequest:
    """A request with one user turn."""
    return ChatRequest(model=model, messages=[Message(role=ROLE_USER, text="hello")], **fields)


def text_of(events: list[ChatResponse] | Failed) -> str:
    """The text a caller would have shown, of its last generation."""
    shown = events.events if isinstance(events, Failed) else events
    last = max((event.generation for event in shown), default=0)
    return "".join(event.text_delta for event in shown if event.generation == last)
