"""The grpc.aio server: its options, interceptors and services, and how it stops.

Every option here was measured before it was set (docs/adr); the defaults fail under load, under
silence or under attack, each in a way that its comment names.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

from turnout_server.dispatch.admission import Admission
from turnout_server.rpc.auth import Auth
from turnout_server.rpc.calls import Calls
from turnout_server.rpc.guard import Guard
from turnout_server.rpc.reflection import add_reflection

MAX_MESSAGE_BYTES = 32 << 20
LAST_RECORDS_S = 3.0
LAST_ANSWERS_S = 0.5
"""How long what is no call of ours, such as a health watch, may hold up a stop."""

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # The default of 1,000 answers a burst of 2,000 streams with bare CANCELLED, unlogged.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
    # Unlimited by default: one connection could hold thousands of live handlers.
    ("grpc.max_concurrent_streams", 1_000),
    # Two hours by default: a caller that vanished without a FIN would hold its stream that long.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # A minute by default, and it is this one that runs while we write: keepalive's own timeout
    # alone did not notice a stalled proxy within 40 s (measured; tests/fault, row 64).
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A model may think for minutes: callers must be free to ping every 10 s meanwhile. A ping that
    # comes a millisecond early is a strike and the third ends the connection, hence the second off.
    ("grpc.http2.min_ping_interval_without_data_ms", 9_000),
    # Half-sent prefaces stay open for ever by default.
    ("grpc.server_handshake_timeout_ms", 10_000),
)


@dataclass(frozen=True, slots=True)
class Service:
    """A servicer, the generated function that adds it to a server, and its full name."""

    add: Callable[[Any, grpc.aio.Server], None]
    servicer: object
    name: str


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen: `host:port`, or `unix:/path`. Without credentials it is plain text."""

    address: str
    credentials: grpc.ServerCredentials | None = None
    reuse_port: bool = False


class PortTaken(Exception):
    """The address cannot be listened on; the message says which and what to do."""


class RpcServer:
    """One listening server. `start` binds it, `drain` ends it without losing a record.

    Without `auth` everybody may call.
    """

    def __init__(
        self, listen: Listen, services: Sequence[Service], *, auth: Auth | None = None
    ) -> None:
        # The order is asserted by a test: the guard must also mask a bug in auth, and auth must
        # come before anything decodes the request.
        interceptors: list[grpc.aio.ServerInterceptor] = [Guard()]
        if auth is not None:
            interceptors.append(auth)
        reuse = ("grpc.so_reuseport", int(listen.reuse_port))
        self._server = grpc.aio.server(interceptors=interceptors, options=(*OPTIONS, reuse))
        self._listen = listen
        self._health = health.aio.HealthServicer()
        self._names = [service.name for service in services]
        self._draining = False
        self._hurried = asyncio.Event()
        for service in services:
            service.add(service.servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        add_reflection(self._server, [*self._names, health.SERVICE_NAME])

    async def start(self) -> int:
        """Listen and say SERVING; returns the port. Raises PortTaken."""
        port = self._bind()
        await self._server.start()
        await self._say(HealthCheckResponse.SERVING)
        return port

    async def drain(
        self, admission: Admission, calls: Calls, *, lame_duck_s: float, grace_s: float
    ) -> None:
        """Say NOT_SERVING, let balancers turn away, then let calls end within `grace_s`.

        Returns when every call is on record: grpc's own stop may return before the handlers'
        clean-up has run (measured), and their usage would be lost.
        """
        self._draining = True
        await self._say(HealthCheckResponse.NOT_SERVING)
        with suppress(TimeoutError):
            async with asyncio.timeout(lame_duck_s):
                await self._hurried.wait()
        admission.drain()
        # What is cancelled when the grace is over was cancelled by us, not by its caller.
        asyncio.get_running_loop().call_later(grace_s, calls.stop)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._server.stop(grace_s))
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s + LAST_RECORDS_S):
                    await calls.drained()
            await self._server.stop(LAST_ANSWERS_S)

    async def stop(self) -> None:
        """Stop at once; a `drain` under way stops waiting, and still returns with every record."""
        self._hurried.set()
        await self._server.stop(0)

    async def say_ready(self, *, ready: bool) -> None:
        """Tell health checks whether to send calls here; while it drains that stays no."""
        if not self._draining:
            serving, not_serving = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
            await self._say(serving if ready else not_serving)

    async def _say(self, state: int) -> None:
        for name in ("", *self._names):
            await self._health.set(name, state)

    def _bind(self) -> int:
        listen = self._listen
        try:
            if listen.credentials is None:
                return self._server.add_insecure_port(listen.address)
            return self._server.add_secure_port(listen.address, listen.credentials)
        except RuntimeError as error:
            raise PortTaken(
                f"cannot listen on {listen.address}: is another process using it? "
                "Set server.listen (or TURNOUT_SERVER__LISTEN) to a free address"
            ) from error
