"""What goes with every call: who calls, its id, how long it may take, whose trace it is."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypedDict

TraceHook = Callable[[dict[str, str]], None]
"""Writes the headers of the current trace (`traceparent` …) into the mapping it is given."""


class CallOptions(TypedDict, total=False):
    """Options that every call takes.

    `timeout_s` None is no deadline; left out, the client's own Timeouts apply. `request_id` is made
    when left out. `metadata` is sent besides.
    """

    timeout_s: float | None
    request_id: str
    idempotency_key: str
    priority: Literal["interactive", "batch"]
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Deadlines of calls that set none themselves, in seconds; None is no deadline."""

    chat_s: float | None = 600.0
    embed_s: float | None = 120.0
    embed_all_s: float | None = 3600.0
    read_s: float | None = 10.0
    """For models, providers, usage and limits."""
    watch_s: float | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One call about to be made."""

    request_id: str
    timeout_s: float | None
    metadata: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls."""

    api_key: str | None
    tenant: str | None
    trace: TraceHook | None

    def call(self, options: CallOptions, default_s: float | None) -> Call:
        """The id, deadline and metadata of a call with these options."""
        request_id = options.get("request_id") or str(uuid.uuid4())
        headers = {"x-request-id": request_id}
        if self.trace is not None:
            self.trace(headers)
        if self.api_key is not None:
            headers["authorization"] = f"Bearer {self.api_key}"
        if self.tenant is not None:
            headers["x-tenant-id"] = self.tenant
        if "idempotency_key" in options:
            headers["idempotency-key"] = options["idempotency_key"]
        if "priority" in options:
            headers["x-priority"] = options["priority"]
        headers.update(options.get("metadata", {}))
        timeout_s = options.get("timeout_s", default_s)
        return Call(headers["x-request-id"], timeout_s, tuple(headers.items()))


def opentelemetry_hook() -> TraceHook | None:
    """OpenTelemetry's own propagator, where opentelemetry-api is installed."""
    try:
        from opentelemetry.propagate import inject
    except ImportError:
        return None
    return inject
