"""Which targets may answer a request, and in what order."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.model_service_pb2 import Capability
from turnout.v1.routing_pb2 import RoutingOptions

from turnout_server.core.errors import GatewayError, Violation
from turnout_server.core.target import Target
from turnout_server.policy.needs import Needs
from turnout_server.policy.routes import Alias, Routes, Strategy

Score = Callable[[Target], float]
"""How slow a target is expected to be now: lower is better (policy.latency)."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The order to try, first to last; never empty."""

    alias: Alias
    targets: tuple[Target, ...]


def rank(
    name: str,
    routing: RoutingOptions,
    needs: Needs,
    routes: Routes,
    *,
    slowness: Score,
    preferred: Target | None = None,
    rng: random.Random,
) -> Ranking:
    """Order the targets for one request.

    `preferred` (prompt-cache affinity) goes first if it qualifies. Raises GatewayError:
    MODEL_NOT_FOUND for an unknown name, UNSUPPORTED_CAPABILITY when nobody can do what is asked,
    INVALID_REQUEST when `allowed_providers` leaves nobody, CONTEXT_LENGTH_EXCEEDED when the prompt
    fits no target's window.
    """
    alias = _get(routes, name, "model")
    targets = _order(alias, slowness, rng)
    if preferred in targets:
        targets.sort(key=lambda target: target != preferred)
    for i, fallback in enumerate(routing.fallback_models):
        other = _get(routes, fallback, f"routing.fallback_models[{i}]")
        targets += [t for t in _order(other, slowness, rng) if t not in targets]
    targets = _allowed(targets, routing.allowed_providers)
    targets = _fitting(_capable(targets, needs), needs)
    return Ranking(alias, tuple(targets[:1] if routing.disable_fallback else targets))


def _get(routes: Routes, name: str, field: str) -> Alias:
    alias = routes.find(name)
    if alias is None:
        raise GatewayError(
            ErrorReason.ERROR_REASON_MODEL_NOT_FOUND,
            f"{field}: no model or alias is called {name[:64]!r}; ListModels lists those there are",
            resource=name[:256],
            named_directly=True,
        )
    return alias


def _order(alias: Alias, slowness: Score, rng: random.Random) -> list[Target]:
    if alias.strategy is Strategy.WEIGHTED:
        return _weighted(alias.targets, rng)
    if alias.strategy is Strategy.LATENCY:
        return _fastest_of_two(alias.targets, slowness, rng)
    if alias.strategy is Strategy.COST:
        return sorted(alias.targets, key=_cost)
    return list(alias.targets)


def _weighted(targets: Iterable[Target], rng: random.Random) -> list[Target]:
    """A weighted shuffle (Efraimidis and Spirakis 2006): key u^(1/w), largest first."""
    drawn = {id(t): rng.random() ** (1 / t.weight) if t.weight > 0 else -1.0 for t in targets}
    return sorted(targets, key=lambda target: -drawn[id(target)])


def _fastest_of_two(targets: Sequence[Target], slowness: Score, rng: random.Random) -> list[Target]:
    """Power of two choices for the first place: no herd runs to the one that looks best."""
    if len(targets) < 2:
        return list(targets)
    first, second = rng.sample(range(len(targets)), 2)
    best = first if slowness(targets[first]) <= slowness(targets[second]) else second
    rest = [target for i, target in enumerate(targets) if i != best]
    return [targets[best], *sorted(rest, key=slowness)]


def _cost(target: Target) -> float:
    price = target.card.price
    return float("inf") if price is None else price.input + price.output


def _allowed(targets: list[Target], providers: Sequence[str]) -> list[Target]:
    if not providers:
        return targets
    kept = [t for t in targets if t.provider in providers or t.endpoint.row in providers]
    if not kept:
        raise GatewayError(
            ErrorReason.ERROR_REASON_INVALID_REQUEST,
            "routing.allowed_providers leaves no target",
            violations=[
                Violation(
                    "routing.allowed_providers",
                    "names none of: " + ", ".join(sorted({t.provider for t in targets})),
                )
            ],
        )
    return kept


def _capable(targets: list[Target], needs: Needs) -> list[Target]:
    kept = [t for t in targets if not t.card.known or needs.fields.keys() <= t.card.capabilities]
    if kept:
        return kept
    missing = _missing_everywhere(targets, needs)
    names = [Capability.Name(c).removeprefix("CAPABILITY_") for c in missing]
    raise GatewayError(
        ErrorReason.ERROR_REASON_UNSUPPORTED_CAPABILITY,
        "no target of this model offers " + " with ".join(names),
        violations=[
            Violation(needs.fields[c], f"needs a model with {name}")
            for c, name in zip(missing, names, strict=True)
        ],
    )


def _missing_everywhere(targets: list[Target], needs: Needs) -> list[Capability.ValueType]:
    """The capabilities no target has; all that are needed when only their combination is."""
    offered = frozenset().union(*(t.card.capabilities for t in targets))
    return [c for c in needs.fields if c not in offered] or list(needs.fields)


def _fitting(targets: list[Target], needs: Needs) -> list[Target]:
    """Drop targets whose window is surely passed: a rough estimate, so half of it counts."""
    least = needs.prompt_tokens // 2
    kept = [t for t in targets if t.card.context_window is None or least <= t.card.context_window]
    if kept:
        return kept
    widest = max(t.card.context_window or 0 for t in targets)
    raise GatewayError(
        ErrorReason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED,
        f"the prompt is longer than the widest context window of this model ({widest} tokens)",
        violations=[Violation("messages", f"must fit {widest} tokens")],
    )
