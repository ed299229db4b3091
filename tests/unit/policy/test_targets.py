"""Who may answer, in what order, and what is said when nobody may."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
from turnout.v1.chat_service_pb2 import ChatRequest, ResponseFormat, Tool
from turnout.v1.content_pb2 import Media, Message, Part
from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.model_service_pb2 import Capability
from turnout.v1.routing_pb2 import RoutingOptions

from turnout_server.core.errors import GatewayError
from turnout_server.core.target import Endpoint, ModelCard, Price, Target
from turnout_server.policy.needs import Needs, needs_of_chat
from turnout_server.policy.routes import Alias, Routes, Strategy
from turnout_server.policy.targets import rank

C = Capability
CHAT = frozenset({C.CAPABILITY_CHAT, C.CAPABILITY_STREAMING})


def target(name: str, *more: C.ValueType, **card: object) -> Target:
    model = ModelCard("m", CHAT | set(more), **card)  # type: ignore[arg-type]
    return Target(Endpoint(name, name, "wire", ""), model)


def order(
    *targets: Target,
    needs: Needs | None = None,
    routing: RoutingOptions | None = None,
    strategy: Strategy = Strategy.PRIORITY,
    slowness: Mapping[str, float] | None = None,
    preferred: Target | None = None,
    seed: int = 0,
) -> list[str]:
    routes = Routes(
        {"x": Alias("x", targets, strategy)},
        {one.provider: one.endpoint for one in targets},
        lambda _, model: replace(targets[0].card, model=model),
    )
    ranking = rank(
        "x",
        routing or RoutingOptions(),
        needs or needs_of_chat(ChatRequest(), streamed=True),
        routes,
        slowness=lambda one: (slowness or {}).get(one.provider, 0.0),
        preferred=preferred,
        rng=random.Random(seed),
    )
    return [one.provider for one in ranking.targets]


def test_priority_keeps_the_configured_order() -> None:
    assert order(target("b"), target("a"), target("c")) == ["b", "a", "c"]


def test_weights_are_chances_of_the_first_place() -> None:
    heavy, light = replace(target("heavy"), weight=3.0), replace(target("light"), weight=1.0)
    first = Counter(
        order(heavy, light, strategy=Strategy.WEIGHTED, seed=seed)[0] for seed in range(2000)
    )
    assert 0.70 < first["heavy"] / 2000 < 0.80


def test_latency_never_puts_the_slowest_first_of_two() -> None:
    names = [
        order(target("a"), target("b"), strategy=Strategy.LATENCY, slowness={"a": 2.0}, seed=s)[0]
        for s in range(50)
    ]
    assert set(names) == {"b"}


def test_cost_asks_the_cheapest_first_and_the_unknown_last() -> None:
    assert order(
        target("dear", price=Price(30, 60)),
        target("unknown"),
        target("cheap", price=Price(1, 2)),
        strategy=Strategy.COST,
    ) == ["cheap", "dear", "unknown"]


def test_preferred_target_goes_first() -> None:
    a, b = target("a"), target("b")
    assert order(a, b, preferred=b) == ["b", "a"]


def test_nobody_is_asked_what_it_cannot_do() -> None:
    image = Part(media=Media(data=b"x", mime_type="image/png"))
    request = ChatRequest(tools=[Tool(name="f")], messages=[Message(parts=[image])])
    request.response_format.kind = ResponseFormat.KIND_JSON_SCHEMA
    able = target("able", C.CAPABILITY_TOOLS, C.CAPABILITY_VISION, C.CAPABILITY_JSON_SCHEMA)
    needs = needs_of_chat(request, streamed=True)
    assert order(target("plain"), able, needs=needs) == ["able"]


def test_a_missing_capability_is_told_with_the_field_that_asks_for_it() -> None:
    needs = needs_of_chat(ChatRequest(tools=[Tool(name="f")]), streamed=True)
    with pytest.raises(GatewayError, match="TOOLS") as caught:
        order(target("plain"), needs=needs)
    assert caught.value.reason == ErrorReason.ERROR_REASON_UNSUPPORTED_CAPABILITY
    assert [violation.field for violation in caught.value.violations] == ["tools"]


def test_long_prompts_go_to_wide_windows_only() -> None:
    needs = needs_of_chat(ChatRequest(messages=[Message(text="x" * 80_000)]), streamed=True)
    narrow, wide = target("narrow", context_window=4096), target("wide", context_window=100_000)
    assert order(narrow, wide, needs=needs) == ["wide"]
    with pytest.raises(GatewayError, match="4096"):
        order(narrow, needs=needs)


def test_fallback_models_come_after_the_aliases_own() -> None:
    routing = RoutingOptions(fallback_models=["b/other"])
    assert order(target("a"), target("b"), routing=routing) == ["a", "b", "b"]


def test_disable_fallback_leaves_one() -> None:
    assert order(target("a"), target("b"), routing=RoutingOptions(disable_fallback=True)) == ["a"]


def test_allowed_providers_that_leave_nobody_are_refused() -> None:
    with pytest.raises(GatewayError, match="allowed_providers"):
        order(target("a"), routing=RoutingOptions(allowed_providers=["z"]))


def test_unknown_fallback_model_is_named_with_its_place() -> None:
    with pytest.raises(GatewayError, match=r"fallback_models\[0\]"):
        order(target("a"), routing=RoutingOptions(fallback_models=["nope"]))
