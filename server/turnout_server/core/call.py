"""One RPC as the rooms behind the wire see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


class Method(StrEnum):
    """The RPCs that spend money upstream; the value is the name on the wire."""

    CHAT = "Chat"
    COMPLETE_CHAT = "CompleteChat"
    EMBED = "Embed"
    EMBED_STREAM = "EmbedStream"


class Priority(IntEnum):
    """Order in which calls are shed under pressure: the lowest goes first."""

    BATCH = 1
    INTERACTIVE = 2


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls. `allowed_models` and `allowed_methods` of None mean all of them.

    `priority` is the highest that its calls may have. `may_act_for` holds the tenants that it may
    name as the call's own, `*` for any.
    """

    tenant: str
    subject: str = ""
    allowed_models: frozenset[str] | None = None
    allowed_methods: frozenset[str] | None = None
    max_output_tokens: int | None = None
    priority: Priority = Priority.INTERACTIVE
    may_act_for: frozenset[str] = frozenset()


ANONYMOUS = Identity(tenant="default")
"""Everybody, where no authentication is configured."""


@dataclass(frozen=True, slots=True)
class Call:
    """One admitted RPC. `deadline` (always set) and `started` are monotonic seconds."""

    request_id: str
    method: Method
    identity: Identity
    deadline: float
    started: float
    model: str = ""
    priority: Priority = Priority.INTERACTIVE
    labels: Mapping[str, str] = field(default_factory=dict)
    trace_headers: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str = ""

    def remaining_s(self, now: float) -> float:
        """Seconds until the caller's deadline; negative when it has passed."""
        return self.deadline - now
