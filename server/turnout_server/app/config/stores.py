"""`cache`, `limits`, `batching`, `usage`: what the gateway keeps, counts and joins."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from turnout_server.app.config.section import Count, Reference, SecretUrl, Section, refusal
from turnout_server.app.config.units import Bytes, Seconds

REDIS = ("redis://", "rediss://", "unix://")
"""How an address of Redis begins."""


def _redis(url: Reference | str) -> Reference | str:
    if isinstance(url, str) and not url.startswith(REDIS):
        raise refusal("must be redis://host:6379/0, rediss://… or unix:///path")
    return url


def _ledger(url: str) -> str:
    if url == "off":
        return url
    if url.startswith("postgres"):
        raise refusal("PostgreSQL is not built yet; use sqlite:///file")
    if not url.startswith("sqlite:///") or url == "sqlite:///":
        raise refusal("must be sqlite:///file, or off")
    return url


RedisUrl = Annotated[SecretUrl, AfterValidator(_redis)]
LedgerUrl = Annotated[
    Annotated[Reference, Tag("reference")] | Annotated[str, AfterValidator(_ledger), Tag("url")],
    Discriminator(lambda value: "url" if isinstance(value, str) else "reference"),
]


class Cache(Section):
    """Answers kept for equal questions."""

    backend: Literal["memory", "redis"] = "memory"
    """Where answers are kept; `redis` shares them between processes."""

    url: RedisUrl | None = None
    """Where Redis is."""

    integrity_key: Reference | None = None
    """A secret that signs what is stored, the same for all who share a Redis; without one it is
    made from `url`, which tells damage but nobody who may write there."""

    ttl: Seconds = Seconds.parse("10m")
    """How long an answer is kept."""

    max_bytes: Bytes = Bytes.parse("256MiB")
    """What the answers in memory may weigh together."""

    mode: Literal["off", "read_write", "read_only", "refresh"] = "off"
    """What holds for calls that say nothing of the cache."""


class ModelLimitsConfig(Section):
    """What may be used of one model; what is not named is not limited."""

    rpm: Count | None = None
    """Requests a minute."""

    tpm: Count | None = None
    """Tokens a minute, input and output together."""

    concurrency: Count | None = None
    """Calls at once."""


class TenantLimits(ModelLimitsConfig):
    """What one tenant may use; what is not named is not limited."""

    budget_usd_per_day: Annotated[float, Field(gt=0)] | None = None
    """US dollars a day in UTC."""

    budget_usd_per_month: Annotated[float, Field(gt=0)] | None = None
    """US dollars a calendar month in UTC."""

    unknown_price: Literal["error", "warn"] = "warn"
    """What a budget makes of a model whose price nobody knows: refuse it, or log it."""

    strict: bool = False
    """Refuse calls while Redis is away, instead of counting in each process alone."""

    models: dict[str, ModelLimitsConfig] = Field(default_factory=dict)
    """Limits of single models besides, by the name that calls ask for; both must hold."""


class Limits(Section):
    """What tenants may use."""

    backend: Literal["memory", "redis"] = "memory"
    """Where use is counted; `redis` counts over all processes."""

    url: RedisUrl | None = None
    """Where Redis is."""

    tenants: dict[str, TenantLimits] = Field(default_factory=dict)
    """Limits by tenant; `default` holds for those that are not named, for each on its own."""


class Batching(Section):
    """Small embedding calls joined into one upstream."""

    window: Seconds = Seconds.parse("5ms")
    """How long a call may wait for company; it never waits alone. `0ms` turns joining off."""

    max_batch: Count = 256
    """Texts that one upstream call may hold."""


class UsageConfig(Section):
    """The ledger of what was used."""

    url: LedgerUrl = "sqlite:///turnout-usage.db"
    """The database, `sqlite:///file`; `off` keeps nothing. The default is done without, with a
    warning, where the working directory cannot be written to."""
