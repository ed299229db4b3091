"""turnout.v1.UsageService on the wire: the caller's own tenant, and no other."""

from collections.abc import Awaitable, Callable, Sequence

import grpc
from turnout.v1.usage_service_pb2 import (
    GetLimitsRequest,
    GetLimitsResponse,
    Limit,
    QueryUsageRequest,
    QueryUsageResponse,
)
from turnout.v1.usage_service_pb2_grpc import UsageServiceServicer

from turnout_server.core.errors import GatewayError
from turnout_server.rpc import status
from turnout_server.rpc.context import Context
from turnout_server.rpc.identity import caller
from turnout_server.rpc.request_id import request_id

QueryUsage = Callable[[str, QueryUsageRequest], Awaitable[QueryUsageResponse]]
ReadLimits = Callable[[str], Awaitable[Sequence[Limit]]]


class UsageService(UsageServiceServicer):
    """Analytics and limits of the calling tenant. What is not kept here answers UNIMPLEMENTED."""

    def __init__(
        self, query: QueryUsage | None = None, read_limits: ReadLimits | None = None
    ) -> None:
        self._query = query
        self._read_limits = read_limits

    async def QueryUsage(  # type: ignore[override]
        self, request: QueryUsageRequest, context: Context
    ) -> QueryUsageResponse | None:
        """Sums over the tenant's calls."""
        if self._query is None:
            _unimplemented(context, "this server keeps no usage; set usage.url")
            return None
        try:
            return await self._query(caller.get().tenant, request)
        except GatewayError as error:
            metadata = dict(context.invocation_metadata() or ())
            status.fail(context, error, request_id(str(metadata.get("x-request-id", ""))))
            return None

    async def GetLimits(  # type: ignore[override]
        self, request: GetLimitsRequest, context: Context
    ) -> GetLimitsResponse | None:
        """The tenant's limits and what is left of each."""
        if self._read_limits is None:
            _unimplemented(context, "this server limits no tenant; set limits.tenants")
            return None
        return GetLimitsResponse(limits=await self._read_limits(caller.get().tenant))


def _unimplemented(context: Context, message: str) -> None:
    context.set_code(grpc.StatusCode.UNIMPLEMENTED)
    context.set_details(message)
