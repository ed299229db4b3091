"""What a model name of a request means: an alias, or `provider/model` directly."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from turnout.v1.routing_pb2 import MidStreamPolicy

from turnout_server.core.target import Endpoint, ModelCard, Target


class Strategy(StrEnum):
    """How the targets of an alias are put in order."""

    PRIORITY = "priority"
    WEIGHTED = "weighted"
    LATENCY = "latency"
    COST = "cost"


@dataclass(frozen=True, slots=True)
class Hedge:
    """Whether a silent attempt gets a rival before its first output; `budget` is a share of calls.

    `after_s` of None means the target's live 95th percentile.
    """

    enabled: bool = False
    after_s: float | None = None
    budget: float = 0.05


@dataclass(frozen=True, slots=True)
class Semantic:
    """Which questions to an alias count as one: those whose vectors by `model` have a cosine of at
    least `threshold`.
    """

    model: str
    threshold: float = 0.95
    tools: bool = False
    structured: bool = False


@dataclass(frozen=True, slots=True)
class Alias:
    """A name callers use and what stands behind it."""

    name: str
    targets: tuple[Target, ...]
    strategy: Strategy = Strategy.PRIORITY
    mid_stream: MidStreamPolicy.ValueType = MidStreamPolicy.MID_STREAM_POLICY_FAIL
    hedge: Hedge = field(default_factory=Hedge)
    max_attempts: int = 3
    semantic: Semantic | None = None
    direct: bool = False
    """True when the caller named `provider/model` itself."""


@dataclass(frozen=True, slots=True)
class Routes:
    """Every alias and endpoint of one configuration snapshot."""

    aliases: Mapping[str, Alias]
    endpoints: Mapping[str, Endpoint]
    card_of: Callable[[Endpoint, str], ModelCard]

    def find(self, name: str) -> Alias | None:
        """The alias of that name, else `endpoint/model` as an alias of its own, else None.

        A model that no card knows is still reachable by its full name.
        """
        alias = self.aliases.get(name)
        if alias is not None:
            return alias
        endpoint_name, slash, model = name.partition("/")
        endpoint = self.endpoints.get(endpoint_name)
        if not slash or not model or endpoint is None:
            return None
        target = Target(endpoint, self.card_of(endpoint, model))
        return Alias(name=name, targets=(target,), direct=True)
