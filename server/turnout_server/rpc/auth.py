"""The auth interceptor: who calls is settled before a byte of the request is decoded."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import grpc
from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.call import Identity
from turnout_server.core.errors import GatewayError
from turnout_server.rpc import status
from turnout_server.rpc.context import Context, Handler
from turnout_server.rpc.identity import caller
from turnout_server.rpc.request_id import request_id

REFUSED = "the call carries no valid credentials; send `authorization: Bearer <key>`"
"""One text for every way to fail, so that an attempt teaches nothing."""
_OPEN_TO_ALL = ("/grpc.health.v1.Health/",)


class Authenticator(Protocol):
    """One way of telling who calls, such as API keys or JWTs."""

    def identify(self, metadata: Mapping[str, str]) -> Identity | None:
        """The caller, or None when these credentials are not this authenticator's or not valid."""
        ...


class Auth(grpc.aio.ServerInterceptor):
    """Denies by default: a call that no authenticator knows is UNAUTHENTICATED.

    Health checks stay open, as probes carry no credentials.
    """

    def __init__(self, authenticators: list[Authenticator]) -> None:
        self._authenticators = authenticators

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Set `identity.caller` for the handler, or answer in its place."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_OPEN_TO_ALL):
            return handler
        metadata = {
            key: value
            for key, value in handler_call_details.invocation_metadata or ()
            if isinstance(value, str)
        }
        for authenticator in self._authenticators:
            identity = authenticator.identify(metadata)
            if identity is not None:
                caller.set(identity)
                return handler
        return _refusing(handler, metadata.get("x-request-id", ""))


def _refusing(handler: Handler, given_id: str) -> Handler:
    """A handler of the same shape that decodes nothing and says UNAUTHENTICATED."""
    error = GatewayError(ErrorReason.ERROR_REASON_UNAUTHENTICATED, REFUSED)

    async def refuse(_: Any, context: Context) -> None:
        status.fail(context, error, request_id(given_id))

    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(refuse)
