"""Parameters of a request as the Messages API wants them."""

from typing import Any

import pytest
from turnout.v1.chat_service_pb2 import (
    ChatRequest,
    ProviderParameters,
    ResponseFormat,
    ThinkingOptions,
    Tool,
    ToolChoice,
)
from turnout.v1.chat_service_pb2 import Warning as WarningMessage

from tests.unit.providers.anthropic_setup import (
    HELLO,
    NEW_MODEL,
    assistant,
    body,
    call,
    encoded,
    result,
    results,
    target,
    thinking,
    warned,
)
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.providers.anthropic_messages.options import Options, traits_of

DROPPED = WarningMessage.KIND_DROPPED
CLAMPED = WarningMessage.KIND_CLAMPED
EMULATED = WarningMessage.KIND_EMULATED
LOOK_UP = Tool(name="look_up", parameters_json_schema='{"type": "object"}')
HIGH = ThinkingOptions(effort=ThinkingOptions.EFFORT_HIGH)


def ask(**fields: Any) -> ChatRequest:
    return ChatRequest(messages=[HELLO], **fields)


def test_the_least_request_has_a_model_a_limit_and_a_turn() -> None:
    assert body(ask()) == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    }


def test_stream_is_said_only_when_asked_for() -> None:
    assert body(ask(), stream=True)["stream"] is True


def test_labels_are_never_sent() -> None:
    assert b"canary" not in encoded(ask(labels={"team": "canary"})).body


@pytest.mark.parametrize(
    ("asked", "most", "sent"),
    [(None, 8192, 8192), (None, None, 4096), (100, 8192, 100), (100, None, 100)],
)
def test_max_tokens_comes_from_the_request_or_the_card(
    asked: int | None, most: int | None, sent: int
) -> None:
    to = target(max_output_tokens=most)
    assert body(ask(max_output_tokens=asked), to)["max_tokens"] == sent


def test_a_limit_above_the_models_own_is_clamped() -> None:
    request = ask(max_output_tokens=100_000)
    assert body(request)["max_tokens"] == 8192
    assert warned(request) == [(CLAMPED, "max_output_tokens")]


def test_sampling_is_sent_as_the_caller_wrote_it() -> None:
    sent = body(ask(temperature=0.7, top_k=40))
    assert (sent["temperature"], sent["top_k"]) == (0.7, 40)


def test_a_temperature_of_zero_is_sent() -> None:
    assert body(ask(temperature=0.0))["temperature"] == 0


def test_a_temperature_above_one_is_clamped() -> None:
    assert body(ask(temperature=1.5))["temperature"] == 1
    assert warned(ask(temperature=1.5)) == [(CLAMPED, "temperature")]


def test_temperature_and_top_p_together_leave_temperature() -> None:
    sent = body(ask(temperature=0.5, top_p=0.9))
    assert "top_p" not in sent
    assert warned(ask(temperature=0.5, top_p=0.9)) == [(DROPPED, "top_p")]


def test_models_of_fixed_sampling_get_none() -> None:
    request = ask(temperature=0.5, top_p=0.9, top_k=3)
    sent = body(request, target(NEW_MODEL))
    assert not {"temperature", "top_p", "top_k"} & sent.keys()
    assert warned(request, target(NEW_MODEL)) == [
        (DROPPED, "temperature"),
        (DROPPED, "top_p"),
        (DROPPED, "top_k"),
    ]


@pytest.mark.parametrize("name", ["seed", "frequency_penalty", "presence_penalty"])
def test_parameters_that_the_api_lacks_are_dropped_with_a_warning(name: str) -> None:
    request = ask(**{name: 1})
    assert name not in body(request)
    assert warned(request) == [(DROPPED, name)]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"seed": 1}, "seed"),
        ({"temperature": 1.5}, "temperature"),
        ({"temperature": 0.5, "top_p": 0.5}, "top_p"),
        ({"max_output_tokens": 9000}, "max_output_tokens"),
        ({"stop_sequences": [".", " "]}, "stop_sequences[1]"),
    ],
)
def test_strict_parameters_are_refused_instead_of_changed(
    fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(ProviderFailure) as caught:
        encoded(ask(strict_parameters=True, **fields))
    assert caught.value.kind is FailureKind.CAPABILITY
    assert caught.value.field == field


def test_blank_stop_sequences_are_left_out() -> None:
    sent = body(ask(stop_sequences=["END", "\n"]))
    assert sent["stop_sequences"] == ["END"]


def test_the_end_user_is_named_in_metadata() -> None:
    assert body(ask(end_user_id="u-1"))["metadata"] == {"user_id": "u-1"}


def test_a_tool_keeps_its_schema_whole() -> None:
    schema = '{"$defs":{"n":{"maximum":12345678901234567890}},"type":"object","x-own":[1.0]}'
    tool = Tool(name="t", description="d", parameters_json_schema=schema, strict=True)
    sent = encoded(ask(tools=[tool]))
    assert schema.encode() in sent.body
    assert body(ask(tools=[tool]))["tools"][0]["strict"] is True


def test_a_tool_without_a_schema_takes_an_empty_object() -> None:
    assert body(ask(tools=[Tool(name="t")]))["tools"] == [
        {"name": "t", "input_schema": {"type": "object", "properties": {}}}
    ]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice(), None),
        (ToolChoice(mode=ToolChoice.MODE_AUTO), None),
        (ToolChoice(mode=ToolChoice.MODE_NONE), {"type": "none"}),
        (ToolChoice(mode=ToolChoice.MODE_REQUIRED), {"type": "any"}),
        (
            ToolChoice(mode=ToolChoice.MODE_REQUIRED, name="look_up"),
            {"type": "tool", "name": "look_up"},
        ),
        (ToolChoice(disable_parallel=True), {"type": "auto", "disable_parallel_tool_use": True}),
        (
            ToolChoice(mode=ToolChoice.MODE_REQUIRED, disable_parallel=True),
            {"type": "any", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_tool_choice_in_the_apis_words(choice: ToolChoice, sent: dict[str, Any] | None) -> None:
    assert body(ask(tools=[LOOK_UP], tool_choice=choice)).get("tool_choice") == sent


def test_a_forced_choice_gives_way_to_thinking() -> None:
    choice = ToolChoice(mode=ToolChoice.MODE_REQUIRED)
    request = ask(tools=[LOOK_UP], tool_choice=choice, thinking=HIGH)
    assert "tool_choice" not in body(request, target(NEW_MODEL))
    assert (DROPPED, "tool_choice.mode") in warned(request, target(NEW_MODEL))
    request.strict_parameters = True
    with pytest.raises(ProviderFailure):
        encoded(request, target(NEW_MODEL))


def test_a_schema_of_the_answer_is_the_native_format() -> None:
    form = ResponseFormat(kind=ResponseFormat.KIND_JSON_SCHEMA, json_schema='{"type":"object"}')
    assert body(ask(response_format=form))["output_config"] == {
        "format": {"type": "json_schema", "schema": {"type": "object"}}
    }


def test_a_json_object_is_asked_for_in_the_system_prompt() -> None:
    request = ask(response_format=ResponseFormat(kind=ResponseFormat.KIND_JSON_OBJECT))
    assert "JSON object" in body(request)["system"][0]["text"]
    assert warned(request) == [(EMULATED, "response_format.kind")]


def test_a_broken_schema_is_refused_by_name() -> None:
    form = ResponseFormat(kind=ResponseFormat.KIND_JSON_SCHEMA, json_schema="{")
    with pytest.raises(ProviderFailure) as caught:
        encoded(ask(response_format=form))
    assert caught.value.kind is FailureKind.REJECTED
    assert caught.value.field == "response_format.json_schema"


def test_effort_is_effort_where_the_model_decides_how_long_to_think() -> None:
    sent = body(ask(thinking=ThinkingOptions(effort=2, include=True)), target(NEW_MODEL))
    assert sent["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert sent["output_config"] == {"effort": "low"}


def test_effort_and_schema_share_the_output_config() -> None:
    form = ResponseFormat(kind=ResponseFormat.KIND_JSON_SCHEMA, json_schema="{}")
    sent = body(ask(thinking=HIGH, response_format=form), target(NEW_MODEL))
    assert sent["output_config"].keys() == {"effort", "format"}


def test_effort_is_a_budget_below_the_limit_on_older_models() -> None:
    sent = body(ask(thinking=HIGH))
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 4096}
    assert sent["max_tokens"] == 8192
    assert warned(ask(thinking=HIGH)) == [(EMULATED, "thinking.effort")]


@pytest.mark.parametrize(
    ("budget", "limit", "sent_budget", "sent_limit", "warnings"),
    [
        (2000, None, 2000, 8192, []),
        (10, None, 1024, 8192, [(CLAMPED, "thinking.budget_tokens")]),
        (5000, 3000, 1500, 3000, [(CLAMPED, "thinking.budget_tokens")]),
        (5000, 1500, 1024, 1500, [(CLAMPED, "thinking.budget_tokens")]),
        (5000, 1024, None, 1024, [(DROPPED, "thinking")]),
    ],
)
def test_the_limit_stands_above_the_budget(
    budget: int,
    limit: int | None,
    sent_budget: int | None,
    sent_limit: int,
    warnings: list[tuple[int, str]],
) -> None:
    request = ask(thinking=ThinkingOptions(budget_tokens=budget), max_output_tokens=limit)
    sent = body(request)
    assert sent.get("thinking", {}).get("budget_tokens") == sent_budget
    assert sent["max_tokens"] == sent_limit
    assert warned(request) == warnings


def test_an_unknown_limit_leaves_room_above_the_budget() -> None:
    request = ask(thinking=ThinkingOptions(budget_tokens=6000))
    assert body(request, target(max_output_tokens=None))["max_tokens"] == 6000 + 4096


def test_no_thinking_is_said_aloud() -> None:
    request = ask(thinking=ThinkingOptions(effort=ThinkingOptions.EFFORT_NONE))
    assert body(request)["thinking"] == {"type": "disabled"}


def test_thinking_drops_the_sampling_that_it_excludes() -> None:
    request = ask(thinking=HIGH, temperature=0.5, top_k=3, top_p=0.97)
    sent = body(request)
    assert sent["top_p"] == 0.97
    assert not {"temperature", "top_k"} & sent.keys()


def test_a_tool_turn_that_lost_its_thinking_rules_a_budget_out() -> None:
    turns = [HELLO, assistant(thinking("hm", b"sig"), call("a")), results(result("a", "1"))]
    request = ChatRequest(messages=turns, thinking=HIGH)
    assert body(request)["thinking"]["type"] == "enabled"
    assert "thinking" not in body(request, strip_state=True)


def test_provider_parameters_are_merged_member_by_member() -> None:
    extra = ProviderParameters(
        provider="claude", json='{"service_tier": "auto", "output_config": {"effort": "max"}}'
    )
    other = ProviderParameters(provider="openai", json='{"logprobs": true}')
    form = ResponseFormat(kind=ResponseFormat.KIND_JSON_SCHEMA, json_schema="{}")
    sent = body(ask(provider_parameters=[extra, other], response_format=form))
    assert sent["service_tier"] == "auto"
    assert sent["output_config"].keys() == {"effort", "format"}
    assert "logprobs" not in sent


@pytest.mark.parametrize("name", ["model", "stream", "max_tokens", "messages"])
def test_provider_parameters_do_not_reach_what_routing_went_by(name: str) -> None:
    extra = ProviderParameters(provider="anthropic", json=f'{{"{name}": 1}}')
    with pytest.raises(ProviderFailure) as caught:
        encoded(ask(provider_parameters=[extra]))
    assert caught.value.kind is FailureKind.REJECTED
    assert caught.value.field == "provider_parameters[0].json"


def test_the_request_is_never_changed() -> None:
    request = ask(temperature=1.5, seed=1, thinking=HIGH, tools=[LOOK_UP])
    before = request.SerializeToString(deterministic=True)
    encoded(request)
    assert request.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize(
    ("model", "adaptive", "fixed", "system_turns"),
    [
        ("claude-3-5-sonnet-20241022", False, False, False),
        ("claude-opus-4-20250514", False, False, False),
        ("claude-sonnet-4-5-20250929", False, False, False),
        ("claude-opus-4-6", True, False, False),
        ("claude-opus-4-7", True, True, False),
        ("claude-opus-4-8", True, True, True),
        ("claude-sonnet-5", True, True, False),
        ("anthropic/claude-opus-5-5", True, True, True),
        ("smollm2-135m-instruct", False, False, False),
    ],
)
def test_models_have_the_ways_of_their_generation(
    model: str, *, adaptive: bool, fixed: bool, system_turns: bool
) -> None:
    traits = traits_of(Options(), model)
    assert traits.adaptive_thinking is adaptive
    assert traits.fixed_sampling is fixed
    assert traits.system_turns is system_turns


def test_an_option_that_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(ValueError, match="system_turns is not a regular expression"):
        Options(system_turns="(")
