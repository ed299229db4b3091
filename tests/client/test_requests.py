"""Requests of the contract from keyword options."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from turnout.v1.chat_service_pb2 import ChatRequest, ResponseFormat, ThinkingOptions, ToolChoice
from turnout.v1.routing_pb2 import CacheMode, MidStreamPolicy

from turnout_client.calls import Caller
from turnout_client.requests import chat_request, embed_request, usage_request


def built(**options: Any) -> ChatRequest:
    return chat_request("chat", "Hi", options)  # type: ignore[arg-type]


def test_what_is_left_out_is_not_set() -> None:
    assert built() == chat_request("chat", "Hi", {})
    assert not built().HasField("temperature")
    assert not built().HasField("routing")


def test_zero_is_a_value() -> None:
    request = built(temperature=0, seed=0)
    assert request.HasField("temperature")
    assert request.HasField("seed")


def test_the_system_text_goes_first() -> None:
    assert built(system="Be brief.").messages[0].text == "Be brief."


@pytest.mark.parametrize(
    ("choice", "mode", "name"),
    [
        ("auto", ToolChoice.MODE_AUTO, ""),
        ("required", ToolChoice.MODE_REQUIRED, ""),
        ("weather", ToolChoice.MODE_REQUIRED, "weather"),
    ],
)
def test_a_tool_choice_is_a_mode_or_a_tools_name(choice: str, mode: int, name: str) -> None:
    made = built(tool_choice=choice).tool_choice
    assert (made.mode, made.name) == (mode, name)


def test_one_tool_at_a_time() -> None:
    assert built(parallel_tool_calls=False).tool_choice.disable_parallel


def test_a_schema_is_a_response_format() -> None:
    made = built(response_format={"title": "City", "type": "object"}).response_format
    assert made.kind == ResponseFormat.KIND_JSON_SCHEMA
    assert made.schema_name == "City"
    assert built(response_format="json").response_format.kind == ResponseFormat.KIND_JSON_OBJECT


def test_thinking_is_an_effort_or_a_budget_and_is_shown() -> None:
    assert built(thinking="high").thinking == ThinkingOptions(
        effort=ThinkingOptions.EFFORT_HIGH, include=True
    )
    assert built(thinking=2000, include_thinking=False).thinking == ThinkingOptions(
        budget_tokens=2000
    )
    assert not built(thinking="none").thinking.include


def test_routing_cache_and_labels() -> None:
    request = built(
        fallback_models=["b"],
        first_output_timeout_s=1.5,
        mid_stream="restart",
        cache="read_write",
        labels={"team": "x"},
    )
    assert list(request.routing.fallback_models) == ["b"]
    assert request.routing.first_output_timeout.ToMilliseconds() == 1500
    assert request.routing.mid_stream_policy == MidStreamPolicy.MID_STREAM_POLICY_RESTART
    assert request.cache.mode == CacheMode.CACHE_MODE_READ_WRITE
    assert dict(request.labels) == {"team": "x"}


def test_parameters_for_one_provider_are_json() -> None:
    made = built(provider_parameters={"openai": {"service_tier": "flex"}}).provider_parameters[0]
    assert (made.provider, made.json) == ("openai", '{"service_tier": "flex"}')


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(TypeError, match="did you mean temperature"):
        built(temprature=1)


def test_an_unknown_word_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="fail, restart, continue"):
        built(mid_stream="again")


def test_a_whole_request_is_taken_as_it_is() -> None:
    request = ChatRequest(model="x")
    assert chat_request(request, (), {"timeout_s": 1}) is request
    with pytest.raises(TypeError, match="temperature"):
        chat_request(request, (), {"temperature": 1})
    with pytest.raises(TypeError, match="no prompt"):
        chat_request(request, "Hi", {})


def test_a_bare_text_is_one_text_to_embed() -> None:
    assert list(embed_request("embed", "a cat", {}).texts) == ["a cat"]


def test_usage_needs_times_with_a_zone() -> None:
    with pytest.raises(ValueError, match="zone"):
        usage_request(datetime(2026, 11, 1), None, (), None, "")  # noqa: DTZ001
    start = datetime(2026, 11, 1, tzinfo=UTC)
    request = usage_request(start, None, ["time", "model"], timedelta(hours=1), "")
    assert request.bucket.seconds == 3600
    assert not request.HasField("end_time")


def test_each_call_has_an_id_of_its_own() -> None:
    caller = Caller(api_key=None, tenant=None, trace=None)
    assert caller.call({}, 1.0).request_id != caller.call({}, 1.0).request_id


def test_the_callers_metadata_goes_besides() -> None:
    caller = Caller(
        api_key="k", tenant="t", trace=lambda headers: headers.update(traceparent="00-…")
    )
    call = caller.call({"priority": "batch", "metadata": {"x-own": "1"}, "timeout_s": None}, 600.0)
    assert call.timeout_s is None
    assert dict(call.metadata) == {
        "x-request-id": call.request_id,
        "traceparent": "00-…",
        "authorization": "Bearer k",
        "x-tenant-id": "t",
        "x-priority": "batch",
        "x-own": "1",
    }
