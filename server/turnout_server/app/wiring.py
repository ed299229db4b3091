"""Builds everything, once; the only file that knows every room."""

import asyncio
import random
from collections.abc import Callable, Sequence

from turnout.admin.v1 import admin_service_pb2_grpc as admin_grpc
from turnout.v1 import chat_service_pb2_grpc as chat_grpc
from turnout.v1 import model_service_pb2_grpc as model_grpc
from turnout.v1 import usage_service_pb2_grpc as usage_grpc

from turnout_server.app.embedded import Embedded
from turnout_server.app.settings import Settings
from turnout_server.core.call import Call
from turnout_server.core.clock import SYSTEM_CLOCK
from turnout_server.core.target import Endpoint
from turnout_server.core.watch import Observer, Watch
from turnout_server.dispatch.admission import Admission
from turnout_server.dispatch.chat import Chat
from turnout_server.dispatch.embed import Embed
from turnout_server.dispatch.snapshot import Snapshot
from turnout_server.policy.health import Health
from turnout_server.providers.catalogue import LOCAL
from turnout_server.providers.provider import Provider
from turnout_server.providers.registry import Registry
from turnout_server.rpc.admin import AdminService
from turnout_server.rpc.calls import Calls
from turnout_server.rpc.chat import ChatService
from turnout_server.rpc.embed import EmbedService, add_embed_service
from turnout_server.rpc.models import ModelService
from turnout_server.rpc.server import Listen, RpcServer, Service
from turnout_server.rpc.usage import UsageService

_V1 = "turnout.v1."


class Gateway:
    """Everything of one process. `start` it, `apply` new settings, `stop` it."""

    def __init__(
        self,
        settings: Settings,
        observers: Sequence[Observer] = (),
        on_observer_error: Callable[[Observer, Exception], None] = lambda *_: None,
    ) -> None:
        self.settings = settings
        self._observers = observers
        self._on_observer_error = on_observer_error
        self._clock = SYSTEM_CLOCK
        rng = random.Random()
        self._registry = Registry()
        self._embedded: Embedded | None = None
        self._snapshot: Snapshot | None = None
        self._health = Health(rng)
        self.admission = Admission(settings.config.server.max_in_flight)
        self._calls = Calls(self.admission, self._watch, self._clock)
        self._chat = Chat(self.snapshot, self._health, self._clock, rng)
        self._embed = Embed(self.snapshot, self._health, self._clock, rng)
        self._server = RpcServer(Listen(settings.config.server.listen), self._services())
        self._admin_server = self._admin()
        self.port = 0

    @property
    def embedded(self) -> Embedded | None:
        """The embedded models, where the settings name them; run them in a task."""
        return self._embedded

    async def start(self) -> None:
        """Make every client, then listen. Raises PortTaken, or what a local model's start does."""
        if any(e.row == LOCAL for e in self.settings.routes.endpoints.values()):
            self._embedded = Embedded()
            await self._embedded.start()
        self._snapshot = await asyncio.to_thread(self._make_snapshot, self.settings)
        self.port = await self._server.start()
        if self._admin_server is not None:
            await self._admin_server.start()

    def apply(self, settings: Settings) -> None:
        """Take new settings into use; streams under way keep what they began with."""
        self._snapshot = self._make_snapshot(settings)
        self.settings = settings

    async def stop(self, *, lame_duck_s: float) -> None:
        """Let calls end within the configured grace, then free everything."""
        grace_s = self.settings.config.server.drain_grace
        await self._server.drain(
            self.admission, self._calls, lame_duck_s=lame_duck_s, grace_s=grace_s
        )
        if self._admin_server is not None:
            await self._admin_server.stop()
        await self._registry.aclose()
        if self._embedded is not None:
            await self._embedded.stop()

    def _services(self) -> list[Service]:
        models = ModelService(self.snapshot, self._health, self._clock)
        return [
            Service(
                chat_grpc.add_ChatServiceServicer_to_server,
                ChatService(self._calls, self._chat),
                _V1 + "ChatService",
            ),
            Service(
                add_embed_service, EmbedService(self._calls, self._embed), _V1 + "EmbedService"
            ),
            Service(model_grpc.add_ModelServiceServicer_to_server, models, _V1 + "ModelService"),
            Service(
                usage_grpc.add_UsageServiceServicer_to_server, UsageService(), _V1 + "UsageService"
            ),
        ]

    def _admin(self) -> RpcServer | None:
        listen = self.settings.config.server.admin_listen
        if listen is None:
            return None
        admin = AdminService(self.snapshot, self._health, self._clock)
        service = Service(
            admin_grpc.add_AdminServiceServicer_to_server, admin, "turnout.admin.v1.AdminService"
        )
        return RpcServer(Listen(listen), [service])

    def snapshot(self) -> Snapshot:
        """The configuration in use; only after `start`."""
        assert self._snapshot is not None
        return self._snapshot

    def in_flight(self) -> int:
        """Calls and upstream attempts under way."""
        return self.admission.in_flight + self._health.in_flight()

    def _watch(self, call: Call) -> Watch:
        return Watch(call, self._observers, self._on_observer_error)

    def _make_snapshot(self, settings: Settings) -> Snapshot:
        routes = settings.routes
        providers = {name: self._provider(e) for name, e in routes.endpoints.items()}
        return Snapshot(routes, providers)

    def _provider(self, endpoint: Endpoint) -> Provider:
        if endpoint.row == LOCAL and self._embedded is not None:
            return self._embedded.provider(endpoint)
        return self._registry.provider(endpoint)
