"""Makes the aliases of the configuration: what each name that callers use leads to."""

from collections.abc import Callable, Iterator, Mapping

from turnout.v1.routing_pb2 import MidStreamPolicy

from turnout_server.app.config.document import Document, Path
from turnout_server.app.config.models import AliasConfig, HedgeConfig, SemanticCacheConfig
from turnout_server.app.config.problem import Problem
from turnout_server.app.config.units import Seconds
from turnout_server.core.target import Endpoint, ModelCard, Target
from turnout_server.policy.routes import Alias, Hedge, Semantic
from turnout_server.providers.catalogue import Catalogue, did_you_mean

CardOf = Callable[[Endpoint, str], ModelCard]


def find_route_problems(
    models: Mapping[str, AliasConfig],
    providers: frozenset[str],
    catalogue: Catalogue,
    document: Document,
) -> Iterator[Problem]:
    """A problem for each target that names no provider of this configuration."""
    for name, alias in models.items():
        for index, target in enumerate(alias.targets):
            path: Path = ("models", name, "targets", index)
            provider, slash, model = target.target.partition("/")
            if not slash or not provider or not model:
                yield document.problem(path, _incomplete(target.target, models))
            elif provider not in providers:
                hint = did_you_mean(provider, providers) or _add(provider, catalogue)
                yield document.problem(path, f"no provider is named '{provider}'{hint}")
        if alias.semantic_cache is not None:
            embedder = alias.semantic_cache.model
            if embedder not in models and embedder.partition("/")[0] not in providers:
                hint = did_you_mean(embedder, models)
                message = f"'{embedder}' is neither an alias nor provider/model{hint}"
                yield document.problem(("models", name, "semantic_cache", "model"), message)


def make_aliases(
    models: Mapping[str, AliasConfig], endpoints: Mapping[str, Endpoint], card_of: CardOf
) -> dict[str, Alias]:
    """The aliases by name; every target's provider must be one of `endpoints`."""
    return {name: _alias(name, config, endpoints, card_of) for name, config in models.items()}


def _alias(
    name: str, config: AliasConfig, endpoints: Mapping[str, Endpoint], card_of: CardOf
) -> Alias:
    targets = []
    for one in config.targets:
        provider, _, model = one.target.partition("/")
        endpoint = endpoints[provider]
        targets.append(Target(endpoint, card_of(endpoint, model), one.weight))
    return Alias(
        name=name,
        targets=tuple(targets),
        strategy=config.strategy,
        mid_stream=MidStreamPolicy.Value(f"MID_STREAM_POLICY_{config.mid_stream.upper()}"),
        hedge=_hedge(config.hedge),
        max_attempts=config.retry.max_attempts,
        semantic=_semantic(config.semantic_cache),
    )


def _semantic(config: SemanticCacheConfig | None) -> Semantic | None:
    if config is None:
        return None
    return Semantic(
        config.model, config.threshold, tools=config.tools, structured=config.structured
    )


def _hedge(config: HedgeConfig) -> Hedge:
    after_s = float(config.after) if isinstance(config.after, Seconds) else None
    return Hedge(enabled=config.enabled, after_s=after_s, budget=float(config.budget))


def _incomplete(target: str, models: Mapping[str, AliasConfig]) -> str:
    if target in models:
        return f"'{target}' is an alias; name its targets here, each as provider/model"
    return f"'{target}' is no target; write provider/model, such as openai/gpt-5.5"


def _add(provider: str, catalogue: Catalogue) -> str:
    if catalogue.find(provider):
        return f"; add it under providers: {provider}: {{}}"
    return "; add it under providers"
