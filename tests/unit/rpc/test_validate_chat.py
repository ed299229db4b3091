"""One test a rule of the contract's Validation section, each by the field that it must name."""

import json
import math
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from turnout.v1.chat_service_pb2 import (
    ChatRequest,
    ProviderParameters,
    ResponseFormat,
    StreamOptions,
    Tool,
    ToolChoice,
)
from turnout.v1.content_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    Media,
    Message,
    Part,
    ProviderState,
    ToolCall,
    ToolResult,
)
from turnout.v1.routing_pb2 import RoutingOptions

from turnout_server.rpc.validate_chat import MAX_NESTING, MAX_SCHEMA_BYTES, violations_of

HELLO = Message(role=ROLE_USER, text="hello")
CALL = Part(tool_call=ToolCall(id="1", name="f", arguments_json="{}"))
RESULT = Part(tool_result=ToolResult(tool_call_id="1", text="ok"))


def broken(**fields: Any) -> list[str]:
    """The fields that a request breaks a rule with; it is sound but for `fields`."""
    return [v.field for v in violations_of(ChatRequest(**{"model": "m", **asked(fields)}))]


def asked(fields: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [HELLO], **fields}


def turn(*parts: Part, role: Any = ROLE_USER, **fields: Any) -> list[Message]:
    return [Message(role=role, parts=parts, **fields)]


def tool(schema: str = "", name: str = "f") -> dict[str, Any]:
    return {"tools": [Tool(name=name, parameters_json_schema=schema)]}


def test_a_sound_request_breaks_nothing() -> None:
    said = [HELLO, *turn(CALL, role=ROLE_ASSISTANT), *turn(RESULT, role=ROLE_TOOL)]
    assert broken(messages=said, temperature=2.0, top_p=1.0, top_k=1, **tool('{"a": [{}]}')) == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": ""}, "model"),
        ({"model": "m" * 257}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [HELLO] * 4097}, "messages"),
        ({"messages": [Message(text="x")]}, "messages[0].role"),
        ({"messages": [Message(role=9, text="x")]}, "messages[0].role"),  # type: ignore[arg-type]
        ({"messages": [Message(role=ROLE_USER)]}, "messages[0]"),
        ({"messages": turn(Part(text="x"), text="x")}, "messages[0]"),
        ({"messages": turn(Part())}, "messages[0].parts[0]"),
        ({"messages": turn(Part(text="x"), role=ROLE_TOOL)}, "messages[0].parts[0]"),
        ({"messages": [Message(role=ROLE_TOOL, text="x")]}, "messages[0].parts"),
        (
            {"messages": turn(RESULT, role=ROLE_TOOL)},
            "messages[0].parts[0].tool_result.tool_call_id",
        ),
        ({"messages": turn(CALL)}, "messages[0].parts[0]"),
        ({"messages": turn(Part(media=Media(data=b"x")))}, "messages[0].parts[0].media.mime_type"),
        ({"messages": turn(Part(media=Media(url="http://x")))}, "messages[0].parts[0].media.url"),
        ({"messages": turn(Part(media=Media(mime_type="a/b")))}, "messages[0].parts[0].media"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": math.inf}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"top_p": math.nan}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 1 << 31}, "max_output_tokens"),
        ({"stop_sequences": ["x"] * 17}, "stop_sequences"),
        ({"stop_sequences": [""]}, "stop_sequences[0]"),
        ({"stop_sequences": ["x" * 65]}, "stop_sequences[0]"),
        (tool(name="a b"), "tools[0].name"),
        (tool(name="f\n"), "tools[0].name"),
        ({"tools": [Tool(name="f"), Tool(name="f")]}, "tools[1].name"),
        (tool("[]"), "tools[0].parameters_json_schema"),
        (tool("{"), "tools[0].parameters_json_schema"),
        (tool('{"a": NaN}'), "tools[0].parameters_json_schema"),
        (tool(f'{{"a": "{"é" * (MAX_SCHEMA_BYTES // 2)}"}}'), "tools[0].parameters_json_schema"),
        (tool('{"a":' * 150 + "{}" + "}" * 150), "tools[0].parameters_json_schema"),
        (tool('{"a":' + "[" * 60_000), "tools[0].parameters_json_schema"),
        ({"tool_choice": ToolChoice(name="g"), **tool()}, "tool_choice.name"),
        ({"tool_choice": ToolChoice(mode=ToolChoice.MODE_REQUIRED)}, "tool_choice.mode"),
        (
            {"response_format": ResponseFormat(kind=ResponseFormat.KIND_JSON_SCHEMA)},
            "response_format.json_schema",
        ),
        ({"labels": {str(i): "" for i in range(33)}}, "labels"),
        ({"labels": {"k" * 65: ""}}, "labels"),
        ({"labels": {"k": "v" * 257}}, "labels[k]"),
        ({"stream": StreamOptions(coalesce=Duration(seconds=1))}, "stream.coalesce"),
        ({"stream": StreamOptions(coalesce=Duration(nanos=2 * 10**9))}, "stream.coalesce"),
        ({"stream": StreamOptions(coalesce=Duration(nanos=-1))}, "stream.coalesce"),
        ({"routing": RoutingOptions(stall_timeout=Duration())}, "routing.stall_timeout"),
        (
            {"provider_parameters": [ProviderParameters(json="{}")]},
            "provider_parameters[0].provider",
        ),
        (
            {"provider_parameters": [ProviderParameters(provider="p", json="1")]},
            "provider_parameters[0].json",
        ),
    ],
)
def test_each_rule_names_its_field(fields: dict[str, Any], field: str) -> None:
    assert field in broken(**fields)


def test_all_broken_rules_are_told_at_once() -> None:
    assert broken(model="", temperature=9.0, top_k=0) == ["model", "temperature", "top_k"]


def test_a_part_may_hold_nothing_but_a_provider_s_state() -> None:
    state = Part(provider_state=ProviderState(provider="p", data=b"x"))
    assert broken(messages=turn(state, role=ROLE_ASSISTANT)) == []


def test_a_schema_may_be_as_deep_as_the_rule_says_and_hold_any_number_of_braces() -> None:
    deep = '{"a":' * (MAX_NESTING - 1) + "{}" + "}" * (MAX_NESTING - 1)
    assert broken(**tool(deep)) == []
    wide = json.dumps({"a": "{" * 500, "b": [{}] * 500})
    assert broken(**tool(wide)) == []
