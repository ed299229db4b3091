"""Chats on scripted providers without a port: the RPC's own frame around a stand-in for grpc."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse, Finish
from turnout.v1.content_pb2 import ROLE_USER, Message
from turnout.v1.model_service_pb2 import Capability

from turnout_server.core.cache_key import CacheKey
from turnout_server.core.call import Call
from turnout_server.core.clock import SYSTEM_CLOCK
from turnout_server.core.target import Attempt, Endpoint, ModelCard, Price, Target
from turnout_server.core.watch import AttemptRecord, CallRecord, Observer, Watch
from turnout_server.dispatch.admission import Admission
from turnout_server.dispatch.caching import ChatCaching
from turnout_server.dispatch.chat import Chat
from turnout_server.dispatch.quota import Quota
from turnout_server.dispatch.snapshot import Snapshot
from turnout_server.policy.gcra import Limiter
from turnout_server.policy.health import Health
from turnout_server.policy.limits import Limits, TenantLimits
from turnout_server.policy.routes import Alias, Routes
from turnout_server.providers.provider import ChatEvent
from turnout_server.providers.scripted.client import Client
from turnout_server.rpc.calls import Calls
from turnout_server.rpc.chat import ChatService
from turnout_server.store.memory_counters import MemoryCounters

LIMITS = Limits(TenantLimits(concurrency=50, budget_usd_per_day=1e9))
PRICE = Price(input=1_000_000, output=2_000_000)


class ClosingSlowly(Client):
    """A client whose hanging up takes a few turns of the loop, as one with a socket may."""

    async def chat(self, request: ChatRequest, attempt: Attempt) -> AsyncGenerator[ChatEvent, None]:
        async with aclosing(super().chat(request, attempt)) as events:
            try:
                async for event in events:
                    yield event
            finally:
                for _ in range(3):
                    await asyncio.sleep(0)


class Context:
    """What a handler needs of grpc; every write takes one turn of the loop."""

    def __init__(self) -> None:
        self.events: list[ChatResponse] = []
        self.headers: tuple[tuple[str, str], ...] = ()
        self.code: Any = None

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    def time_remaining(self) -> float | None:
        return None

    async def send_initial_metadata(self, headers: tuple[tuple[str, str], ...]) -> None:
        self.headers = headers
        await asyncio.sleep(0)

    async def write(self, event: ChatResponse) -> None:
        await asyncio.sleep(0)
        self.events.append(event)

    def set_code(self, code: Any) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        pass

    def set_trailing_metadata(self, trailers: Any) -> None:
        pass


class Seen(Observer):
    """Every record that was made."""

    def __init__(self) -> None:
        self.accepted_calls = 0
        self.attempts: list[AttemptRecord] = []
        self.calls: list[CallRecord] = []

    def accepted(self, call: Call) -> None:
        self.accepted_calls += 1

    def attempt_ended(self, call: Call, record: AttemptRecord) -> None:
        self.attempts.append(record)

    def ended(self, call: Call, record: CallRecord) -> None:
        self.calls.append(record)


class Forgetful:
    """A cache that is reached in a turn of the loop and never holds anything."""

    async def find(self, key: CacheKey, max_age_s: float | None = None) -> None:
        await asyncio.sleep(0)

    async def keep(self, key: CacheKey, finish: Finish) -> bool:
        await asyncio.sleep(0)
        return False


class World:
    """One process: three providers called a, b and c, and aliases of scripts at them."""

    def __init__(self, *, caching: ChatCaching | None = None, seed: int = 0) -> None:
        rng = random.Random(seed)
        self.limiter = Limiter(lease_s=math.inf)
        self.counters = MemoryCounters(self.limiter)
        quota = Quota(self.counters, lambda: LIMITS, SYSTEM_CLOCK)
        self.endpoints = {name: Endpoint(name, "scripted", "scripted", "") for name in "abc"}
        self.clients = {name: ClosingSlowly(e) for name, e in self.endpoints.items()}
        self.aliases: dict[str, Alias] = {}
        self.health = Health(rng)
        self.seen = Seen()
        self.admission = Admission(100)
        routes = Routes(self.aliases, self.endpoints, lambda _, model: card(model))
        snapshot = Snapshot(routes, self.clients)
        self.chat = Chat(
            lambda: snapshot, self.health, SYSTEM_CLOCK, rng, caching=caching, quota=quota
        )
        calls = Calls(self.admission, lambda call: Watch(call, [self.seen]), SYSTEM_CLOCK)
        self.service = ChatService(calls, self.chat)

    def alias(self, *scripts: str, name: str = "model", **options: Any) -> None:
        """An alias of targets given as `a/SCRIPT`."""
        targets = []
        for script in scripts:
            endpoint, _, model = script.partition("/")
            targets.append(Target(self.endpoints[endpoint], card(model)))
        self.aliases[name] = Alias(name, tuple(targets), **options)

    async def ask(self, request: ChatRequest) -> Context:
        """One whole RPC."""
        context = Context()
        await self.service.Chat(request, context)  # type: ignore[arg-type]
        return context

    def upstream_calls(self) -> int:
        """Streams that were opened."""
        return sum(sum(client.calls.values()) for client in self.clients.values())

    def spent_nano_usd(self) -> int:
        """What the tenant's budget was charged."""
        return sum(total for total, _ in self.counters._totals.values())

    def leftovers(self) -> dict[str, int]:
        """What is still held by anybody; empty when all is well."""
        held = {
            "permits": self.health.in_flight(),
            "streams": sum(client.open_streams for client in self.clients.values()),
            "places": self.admission.in_flight,
            "flights": self.chat.flights,
            "seats": sum(len(leases) for leases in self.limiter._leases.values()),
            "tasks": len(asyncio.all_tasks()) - 1,
        }
        return +Counter(held)


def card(model: str) -> ModelCard:
    """All abilities, and a price."""
    return ModelCard(model, frozenset(Capability.values()), price=PRICE)


def request(model: str = "model", **fields: Any) -> ChatRequest:
    """One user turn."""
    turn = Message(role=ROLE_USER, text="hello there")
    return ChatRequest(model=model, messages=[turn], **fields)


async def settle(turns: int = 50) -> None:
    """Let everything that is ready run."""
    for _ in range(turns):
        await asyncio.sleep(0)
