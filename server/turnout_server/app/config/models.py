"""`models`: the names that callers use, and what stands behind each."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    model_validator,
)
from pydantic_core import core_schema

from turnout_server.app.config.section import Section, refusal
from turnout_server.app.config.units import Seconds, Share
from turnout_server.policy.routes import Strategy


class TargetConfig(Section):
    """A model at a provider: `provider/model`, or a mapping to give it a weight."""

    target: str
    """`provider/model`."""

    weight: Annotated[float, Field(gt=0)] = 1.0
    """Its part of the calls under strategy `weighted`, beside the others'."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"target": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "pattern": "^[^/]+/.+$"}, handler(schema)]}


class HedgeConfig(Section):
    """Whether a silent attempt gets a rival before its first output."""

    enabled: bool = False
    """Whether calls may be hedged."""

    after: Annotated[
        Annotated[Literal["p95"], Tag("p95")] | Annotated[Seconds, Tag("duration")],
        Discriminator(lambda value: "p95" if value == "p95" else "duration"),
    ] = "p95"
    """How long an attempt may be silent: a duration, or the target's own 95th percentile."""

    budget: Share = Share.parse("5%")
    """The share of calls that may be hedged."""


class RetryConfig(Section):
    """How often a call may be tried."""

    max_attempts: Annotated[int, Field(ge=1, le=8)] = 3
    """Tries of a lone target. With more, each of the others adds one, so that a chain of fallbacks
    is walked to its end: `max_attempts - 1` extra tries are shared by all. A request's own
    `max_attempts` caps everything."""


class SemanticCacheConfig(Section):
    """Answers given again to questions that are alike, where a call uses the cache."""

    model: str
    """The alias or `provider/model` that makes vectors of questions, such as `embed`."""

    threshold: Annotated[float, Field(gt=0, le=1)] = 0.95
    """The cosine from which on two questions count as one."""

    tools: bool = False
    """Whether calls that may use tools are served so too."""

    structured: bool = False
    """Whether calls that want JSON are served so too."""


def _distinct(targets: list[TargetConfig]) -> list[TargetConfig]:
    names = [target.target for target in targets]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise refusal(f"{repeated[0]} is named twice; name each target once")
    return targets


class AliasConfig(Section):
    """A name that callers use, and what stands behind it."""

    targets: Annotated[list[TargetConfig], Field(min_length=1), AfterValidator(_distinct)]
    """The models behind the name, each `provider/model`; more than one for fallback."""

    strategy: Annotated[Strategy, Field(strict=False)] = Strategy.PRIORITY
    """Which target is tried first."""

    mid_stream: Literal["fail", "restart", "continue"] = "fail"
    """What follows a provider's failure after output was sent, where the caller says nothing."""

    hedge: HedgeConfig = HedgeConfig()
    """Whether a silent attempt gets a rival before its first output."""

    retry: RetryConfig = RetryConfig()
    """How often a call may be tried."""

    semantic_cache: SemanticCacheConfig | None = None
    """Answers given again to questions that are alike, where a call uses the cache."""
