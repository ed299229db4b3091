"""Builds everything, once; the only file that knows every room."""

import asyncio
import random
from collections.abc import Callable, Sequence

import structlog
from turnout.admin.v1 import admin_service_pb2_grpc as admin_grpc
from turnout.v1 import chat_service_pb2_grpc as chat_grpc
from turnout.v1 import model_service_pb2_grpc as model_grpc
from turnout.v1 import usage_service_pb2_grpc as usage_grpc

from turnout_server.app.authentication import RuleMaker
from turnout_server.app.clients import Clients
from turnout_server.app.config.problem import ConfigError, Problem
from turnout_server.app.credentials import ServerTls
from turnout_server.app.embedded import Embedded, ModelUrls
from turnout_server.app.memory import find_memory
from turnout_server.app.reload import Reloader
from turnout_server.app.settings import Settings
from turnout_server.app.stores import ShowGauge, Stores
from turnout_server.app.watchdog import Watchdog
from turnout_server.core.call import Call
from turnout_server.core.clock import SYSTEM_CLOCK
from turnout_server.core.watch import Observer, Watch
from turnout_server.dispatch.admission import Admission, Pressure
from turnout_server.dispatch.chat import Chat
from turnout_server.dispatch.embed import Embed
from turnout_server.dispatch.snapshot import Snapshot
from turnout_server.policy.health import Health
from turnout_server.providers.local.models import ModelFileError
from turnout_server.providers.local.supervisor import LocalModelUnavailable
from turnout_server.rpc.admin import AdminService, Reloaded
from turnout_server.rpc.auth import Auth
from turnout_server.rpc.calls import Calls
from turnout_server.rpc.chat import ChatService
from turnout_server.rpc.embed import EmbedService, add_embed_service
from turnout_server.rpc.models import ModelService
from turnout_server.rpc.server import Listen, RpcServer, Service
from turnout_server.rpc.usage import UsageService

GUARD_EVERY_S = 1.0
RESET_SHARE = 0.05
"""The part of the calls under way that is given up at once when memory is almost gone."""
_V1 = "turnout.v1."

_log = structlog.get_logger(__name__)


class Gateway:
    """Everything of one process. `start` it, `run` it in a task, and `stop` it.

    `read` makes the settings of a reload; without it there is none. `models` says where the
    embedded models answer, when another process runs them.
    """

    def __init__(
        self,
        settings: Settings,
        observers: Sequence[Observer] = (),
        on_observer_error: Callable[[Observer, Exception], None] = lambda *_: None,
        *,
        read: Callable[[], Settings] | None = None,
        models: ModelUrls | None = None,
    ) -> None:
        self.settings = settings
        self.stores = stores = Stores(settings, SYSTEM_CLOCK)
        self._observers = (*observers, *stores.observers)
        self._on_observer_error = on_observer_error
        self._clock = SYSTEM_CLOCK
        rng = random.Random()
        self._clients = Clients(models)
        self._snapshot: Snapshot | None = None
        self._health = Health(rng)
        self.watchdog = Watchdog(find_memory())
        self.admission = Admission(settings.config.server.max_in_flight, self.watchdog.pressure)
        self._calls = Calls(self.admission, self._watch, self._clock)
        self._embed = Embed(
            self.snapshot,
            self._health,
            self._clock,
            rng,
            caching=stores.embed_caching,
            batching=stores.batching,
            quota=stores.quota,
            pacing=stores.pacing,
            once=stores.once,
        )
        self._chat = Chat(
            self.snapshot,
            self._health,
            self._clock,
            rng,
            caching=stores.chat_caching(self._embed),
            quota=stores.quota,
            pacing=stores.pacing,
            once=stores.once,
        )
        self._rules = RuleMaker()
        self._auth = Auth(self._rules.make(settings.config.auth, settings.auth))
        self._tls = ServerTls(settings.tls) if settings.tls else None
        self._server = RpcServer(self._listen(), self._services(), auth=self._auth)
        self.reloader = Reloader(settings, read, self.apply) if read else None
        self._admin_server = self._admin()
        self._tasks: asyncio.TaskGroup | None = None
        self.port = 0

    @property
    def embedded(self) -> Embedded | None:
        """The embedded models, where this process runs them."""
        return self._clients.embedded

    async def start(self) -> None:
        """Make every client, then listen. Raises PortTaken, or what a local model's start does."""
        self._snapshot = await self._make_snapshot(self.settings)
        await self.stores.start()
        self.watchdog.start()
        self.port = await self._server.start()
        if self._admin_server is not None:
            await self._admin_server.start()

    async def run(self) -> None:
        """Reload, guard and watch until cancelled; raises what one of these tasks dies of."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._guard())
            tasks.create_task(self.stores.run())
            if self.reloader is not None:
                tasks.create_task(self.reloader.run())
            if self._tls is not None:
                tasks.create_task(self._tls.watch())
            if self.embedded is not None:
                tasks.create_task(self.embedded.run())

    async def apply(self, settings: Settings) -> None:
        """Take new settings into use, while `run` runs; streams under way keep what they began
        with. Raises ConfigError for embedded models that cannot be started.
        """
        assert self._tasks is not None
        embedded = self.embedded
        try:
            snapshot = await self._make_snapshot(settings)
        except (ModelFileError, LocalModelUnavailable) as error:
            raise ConfigError([Problem("local", "", str(error))]) from None
        if self.embedded is not None and self.embedded is not embedded:
            self._tasks.create_task(self.embedded.run())
        self._restore_rotated_keys(settings)
        self._snapshot, self.settings = snapshot, settings
        self._auth.use(self._rules.make(settings.config.auth, settings.auth))
        await self.stores.use(settings)
        if self._tls is not None and settings.tls is not None:
            self._tls.use(settings.tls)
        self._tasks.create_task(self._clients.retire(settings, self._calls.next_epoch()))

    async def hurry(self) -> None:
        """End every call at once; a `stop` under way then goes on to its end."""
        self._calls.stop()
        self.admission.drain()
        await self._server.stop()

    async def stop(self, *, lame_duck_s: float) -> None:
        """Let calls end within the configured grace, then free everything."""
        grace_s = self.settings.config.server.drain_grace
        await self._server.drain(
            self.admission, self._calls, lame_duck_s=lame_duck_s, grace_s=grace_s
        )
        if self._admin_server is not None:
            await self._admin_server.stop()
        await self._clients.aclose()
        await self.stores.aclose()
        self.watchdog.stop()

    async def _guard(self) -> None:
        """Tell health checks how the process fares, and free memory before the kernel does."""
        ready = True
        while True:
            if ready is not (ready := self.watchdog.ready()):
                await self._server.say_ready(ready=ready)
            if self.watchdog.pressure() is Pressure.RESET_LARGEST:
                count = self._calls.reset_largest(RESET_SHARE)
                _log.error("calls were reset to free memory", count=count)
            await asyncio.sleep(GUARD_EVERY_S)

    def _restore_rotated_keys(self, settings: Settings) -> None:
        """A key keeps its id when its secret is replaced: what was wrong with it is over."""
        before = self.settings.routes.endpoints
        for name, endpoint in settings.routes.endpoints.items():
            known = {key.id: key.secret for key in before[name].keys} if name in before else {}
            for key in endpoint.keys:
                if known.get(key.id, key.secret) != key.secret:
                    self._health.restore_key(endpoint, key.id)

    def _listen(self) -> Listen:
        server = self.settings.config.server
        credentials = self._tls.credentials if self._tls else None
        return Listen(server.listen, credentials, reuse_port=server.workers > 1)

    def _services(self) -> list[Service]:
        usage = UsageService(self.stores.query_usage, self.stores.quota.left)
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
            Service(usage_grpc.add_UsageServiceServicer_to_server, usage, _V1 + "UsageService"),
        ]

    def _admin(self) -> RpcServer | None:
        listen = self.settings.config.server.admin_listen
        if listen is None:
            return None
        reload = self._reload if self.reloader is not None else None
        admin = AdminService(
            self.snapshot, self._health, self._clock, reload, self.stores.invalidate
        )
        service = Service(
            admin_grpc.add_AdminServiceServicer_to_server, admin, "turnout.admin.v1.AdminService"
        )
        return RpcServer(Listen(listen), [service])

    async def _reload(self, validate_only: bool) -> Reloaded:  # noqa: FBT001  rpc.admin's own word
        assert self.reloader is not None
        return await self.reloader.reload(validate_only=validate_only)

    def snapshot(self) -> Snapshot:
        """The configuration in use; only after `start`."""
        assert self._snapshot is not None
        return self._snapshot

    def show(self, add_gauge: ShowGauge) -> None:
        """Tell what this process knows of itself as metrics."""
        self.stores.show(add_gauge)
        add_gauge(
            "turnout.config.stale",
            "1 while the files say something that could not be taken into use",
            lambda: float(self.reloader is not None and self.reloader.stale),
        )

    def in_flight(self) -> int:
        """Calls and upstream attempts under way."""
        return self.admission.in_flight + self._health.in_flight()

    def _watch(self, call: Call) -> Watch:
        return Watch(call, self._observers, self._on_observer_error)

    async def _make_snapshot(self, settings: Settings) -> Snapshot:
        return Snapshot(settings.routes, await self._clients.make(settings))
