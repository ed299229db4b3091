"""turnout.v1.ModelService on the wire: what there is to call, and how it is doing."""

import asyncio
import base64
import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.model_service_pb2 import (
    CircuitState,
    GetModelRequest,
    GetModelResponse,
    ListModelsRequest,
    ListModelsResponse,
    ListProvidersRequest,
    ListProvidersResponse,
    Model,
    ModelTarget,
    ProviderStatus,
    WatchProvidersRequest,
    WatchProvidersResponse,
)
from turnout.v1.model_service_pb2_grpc import ModelServiceServicer

from turnout_server.core.clock import Clock
from turnout_server.core.errors import GatewayError, Violation
from turnout_server.core.target import Endpoint, Target
from turnout_server.dispatch.snapshot import Current
from turnout_server.policy.breaker import CircuitState as Circuit
from turnout_server.policy.endpoint_status import EndpointStatus
from turnout_server.policy.health import Health
from turnout_server.policy.routes import Alias
from turnout_server.rpc import status
from turnout_server.rpc.calls import refuse
from turnout_server.rpc.context import Context
from turnout_server.rpc.identity import caller
from turnout_server.rpc.request_id import request_id
from turnout_server.rpc.writer import StreamWriter

T = TypeVar("T")
DEFAULT_PAGE, MAX_PAGE = 100, 1000
WATCH_EVERY_S = 1.0
_CIRCUITS = {
    Circuit.CLOSED: CircuitState.CIRCUIT_STATE_CLOSED,
    Circuit.HALF_OPEN: CircuitState.CIRCUIT_STATE_HALF_OPEN,
    Circuit.OPEN: CircuitState.CIRCUIT_STATE_OPEN,
    None: CircuitState.CIRCUIT_STATE_DISABLED,
}


class ModelService(ModelServiceServicer):
    """Reads the current snapshot and the health of its endpoints; changes nothing."""

    def __init__(self, current: Current, health: Health, clock: Clock) -> None:
        self._current = current
        self._health = health
        self._clock = clock

    async def ListModels(  # type: ignore[override]
        self, request: ListModelsRequest, context: Context
    ) -> ListModelsResponse | None:
        """Aliases the caller may use, by name."""
        aliases = self._current().routes.aliases
        allowed = caller.get().allowed_models
        names = sorted(n for n in aliases if allowed is None or n in allowed)
        try:
            page, token = page_of(names, request.page_size, request.page_token)
        except GatewayError as error:
            _failed(context, error)
            return None
        models = [model_of(aliases[name]) for name in page]
        return ListModelsResponse(models=models, next_page_token=token)

    async def GetModel(  # type: ignore[override]
        self, request: GetModelRequest, context: Context
    ) -> GetModelResponse | None:
        """One alias, or `provider/model`."""
        allowed = caller.get().allowed_models
        if allowed is not None and request.name not in allowed:
            # Before the look-up, so that it tells nobody what there is.
            reason = ErrorReason.ERROR_REASON_FORBIDDEN
            _failed(context, GatewayError(reason, "this key may not use the model that was named"))
            return None
        alias = self._current().routes.find(request.name)
        if alias is None:
            error = GatewayError(
                ErrorReason.ERROR_REASON_MODEL_NOT_FOUND,
                "name: no model or alias is called so; ListModels lists those there are",
                resource=request.name[:256],
                named_directly=True,
            )
            _failed(context, error)
            return None
        return GetModelResponse(model=model_of(alias))

    async def ListProviders(  # type: ignore[override]
        self, request: ListProvidersRequest, context: Context
    ) -> ListProvidersResponse | None:
        """Every configured endpoint with its live state."""
        endpoints = self._current().routes.endpoints
        try:
            page, token = page_of(sorted(endpoints), request.page_size, request.page_token)
        except GatewayError as error:
            _failed(context, error)
            return None
        return ListProvidersResponse(
            providers=[self._status(endpoints[name]) for name in page], next_page_token=token
        )

    async def WatchProviders(  # type: ignore[override]
        self, request: WatchProvidersRequest, context: Context
    ) -> None:
        """All providers first, then those that changed, at most once a second."""
        told: dict[str, ProviderStatus] = {}
        with StreamWriter(context, (), heartbeat_after_s=math.inf) as writer:
            while True:
                endpoints = self._current().routes.endpoints
                now_told = {name: self._status(endpoint) for name, endpoint in endpoints.items()}
                changed = [s for name, s in sorted(now_told.items()) if told.get(name) != s]
                if changed or not told:
                    await writer.write(WatchProvidersResponse(providers=changed))
                told = now_told
                await asyncio.sleep(WATCH_EVERY_S)

    def _status(self, endpoint: Endpoint) -> ProviderStatus:
        return provider_status(
            endpoint, self._health.status(endpoint, self._clock.monotonic()), self._clock
        )


def provider_status(endpoint: Endpoint, live: EndpointStatus, clock: Clock) -> ProviderStatus:
    """The public face of one endpoint's state. Monotonic times become dates here."""
    message = ProviderStatus(
        provider=endpoint.name,
        state=_CIRCUITS[live.state],
        in_flight=live.in_flight,
        error_rate=live.error_rate,
    )
    offset_s = clock.wall() - clock.monotonic()
    if live.p50_first_output_s is not None:
        message.p50_time_to_first_output.FromNanoseconds(round(live.p50_first_output_s * 1e9))
    if live.p95_first_output_s is not None:
        message.p95_time_to_first_output.FromNanoseconds(round(live.p95_first_output_s * 1e9))
    message.window.FromNanoseconds(round(live.window_s * 1e9))
    if live.last_failure_at is not None:
        message.last_failure = live.last_failure_reason
        message.last_failure_time.FromNanoseconds(round((live.last_failure_at + offset_s) * 1e9))
    if live.next_probe_at is not None:
        message.next_probe_time.FromNanoseconds(round((live.next_probe_at + offset_s) * 1e9))
    return message


def model_of(alias: Alias) -> Model:
    """The public face of an alias: what every target can do, and the least of their limits."""
    cards = [target.card for target in alias.targets]
    windows = [card.context_window for card in cards if card.context_window]
    outputs = [card.max_output_tokens for card in cards if card.max_output_tokens]
    inputs = [card.max_embed_inputs for card in cards if card.max_embed_inputs]
    dimensions = set(cards[0].embedding_dimensions)
    for card in cards[1:]:
        dimensions &= set(card.embedding_dimensions)
    return Model(
        name=alias.name,
        capabilities=sorted(frozenset.intersection(*(card.capabilities for card in cards))),
        context_window=min(windows, default=0),
        max_output_tokens=min(outputs, default=0),
        embedding_dimensions=sorted(dimensions),
        max_embed_inputs=min(inputs, default=0),
        targets=[_target(target) for target in alias.targets],
    )


def _target(target: Target) -> ModelTarget:
    message = ModelTarget(
        provider=target.provider,
        model=target.model,
        capabilities=sorted(target.card.capabilities),
    )
    price = target.card.price
    if price is not None:
        message.price.input_micro_usd_per_million = price.input
        message.price.output_micro_usd_per_million = price.output
        read, write = price.cache_read, price.cache_write
        message.price.cache_read_micro_usd_per_million = price.input if read is None else read
        message.price.cache_write_micro_usd_per_million = price.input if write is None else write
    return message


def page_of(items: Sequence[T], size: int, token: str) -> tuple[Iterable[T], str]:
    """One page of a sorted list and the token of the next; a token is the place to go on at."""
    if size < 0:
        refuse([Violation("page_size", "must not be negative")])
    count = min(size or DEFAULT_PAGE, MAX_PAGE)
    start = 0
    if token:
        try:
            start = int(base64.urlsafe_b64decode(token.encode()).decode())
        except ValueError:
            start = -1
        if start < 0:
            refuse([Violation("page_token", "is not one that this service gave out")])
    end = start + count
    rest = base64.urlsafe_b64encode(str(end).encode()).decode() if end < len(items) else ""
    return items[start:end], rest


def _failed(context: Context, error: GatewayError) -> None:
    metadata = dict(context.invocation_metadata() or ())
    given = metadata.get("x-request-id", "")
    status.fail(context, error, request_id(given if isinstance(given, str) else ""))
