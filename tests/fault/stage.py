"""The stage a fault is played on: callers, a whole gateway, and upstreams that follow scripts.

    caller --gRPC--> gateway --HTTP--> upstream   as `openai` and as `anthropic`, both wires
                             --HTTP--> spare      as `spare`, which is well unless told otherwise

When the stage is closed, the seven invariants of `tests.fault.invariants` must hold.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse, CompleteChatResponse, Finish
from turnout.v1.chat_service_pb2_grpc import ChatServiceStub
from turnout.v1.content_pb2 import ROLE_USER, Message
from turnout.v1.routing_pb2 import RoutingOptions

from tests.fault.invariants import MIB, CallLog, Invariants, Probes
from tests.fault.sinks import Sinks, open_sinks
from tests.fault.upstream import FaultServer, answer
from tests.rpc.serving import Failed, failed, kept_running
from turnout_server.app.settings import read_settings
from turnout_server.app.wiring import Gateway
from turnout_server.core.failure import FailureKind
from turnout_server.core.watch import AttemptRecord

WIRES = ("openai", "anthropic")
"""Providers that speak each wire to the same upstream."""

PROMPT_CANARY = "zyzzyva-in-the-prompt"
UPSTREAM_CANARY = "zyzzyva-from-upstream"
KEYS = {f"STAGE_KEY_{letter}": f"sk-zyzzyva-key-{letter}0123456789" for letter in "AB"}
CANARIES = (PROMPT_CANARY, UPSTREAM_CANARY, *KEYS.values())

DEFAULT_TEXT = "".join(answer(12))
"""What a good script says when nothing else is asked."""

Config = dict[str, Any]
Metadata = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Told:
    """What one caller was given, and how long it took."""

    events: list[ChatResponse] = field(default_factory=list)
    reply: CompleteChatResponse | None = None
    failure: Failed | None = None
    took_s: float = 0.0

    @property
    def text(self) -> str:
        """The text a caller would have shown, of the last generation."""
        if self.reply is not None:
            return self.reply.text
        last = max((event.generation for event in self.events), default=0)
        return "".join(event.text_delta for event in self.events if event.generation == last)

    @property
    def code(self) -> str:
        """The name of the status code."""
        return self.failure.code.name if self.failure else "OK"

    @property
    def reason(self) -> str:
        """The reason told, "" when the call was OK."""
        return self.failure.reason if self.failure else ""

    @property
    def outcome(self) -> tuple[str, str]:
        """Code and reason."""
        return self.code, self.reason

    @property
    def finish(self) -> Finish:
        """How a good answer ended."""
        assert self.failure is None, self.failure
        return self.reply.finish if self.reply is not None else self.events[-1].finish

    @property
    def told_of(self) -> Failed:
        """How the call failed."""
        assert self.failure is not None, self.events[-1:]
        return self.failure


@dataclass(slots=True)
class Stage:
    """Everything on stage. `ask` and `complete` are callers; the rest is for tests to look at.

    `unsent_attempts` counts attempts that ended before upstream could see them, for the test that
    provokes such; connections that never stood need not be told.
    """

    gateway: Gateway
    channel: grpc.aio.Channel
    upstream: FaultServer
    spare: FaultServer
    sinks: Sinks
    calls: CallLog
    config: Config
    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    unsent_attempts: int = 0
    settle_within_s: float = 3.0
    max_rss_growth_bytes: int = 32 * MIB
    is_stopped: bool = False
    metadata: Metadata = ()
    invariants: Invariants = field(init=False)

    @property
    def chat(self) -> Any:
        """The raw stub, for callers who misbehave."""
        return ChatServiceStub(self.channel)

    @property
    def attempts(self) -> list[AttemptRecord]:
        """The record of every attempt so far."""
        return self.sinks.seen.attempts

    async def ask(self, provider: str, script: str = "ok", **options: Any) -> Told:
        """One streamed chat; `options` as for `request`, `timeout` and `metadata` as for gRPC."""
        call_options = self._call_options(options)
        return await self.send(self.request(provider, script, **options), **call_options)

    async def complete(self, provider: str, script: str = "ok", **options: Any) -> Told:
        """One unary chat."""
        call_options = self._call_options(options)
        request = self.request(provider, script, **options)
        told, began = Told(), time.monotonic()
        with self._logged(told):
            told.reply = await self.chat.CompleteChat(request, **call_options)
        told.took_s = time.monotonic() - began
        return told

    async def send(self, request: ChatRequest, **call_options: Any) -> Told:
        """One streamed chat, of a request made elsewhere."""
        told, began = Told(), time.monotonic()
        with self._logged(told):
            async for event in self.chat.Chat(request, **self._call_options(call_options)):
                told.events.append(event)
        told.took_s = time.monotonic() - began
        return told

    def request(
        self,
        provider: str,
        script: str = "ok",
        *,
        spare: bool = False,
        first_output_s: float | None = None,
        stall_s: float | None = None,
        routing: Mapping[str, Any] = {},
        **fields: Any,
    ) -> ChatRequest:
        """A request that has `script` played; with `spare` there is a provider to fall back to."""
        options = RoutingOptions(**routing)
        if spare:
            options.fallback_models.append("spare/fault:ok")
        if first_output_s is not None:
            options.first_output_timeout.FromNanoseconds(round(first_output_s * 1e9))
        if stall_s is not None:
            options.stall_timeout.FromNanoseconds(round(stall_s * 1e9))
        message = Message(role=ROLE_USER, text=f"Say what you know of {PROMPT_CANARY}.")
        model = f"{provider}/fault:{script}" if script else provider
        return ChatRequest(**{"model": model, "messages": [message], "routing": options, **fields})

    def upstream_calls(self) -> int:
        """Requests that reached any upstream, those on a connection dead by script included."""
        servers = (self.upstream, self.spare)
        return sum(len(server.requests) + server.stale_closes for server in servers)

    def health(self, provider: str) -> Any:
        """What ListProviders would say of a provider."""
        endpoint = self.gateway.snapshot().routes.endpoints[provider]
        return self.gateway._health.status(endpoint, time.monotonic())

    async def normal_request(self) -> None:
        """What works on every wire whatever happened before, the spare provider helping."""
        if self.is_stopped:
            return
        for provider in WIRES:
            told = await self.ask(provider, "ok", spare=True)
            assert (told.code, told.text) == ("OK", DEFAULT_TEXT), told

    async def reapply(self, **changes: Any) -> None:
        """Take the same configuration with these sections changed into use."""
        file = self.folder / "turnout.yaml"
        file.write_text(json.dumps(self.config | changes))
        await self.gateway.apply(read_settings(file, self.environ))

    async def drain(self, grace_s: float) -> None:
        """End the gateway as a signal would; no normal request can follow."""
        self.is_stopped = True
        gateway = self.gateway
        await gateway._server.drain(
            gateway.admission, gateway._calls, lame_duck_s=0, grace_s=grace_s
        )

    def probes(self) -> Probes:
        """What the invariants read."""
        seen, spans = self.sinks.seen, self.sinks.spans
        servers = (self.upstream, self.spare)
        return Probes(
            calls=self.calls,
            upstream_active=lambda: sum(server.active_requests for server in servers),
            pooled_descriptors=lambda: 2 * sum(server.open_connections for server in servers),
            permits_held=self.gateway.in_flight,
            flights_open=lambda: self.gateway._chat.flights,
            reservations_made=lambda: len(seen.accepted_calls),
            reservations_settled=lambda: len(seen.calls),
            ledger_total=lambda: sum(_tokens(record) for record in seen.calls),
            usage_total=lambda: sum(_tokens(record) for record in seen.attempts),
            upstream_calls=self.upstream_calls,
            attempt_records=lambda: sum(map(_was_sent, seen.attempts)) - self.unsent_attempts,
            spans_started=lambda: spans.started,
            spans_ended=lambda: spans.ended,
            sinks=self.sinks.texts,
            normal_request=self.normal_request,
        )

    def _call_options(self, options: Config) -> Config:
        """Take gRPC's own options out of `options`, or the usual ones."""
        names = [name for name in ("timeout", "metadata") if name in options]
        given = {name: options.pop(name) for name in names}
        return {"timeout": 20, "metadata": self.metadata, **given}

    def _logged(self, told: Told) -> "_Logged":
        return _Logged(self.calls, told)


class _Logged:
    """Books how one call ended, for the caller and for the invariants."""

    def __init__(self, calls: CallLog, told: Told) -> None:
        self._calls = calls
        self._told = told

    def __enter__(self) -> None:
        self._number = self._calls.begin()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if isinstance(error, grpc.aio.AioRpcError):
            failure = self._told.failure = failed(error, self._told.events)
            text = f"{error.details()} {failure.trailers} {failure.detail} {failure.bad_request}"
            self._calls.end(self._number, failure.code.name, text)
            return True
        if isinstance(error, asyncio.CancelledError):
            self._calls.end(self._number, "CANCELLED")
        elif error is None:
            self._calls.end(self._number, "OK")
        return False


@asynccontextmanager
async def open_stage(
    folder: Path,
    *,
    providers: Mapping[str, Config] = {},
    models: Mapping[str, Config] = {},
    server: Mapping[str, Any] = {},
    sections: Mapping[str, Any] = {},
    environ: Mapping[str, str] = {},
    metadata: Metadata = (),
    timeouts: Mapping[str, Any] = {},
    keys: tuple[str, ...] = ("STAGE_KEY_A",),
    channel_options: tuple[tuple[str, Any], ...] = (),
) -> AsyncIterator[Stage]:
    """Set the stage; `providers` and `models` are added to it, the rest changes what stands there.

    `timeouts` are those of `openai` and `anthropic`, `sections` other parts of the configuration;
    every call has `metadata` unless it brings its own.
    """
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(FaultServer(canary=UPSTREAM_CANARY))
        spare = await stack.enter_async_context(FaultServer(canary=UPSTREAM_CANARY))
        sinks = stack.enter_context(open_sinks(folder / "log"))
        config = _config(upstream, spare, timeouts, keys)
        config["server"] |= server
        config["providers"] |= providers
        config["models"] |= models
        config |= {"usage": {"url": f"sqlite:///{folder}/usage.db"}, **sections}
        config["usage"] = {"url": "off"}
        file = folder / "turnout.yaml"
        file.write_text(json.dumps(config))
        environ = {**KEYS, **environ}
        gateway = Gateway(read_settings(file, environ), sinks.observers)
        await gateway.start()
        stack.push_async_callback(gateway.stop, lame_duck_s=0)
        await stack.enter_async_context(kept_running(gateway))
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}", options=channel_options)
        await stack.enter_async_context(channel)
        stage = Stage(gateway, channel, upstream, spare, sinks, CallLog(), config, folder, environ)
        stage.metadata = metadata
        for provider in (*WIRES, "spare"):
            assert (await stage.ask(provider)).code == "OK"
        upstream.forget()
        spare.forget()
        sinks.seen.forget()
        async with Invariants(stage.probes(), canaries=CANARIES) as stage.invariants:
            stage.invariants.baseline()
            yield stage
            await stage.invariants.settled(
                stage.settle_within_s, max_rss_growth_bytes=stage.max_rss_growth_bytes
            )
    # The last lines are written when the sinks close.
    leaked = [canary for canary in CANARIES if canary in sinks.log_text()]
    assert not leaked, f"5: in the log: {leaked}"


def _config(
    upstream: FaultServer, spare: FaultServer, timeouts: Mapping[str, Any], keys: tuple[str, ...]
) -> Config:
    credentials = [{"env": name} for name in keys]
    patience = {"connect": "1s", "first_output": "5s", "stall": "5s", "total": "60s", **timeouts}
    return {
        "server": {"listen": "127.0.0.1:0", "drain_grace": "1s"},
        "providers": {
            "openai": {
                "row": "openai",
                "base_url": upstream.openai_base_url,
                "keys": credentials,
                "timeouts": patience,
            },
            "anthropic": {
                "row": "anthropic",
                "base_url": upstream.base_url,
                "keys": credentials,
                "timeouts": patience,
            },
            "spare": {
                "row": "openai_compatible",
                "base_url": spare.openai_base_url,
                "keys": credentials,
            },
        },
        "models": {"stage": {"targets": ["openai/fault:ok", "spare/fault:ok"]}},
    }


def _tokens(record: Any) -> int:
    usage = record.usage
    return usage.input_tokens + usage.output_tokens if usage is not None else 0


def _was_sent(record: AttemptRecord) -> bool:
    """Whether an attempt had a connection, so that an upstream can have seen it."""
    failure = record.failure
    return failure is None or (
        failure.kind is not FailureKind.UNREACHABLE and "every connection" not in failure.detail
    )
