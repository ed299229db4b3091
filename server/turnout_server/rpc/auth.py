"""The auth interceptor: who calls is settled before a byte of the request is decoded."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import grpc
from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.call import ANONYMOUS, Identity
from turnout_server.core.errors import GatewayError
from turnout_server.rpc import status
from turnout_server.rpc.access import ANY_TENANT, DEFAULT_TENANT, Access, narrowed
from turnout_server.rpc.context import Context, Handler
from turnout_server.rpc.guard import readable
from turnout_server.rpc.identity import caller
from turnout_server.rpc.mtls import Peers
from turnout_server.rpc.request_id import request_id

REFUSED = "the call carries no valid credentials; send `authorization: Bearer <key>`"
"""One text for every way to fail, so that an attempt teaches nothing."""
_OPEN_TO_ALL = ("/grpc.health.v1.Health/",)
_DECISIVE = ("authorization", "x-tenant-id")
_TENANT = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")


class Authenticator(Protocol):
    """One way of telling who calls by a bearer token, such as API keys or JWTs."""

    async def identify(self, token: str) -> Identity | None:
        """The caller, or None when the token is not of this kind or not valid."""
        ...


@dataclass(frozen=True, slots=True)
class AuthRules:
    """Who may call, and what each tenant may do. Without any way to tell, everybody may."""

    authenticators: tuple[Authenticator, ...] = ()
    peers: Peers | None = None
    tenants: Mapping[str, Access] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether no way of telling callers apart is configured."""
        return not self.authenticators and self.peers is None


class Auth(grpc.aio.ServerInterceptor):
    """Denies by default: a call that no rule knows is UNAUTHENTICATED.

    A token decides alone where there is one; only without does the certificate count. Health checks
    stay open, as probes carry no credentials.
    """

    def __init__(self, rules: AuthRules) -> None:
        self._rules = rules

    def use(self, rules: AuthRules) -> None:
        """Hold calls to other rules from now on."""
        self._rules = rules

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Set `identity.caller` for the handler, or answer in its place."""
        handler = await continuation(handler_call_details)
        rules = self._rules
        if handler is None:
            return handler
        if rules.open:
            caller.set(_held(ANONYMOUS, rules))
            return handler
        if handler_call_details.method.startswith(_OPEN_TO_ALL):
            return handler
        metadata = _metadata(handler_call_details.invocation_metadata or ())
        if "authorization" not in metadata and rules.peers is not None:
            return _asking_the_peer(handler, rules, rules.peers, metadata)
        identity = _placed(await _bearer(metadata, rules), metadata, rules)
        if identity is None:
            return _replacing(handler, _refusal(metadata))
        caller.set(identity)
        return handler


async def _bearer(metadata: Mapping[str, str], rules: AuthRules) -> Identity | None:
    scheme, _, token = metadata.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    for authenticator in rules.authenticators:
        identity = await authenticator.identify(token.strip())
        if identity is not None:
            return identity
    return None


def _placed(
    identity: Identity | None, metadata: Mapping[str, str], rules: AuthRules
) -> Identity | None:
    """The identity under the tenant it may act for and names, held to that tenant's rules."""
    if identity is None:
        return None
    named = metadata.get("x-tenant-id")
    if named is not None and identity.may_act_for:
        allowed = named in identity.may_act_for or ANY_TENANT in identity.may_act_for
        if not allowed or not _TENANT.fullmatch(named):
            return None
        identity = replace(identity, tenant=named)
    return _held(identity, rules) if identity.tenant else None


def _held(identity: Identity, rules: AuthRules) -> Identity:
    access = rules.tenants.get(identity.tenant) or rules.tenants.get(DEFAULT_TENANT)
    return narrowed(identity, access) if access is not None else identity


def _asking_the_peer(
    handler: Handler, rules: AuthRules, peers: Peers, metadata: Mapping[str, str]
) -> Handler:
    """The handler behind one that looks at the connection first, which no interceptor can see.

    It takes the request as bytes, so that nothing is decoded for a stranger.
    """
    behaviour: Any = (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )
    refuse = _refusal(metadata)

    async def identified(request: Any, context: Context) -> Any:
        identity = _placed(peers.identify(context), metadata, rules)
        if identity is None:
            return await refuse(request, context)
        caller.set(identity)
        if handler.request_streaming:
            return await behaviour(request, context)
        try:
            message = readable(handler.request_deserializer, request)
        except GatewayError as error:
            status.fail(context, error, request_id(metadata.get("x-request-id", "")))
            return None
        return await behaviour(message, context)

    # A stream's messages are decoded one by one as the handler asks for them, so after this.
    streaming = handler.request_streaming
    return _replacing(
        handler, identified, deserializer=handler.request_deserializer if streaming else None
    )


def _refusal(metadata: Mapping[str, str]) -> Callable[[Any, Context], Awaitable[None]]:
    """A behaviour that decodes nothing and says UNAUTHENTICATED."""
    error = GatewayError(ErrorReason.ERROR_REASON_UNAUTHENTICATED, REFUSED)

    async def refuse(_: Any, context: Context) -> None:
        status.fail(context, error, request_id(metadata.get("x-request-id", "")))

    return refuse


def _replacing(
    handler: Handler, behaviour: Callable[..., Any], *, deserializer: Any = None
) -> Handler:
    """A handler of the same shape that behaves otherwise."""
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(behaviour, deserializer, handler.response_serializer)


def _metadata(pairs: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """The text headers. One that decides who calls counts for nothing valid when it comes twice:
    of two values, the one a proxy has vouched for cannot be told.
    """
    metadata: dict[str, str] = {}
    for key, value in pairs:
        if not isinstance(value, str):
            continue
        if key in metadata and key in _DECISIVE:
            metadata[key] = ""
        else:
            metadata.setdefault(key, value)
    return metadata
