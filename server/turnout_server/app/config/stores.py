"""`cache`, `limits`, `batching`, `usage`: what the gateway keeps, counts and joins."""

from typing import Annotated, Literal

from pydantic import Field

from turnout_server.app.config.section import Count, SecretUrl, Section
from turnout_server.app.config.units import Bytes, Seconds


class Cache(Section):
    """Answers kept for equal questions."""

    backend: Literal["memory", "redis"] = "memory"
    """Where answers are kept; `redis` shares them between processes."""

    url: SecretUrl | None = None
    """Where Redis is."""

    ttl: Seconds = Seconds.parse("10m")
    """How long an answer is kept."""

    max_bytes: Bytes = Bytes.parse("256MiB")
    """What the answers in memory may weigh together."""

    mode: Literal["off", "read_write", "read_only", "refresh"] = "off"
    """What holds for calls that say nothing of the cache."""


class TenantLimits(Section):
    """What one tenant may use; what is not named is not limited."""

    rpm: Count | None = None
    """Requests a minute."""

    tpm: Count | None = None
    """Tokens a minute, input and output together."""

    concurrency: Count | None = None
    """Calls at once."""

    budget_usd_per_month: Annotated[float, Field(gt=0)] | None = None
    """US dollars a calendar month."""


class Limits(Section):
    """What tenants may use."""

    backend: Literal["memory", "redis"] = "memory"
    """Where use is counted; `redis` counts over all processes."""

    url: SecretUrl | None = None
    """Where Redis is."""

    tenants: dict[str, TenantLimits] = Field(default_factory=dict)
    """Limits by tenant; `default` holds for those that are not named."""


class Batching(Section):
    """Small embedding calls joined into one upstream."""

    window: Seconds = Seconds.parse("5ms")
    """How long a call may wait for company; it never waits alone."""

    max_batch: Count = 256
    """Texts that one upstream call may hold."""


class UsageConfig(Section):
    """The ledger of what was used."""

    url: SecretUrl = "sqlite:///turnout-usage.db"
    """The database: `sqlite:///file` or `postgresql://…`."""
