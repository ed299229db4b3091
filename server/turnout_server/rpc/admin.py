"""turnout.admin.v1.AdminService: operators' switches, on a port of their own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import grpc
from turnout.admin.v1.admin_service_pb2 import (
    InvalidateCacheRequest,
    InvalidateCacheResponse,
    ReloadConfigRequest,
    ReloadConfigResponse,
    ResetCircuitRequest,
    ResetCircuitResponse,
    SetProviderEnabledRequest,
    SetProviderEnabledResponse,
)
from turnout.admin.v1.admin_service_pb2_grpc import AdminServiceServicer
from turnout.v1.model_service_pb2 import ProviderStatus

from turnout_server.core.clock import Clock
from turnout_server.core.target import Endpoint
from turnout_server.dispatch.snapshot import Current
from turnout_server.policy.health import Health
from turnout_server.rpc.context import Context
from turnout_server.rpc.models import provider_status


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did. `error` is the message of a file that was refused and changed nothing."""

    version: str = ""
    changed: bool = False
    warnings: tuple[str, ...] = ()
    error: str = ""


Reload = Callable[[bool], Awaitable[Reloaded]]
"""Reads the configuration anew; True only checks it."""
Invalidate = Callable[[str, str, str], Awaitable[int | None]]
"""Drops cached answers by tenant, namespace and model (empty for all); how many, if known."""


class AdminService(AdminServiceServicer):
    """Acts on this instance alone."""

    def __init__(
        self,
        current: Current,
        health: Health,
        clock: Clock,
        reload: Reload | None = None,
        invalidate: Invalidate | None = None,
    ) -> None:
        self._current = current
        self._health = health
        self._clock = clock
        self._reload = reload
        self._invalidate = invalidate

    async def SetProviderEnabled(  # type: ignore[override]
        self, request: SetProviderEnabledRequest, context: Context
    ) -> SetProviderEnabledResponse | None:
        """Take a provider out of every route, or put it back; streams under way go on."""
        endpoint = self._endpoint(request.provider, context)
        if endpoint is None:
            return None
        self._health.set_enabled(endpoint, enabled=request.enabled)
        return SetProviderEnabledResponse(provider=self._status(endpoint))

    async def ResetCircuit(  # type: ignore[override]
        self, request: ResetCircuitRequest, context: Context
    ) -> ResetCircuitResponse | None:
        """Close a provider's circuits and revive its keys at once."""
        endpoint = self._endpoint(request.provider, context)
        if endpoint is None:
            return None
        count = self._health.reset(endpoint, self._clock.monotonic(), request.model)
        return ResetCircuitResponse(provider=self._status(endpoint), circuits_reset=count)

    async def InvalidateCache(  # type: ignore[override]
        self, request: InvalidateCacheRequest, context: Context
    ) -> InvalidateCacheResponse | None:
        """Forget cached answers."""
        if self._invalidate is None:
            _refuse(context, grpc.StatusCode.FAILED_PRECONDITION, "no cache is configured")
            return None
        count = await self._invalidate(request.tenant, request.namespace, request.model)
        return InvalidateCacheResponse(entries_dropped=count)

    async def ReloadConfig(  # type: ignore[override]
        self, request: ReloadConfigRequest, context: Context
    ) -> ReloadConfigResponse | None:
        """Read the configuration file anew, whole or not at all."""
        if self._reload is None:
            _refuse(
                context,
                grpc.StatusCode.FAILED_PRECONDITION,
                "the server was started without a configuration file",
            )
            return None
        reloaded = await self._reload(request.validate_only)
        if reloaded.error:
            _refuse(context, grpc.StatusCode.FAILED_PRECONDITION, reloaded.error[:1024])
            return None
        return ReloadConfigResponse(
            version=reloaded.version, changed=reloaded.changed, warnings=reloaded.warnings
        )

    def _endpoint(self, provider: str, context: Context) -> Endpoint | None:
        endpoints = self._current().routes.endpoints
        endpoint = endpoints.get(provider)
        if endpoint is None:
            known = ", ".join(sorted(endpoints)) or "none"
            _refuse(
                context,
                grpc.StatusCode.NOT_FOUND,
                f"provider: {provider[:64]!r} is not configured; there are: {known[:160]}",
            )
        return endpoint

    def _status(self, endpoint: Endpoint) -> ProviderStatus:
        live = self._health.status(endpoint, self._clock.monotonic())
        return provider_status(endpoint, live, self._clock)


def _refuse(context: Context, code: grpc.StatusCode, message: str) -> None:
    context.set_code(code)
    context.set_details(message)
