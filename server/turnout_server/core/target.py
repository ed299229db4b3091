"""Where a request may be sent: endpoint (a configured provider), model card, target, attempt."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from turnout.v1.model_service_pb2 import Capability


class Secret:
    """A string that shows itself only when asked by `reveal`; repr, str and pickling never do."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself: for a request header and nothing else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True)
class Key:
    """One credential of an endpoint; `id` says where it came from and may be logged."""

    id: str
    secret: Secret


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds allowed for each phase of one attempt (docs/config.md)."""

    connect_s: float = 2.0
    first_output_s: float = 30.0
    stall_s: float = 30.0
    total_s: float = 600.0


@dataclass(frozen=True, slots=True)
class UpstreamLimits:
    """What the provider grants us; None where it is not configured."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A configured provider: a catalogue row with an address, keys and limits of its own.

    `name` is what callers see as provider; `row` is the catalogue row it was made from; `options`
    are the row's keys that only its wire understands, already checked against the wire's schema.
    """

    name: str
    row: str
    wire: str
    base_url: str
    keys: tuple[Key, ...] = ()
    timeouts: Timeouts = Timeouts()
    limits: UpstreamLimits = UpstreamLimits()
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    options: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Price:
    """Micro US dollars per million tokens. A missing cache price falls back to the input price."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write: int | None = None


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of one model at one provider; None where nobody has told us."""

    model: str
    capabilities: frozenset[Capability.ValueType]
    context_window: int | None = None
    max_output_tokens: int | None = None
    price: Price | None = None
    embedding_dimensions: tuple[int, ...] = ()
    max_embed_inputs: int | None = None
    known: bool = True


@dataclass(frozen=True, slots=True)
class Target:
    """A model at an endpoint: what a route is made of. `str()` gives `endpoint/model`."""

    endpoint: Endpoint
    card: ModelCard
    weight: float = 1.0

    @property
    def provider(self) -> str:
        """The endpoint's name, as callers and metrics see it."""
        return self.endpoint.name

    @property
    def model(self) -> str:
        """The provider's own name of the model."""
        return self.card.model

    def __str__(self) -> str:
        return f"{self.endpoint.name}/{self.card.model}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at one target with one key. Times are seconds."""

    number: int
    target: Target
    key: Key | None
    first_output_s: float
    stall_s: float
    strip_state: bool = False
