"""Requests under the options of rows; the wire's own shape stands in its conformance cases."""

import json
from typing import Any

import msgspec
import pytest
from turnout.v1.chat_service_pb2 import ChatRequest, ThinkingOptions
from turnout.v1.chat_service_pb2 import Warning as WarningMessage
from turnout.v1.content_pb2 import Message, Part, ProviderState, Role, Thinking, ToolCall

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.target import Endpoint, ModelCard, Target
from turnout_server.providers.openai_chat.embeddings import encode_embed
from turnout_server.providers.openai_chat.encode import encode_chat
from turnout_server.providers.openai_chat.options import Options
from turnout_server.providers.provider import EmbedShard

TARGET = Target(
    Endpoint("mine", "row", "openai_chat", "http://x/v1"),
    ModelCard("a-model", frozenset(), max_output_tokens=1000),
)


def encode(request: ChatRequest, **options: Any) -> tuple[dict[str, Any], list[WarningMessage]]:
    request.messages.insert(0, Message(role=Role.ROLE_USER, text="hi"))
    read_options = msgspec.convert(options, Options)
    encoded = encode_chat(request, TARGET, read_options, stream=False)
    return json.loads(encoded.body), encoded.warnings


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "max_completion_tokens"),
        ({"max_tokens_param": "max_tokens"}, "max_tokens"),
        ({"rename": {"max_completion_tokens": "max_length"}}, "max_length"),
    ],
)
def test_the_limit_goes_by_the_rows_name(options: dict[str, Any], name: str) -> None:
    body, _ = encode(ChatRequest(max_output_tokens=9), **options)
    assert body == {"model": "a-model", "messages": body["messages"], name: 9}


def test_a_limit_above_the_models_is_clamped() -> None:
    body, [warning] = encode(ChatRequest(max_output_tokens=5000))
    assert body["max_completion_tokens"] == 1000
    assert (warning.kind, warning.field) == (WarningMessage.KIND_CLAMPED, "max_output_tokens")


def test_a_strict_request_is_not_clamped_but_refused() -> None:
    with pytest.raises(ProviderFailure) as caught:
        encode(ChatRequest(max_output_tokens=5000, strict_parameters=True))
    assert caught.value.kind is FailureKind.CAPABILITY
    assert caught.value.field == "max_output_tokens"


def test_what_a_row_supports_is_sent() -> None:
    body, warnings = encode(ChatRequest(top_k=5), unsupported=[])
    assert body["top_k"] == 5
    assert warnings == []


@pytest.mark.parametrize(
    ("param", "thinking", "sent"),
    [
        ("reasoning_effort", {"effort": "EFFORT_HIGH"}, "high"),
        ("reasoning_effort", {"effort": "EFFORT_NONE"}, "none"),
        ("reasoning_effort", {"budget_tokens": 1000}, "low"),
        ("reasoning_effort", {"budget_tokens": 50000}, "high"),
        ("reasoning", {"effort": "EFFORT_LOW"}, {"effort": "low"}),
        ("reasoning", {"budget_tokens": 3000}, {"max_tokens": 3000}),
        ("thinking", {"effort": "EFFORT_MEDIUM"}, {"type": "enabled"}),
        ("thinking", {"effort": "EFFORT_NONE"}, {"type": "disabled"}),
        ("enable_thinking", {"effort": "EFFORT_HIGH"}, True),
        ("enable_thinking", {"effort": "EFFORT_NONE"}, False),
    ],
)
def test_thinking_is_asked_for_in_the_rows_way(
    param: str, thinking: dict[str, Any], sent: object
) -> None:
    body, _ = encode(ChatRequest(thinking=ThinkingOptions(**thinking)), thinking_param=param)
    assert body[param] == sent


def test_thinking_that_cannot_be_asked_for_is_dropped_with_a_warning() -> None:
    request = ChatRequest(thinking=ThinkingOptions(effort=ThinkingOptions.EFFORT_HIGH))
    body, [warning] = encode(request, thinking_param="")
    assert set(body) == {"model", "messages"}
    assert (warning.kind, warning.field) == (WarningMessage.KIND_DROPPED, "thinking")


def test_earlier_thinking_is_sent_back_where_the_row_wants_it() -> None:
    turn = Message(
        role=Role.ROLE_ASSISTANT,
        parts=[
            Part(thinking=Thinking(text="Hmm.")),
            Part(tool_call=ToolCall(id="a", name="f", arguments_json="{}")),
        ],
    )
    body, _ = encode(ChatRequest(messages=[turn]), reasoning_field="reasoning_content")
    assert body["messages"][1]["reasoning_content"] == "Hmm."
    body, _ = encode(ChatRequest(messages=[turn]))
    assert "reasoning_content" not in body["messages"][1]


def test_stripped_state_is_not_even_the_owners() -> None:
    state = ProviderState(provider="row", data=b'{"s":1}')
    call = Part(tool_call=ToolCall(id="a", name="f"), provider_state=state)
    request = ChatRequest(messages=[Message(role=Role.ROLE_ASSISTANT, parts=[call])])
    kept = json.loads(encode_chat(request, TARGET, Options(), stream=False).body)
    assert kept["messages"][0]["tool_calls"][0]["extra_content"] == {"s": 1}
    stripped = encode_chat(request, TARGET, Options(), stream=False, strip_state=True)
    assert "extra_content" not in json.loads(stripped.body)["messages"][0]["tool_calls"][0]
    assert [warning.kind for warning in stripped.warnings] == [WarningMessage.KIND_STATE_STRIPPED]


def test_the_rows_own_fields_yield_to_the_requests() -> None:
    extra = {"temperature": 0.1, "plugins": [{"id": "x"}]}
    body, _ = encode(ChatRequest(temperature=0.5), extra_body=extra)
    assert (body["temperature"], body["plugins"]) == (0.5, [{"id": "x"}])


def test_system_and_end_user_go_where_the_row_has_them() -> None:
    request = ChatRequest(
        messages=[Message(role=Role.ROLE_SYSTEM, text="be brief")], end_user_id="u"
    )
    body, _ = encode(request, system_role="developer", end_user_param="safety_identifier")
    assert body["messages"][1]["role"] == "developer"
    assert body["safety_identifier"] == "u"
    body, warnings = encode(ChatRequest(end_user_id="u"), end_user_param="")
    assert set(body) == {"model", "messages"}
    assert warnings == []


def test_too_many_texts_are_refused_before_they_are_sent() -> None:
    options = msgspec.convert({"embed_batch": 1}, Options)
    with pytest.raises(ProviderFailure) as caught:
        encode_embed(EmbedShard(["a", "b"]), TARGET, options)
    assert caught.value.kind is FailureKind.TOO_LARGE


def test_the_request_is_encoded_the_same_twice() -> None:
    request = ChatRequest(messages=[Message(role=Role.ROLE_USER, text="hi")], top_k=3)
    before = request.SerializeToString(deterministic=True)
    first = encode_chat(request, TARGET, Options(), stream=True)
    assert encode_chat(request, TARGET, Options(), stream=True).body == first.body
    assert request.SerializeToString(deterministic=True) == before
