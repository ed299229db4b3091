"""Conversations as the Messages API wants them."""

import base64
import json

import pytest
from turnout.v1.chat_service_pb2 import ChatRequest
from turnout.v1.chat_service_pb2 import Warning as WarningMessage
from turnout.v1.content_pb2 import (
    CacheBreakpoint,
    Media,
    Message,
    Part,
    ProviderState,
    Role,
    ToolResult,
)

from tests.unit.providers.anthropic_setup import (
    HELLO,
    NEW_MODEL,
    OLD_MODEL,
    assistant,
    body,
    call,
    encoded,
    result,
    results,
    talk,
    target,
    thinking,
    user,
    warned,
)
from turnout_server.core.failure import FailureKind, ProviderFailure

PNG = b"\x89PNG\r\n\x1a\n rest"


def system(*texts: str) -> Message:
    return Message(role=Role.ROLE_SYSTEM, parts=[Part(text=text) for text in texts])


def test_leading_system_turns_become_system_blocks_with_their_breakpoints() -> None:
    marked = Part(text="Long rules", cache_breakpoint=CacheBreakpoint(ttl_seconds=3600))
    sent = body(
        ChatRequest(
            messages=[Message(role=Role.ROLE_SYSTEM, parts=[marked]), system("Be brief"), HELLO]
        )
    )
    assert sent["system"] == [
        {
            "type": "text",
            "text": "Long rules",
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {"type": "text", "text": "Be brief"},
    ]
    assert sent["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]


def test_blank_system_blocks_are_left_out() -> None:
    assert "system" not in body(ChatRequest(messages=[system(" ", ""), HELLO]))


def test_a_later_system_turn_keeps_its_role_where_the_model_takes_it() -> None:
    request = ChatRequest(messages=[HELLO, system("Now in French"), assistant(Part(text="Oui"))])
    sent = encoded(request, target(NEW_MODEL))
    roles = [turn["role"] for turn in json.loads(sent.body)["messages"]]
    assert roles == ["user", "system", "assistant"]
    assert not sent.warnings


def test_a_later_system_turn_is_folded_in_place_with_a_warning_where_it_is_not() -> None:
    request = ChatRequest(messages=[HELLO, assistant(Part(text="Hi")), system("In French"), HELLO])
    for model in (OLD_MODEL, NEW_MODEL):
        sent = encoded(request, target(model))
        last = json.loads(sent.body)["messages"][-1]
        assert last["role"] == "user"
        assert [block["text"] for block in last["content"]] == [
            "<system>\nIn French\n</system>",
            "Hello",
        ]
        assert [(w.kind, w.field) for w in sent.warnings] == [
            (WarningMessage.KIND_EMULATED, "messages[2]")
        ]


def test_consecutive_turns_of_one_role_are_combined() -> None:
    turns = talk(HELLO, HELLO, assistant(Part(text="a")), assistant(Part(text="b")), HELLO)
    assert [(turn["role"], len(turn["content"])) for turn in turns] == [
        ("user", 2),
        ("assistant", 2),
        ("user", 1),
    ]


def test_a_conversation_without_a_user_turn_is_for_another_provider() -> None:
    with pytest.raises(ProviderFailure) as caught:
        body(ChatRequest(messages=[system("Only rules")]))
    assert caught.value.kind is FailureKind.CAPABILITY
    assert caught.value.field == "messages"


def test_all_results_of_a_turn_go_into_one_user_message_results_first() -> None:
    turns = talk(
        HELLO,
        assistant(call("a"), call("b")),
        user(Part(text="By the way")),
        results(result("a", "1")),
        results(result("b", "2", is_error=True)),
    )
    assert turns[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "1"},
        {"type": "tool_result", "tool_use_id": "b", "content": "2", "is_error": True},
        {"type": "text", "text": "By the way"},
    ]


def test_tool_arguments_become_an_object_spelled_as_they_were() -> None:
    arguments = '{"b": 12345678901234567890, "a": 1.10}'
    sent = encoded(ChatRequest(messages=[HELLO, assistant(call("a", arguments)), HELLO]))
    assert arguments.encode() in sent.body


@pytest.mark.parametrize("nothing", ["", "  "])
def test_tool_calls_without_arguments_get_an_empty_object(nothing: str) -> None:
    turns = talk(HELLO, assistant(call("a", nothing)), results(result("a")))
    assert turns[1]["content"][0]["input"] == {}


@pytest.mark.parametrize("cut", ['{"a": ', "[1]", "x", '{"a": NaN}'])
def test_cut_tool_arguments_are_refused_by_name(cut: str) -> None:
    with pytest.raises(ProviderFailure) as caught:
        talk(HELLO, assistant(Part(text="so"), call("a", cut)))
    assert caught.value.kind is FailureKind.REJECTED
    assert caught.value.field == "messages[1].parts[1].tool_call.arguments_json"


def test_ids_of_other_providers_are_made_legal_alike_on_both_ends() -> None:
    turns = talk(HELLO, assistant(call("call.1:x")), results(result("call.1:x", "1")))
    assert turns[1]["content"][0]["id"] == "call_1_x"
    assert turns[2]["content"][0]["tool_use_id"] == "call_1_x"


def test_an_empty_tool_result_is_sent_without_content() -> None:
    turns = talk(HELLO, assistant(call("a")), results(result("a")))
    assert turns[2]["content"] == [{"type": "tool_result", "tool_use_id": "a"}]


def test_a_tool_result_may_hold_images() -> None:
    pieces = [Part(text="see"), Part(text=" "), Part(media=Media(data=PNG, mime_type="image/png"))]
    part = Part(tool_result=ToolResult(tool_call_id="a", parts=pieces))
    turns = talk(HELLO, assistant(call("a")), results(part))
    kinds = [block["type"] for block in turns[2]["content"][0]["content"]]
    assert kinds == ["text", "image"]


def test_blank_text_is_left_out_and_blank_user_turns_with_it() -> None:
    turns = talk(HELLO, user(Part(text=" \n")), assistant(Part(text="a"), Part(text="")), HELLO)
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"] == [{"type": "text", "text": "a"}]


def test_an_empty_turn_of_the_assistant_stays_empty_and_is_dropped_at_the_end() -> None:
    turns = talk(HELLO, assistant(Part(text="")), HELLO, assistant(Part(text="")))
    assert [(turn["role"], len(turn["content"])) for turn in turns] == [
        ("user", 1),
        ("assistant", 0),
        ("user", 1),
    ]


def test_a_prefill_does_not_end_in_white_space() -> None:
    turns = talk(HELLO, assistant(Part(text="The answer is \n")))
    assert turns[1]["content"] == [{"type": "text", "text": "The answer is"}]


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0 rest", "image/jpeg"),
        (b"GIF89a rest", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBP rest", "image/webp"),
    ],
)
def test_images_carry_the_type_that_their_bytes_have(data: bytes, media_type: str) -> None:
    turns = talk(user(Part(media=Media(data=data, mime_type="image/bmp"))))
    assert turns[0]["content"][0] == {
        "type": "image",
        "source": {
            "type": "base64",
            "media_type": media_type,
            "data": base64.b64encode(data).decode(),
        },
    }


def test_an_image_by_address_is_left_to_the_provider_to_fetch() -> None:
    media = Media(url="https://images.example/a.png?size=2", mime_type="image/png")
    block = talk(user(Part(media=media)))[0]["content"][0]
    assert block == {"type": "image", "source": {"type": "url", "url": media.url}}


def test_documents_are_sent_as_documents() -> None:
    turns = talk(
        user(
            Part(media=Media(data=b"%PDF-1.7 x", mime_type="image/png", filename="plan.pdf")),
            Part(media=Media(url="https://docs.example/A.PDF?x=1")),
            Part(media=Media(data=b"caf\xc3\xa9", mime_type="text/markdown; charset=utf-8")),
            Part(media=Media(file_id="file_1")),
            Part(media=Media(file_id="file_2", mime_type="image/png")),
        )
    )
    blocks = turns[0]["content"]
    assert [block["type"] for block in blocks] == ["document"] * 4 + ["image"]
    assert blocks[0]["title"] == "plan.pdf"
    assert blocks[0]["source"]["media_type"] == "application/pdf"
    assert blocks[2]["source"] == {"type": "text", "media_type": "text/plain", "data": "café"}


@pytest.mark.parametrize("mime_type", ["audio/wav", "image/tiff", "application/zip"])
def test_media_that_nothing_can_stand_for_are_for_another_provider(mime_type: str) -> None:
    with pytest.raises(ProviderFailure) as caught:
        talk(user(Part(text="hear"), Part(media=Media(data=b"RIFF", mime_type=mime_type))))
    assert caught.value.kind is FailureKind.CAPABILITY
    assert caught.value.field == "messages[0].parts[1].media"


def test_breakpoints_stand_on_text_calls_and_results() -> None:
    mark = CacheBreakpoint(ttl_seconds=300)
    marked = [user(Part(text="x")), assistant(call("a")), results(result("a", "1"))]
    for message in marked:
        message.parts[0].cache_breakpoint.CopyFrom(mark)
    for turn in talk(*marked):
        assert turn["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "5m"}


def test_an_odd_time_to_live_is_clamped_with_a_warning() -> None:
    part = Part(text="x", cache_breakpoint=CacheBreakpoint(ttl_seconds=900))
    sent = encoded(ChatRequest(messages=[user(part)]))
    assert b'"ttl":"1h"' in sent.body
    assert [w.kind for w in sent.warnings] == [WarningMessage.KIND_CLAMPED]


def test_a_breakpoint_on_a_blank_part_marks_the_one_before_it() -> None:
    blank = Part(text="", cache_breakpoint=CacheBreakpoint())
    turns = talk(user(Part(text="x"), blank))
    assert turns[0]["content"] == [
        {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    ]


def test_thinking_is_replayed_to_the_byte_and_in_order() -> None:
    redacted = Part()
    redacted.thinking.redacted = True
    redacted.provider_state.CopyFrom(ProviderState(provider="anthropic", data=b"ZW5j"))
    turns = talk(
        HELLO,
        assistant(thinking(" Hm,\n", b"c2ln"), redacted, call("a"), thinking("so", b"c2ln2")),
        results(result("a", "1")),
    )
    assert [block["type"] for block in turns[1]["content"]] == [
        "thinking",
        "redacted_thinking",
        "tool_use",
        "thinking",
    ]
    assert turns[1]["content"][0] == {
        "type": "thinking",
        "thinking": " Hm,\n",
        "signature": "c2ln",
    }
    assert turns[1]["content"][1] == {"type": "redacted_thinking", "data": "ZW5j"}


@pytest.mark.parametrize(
    ("part", "strip_state"),
    [
        (thinking("hm", b"theirs", owner="openai"), False),
        (thinking("hm"), False),
        (thinking("hm", b"ours"), True),
    ],
)
def test_thinking_that_is_not_ours_is_stripped_with_a_warning(
    part: Part, *, strip_state: bool
) -> None:
    request = ChatRequest(messages=[HELLO, assistant(part, Part(text="Hi")), HELLO])
    sent = body(request, strip_state=strip_state)
    assert sent["messages"][1]["content"] == [{"type": "text", "text": "Hi"}]
    assert warned(request, strip_state=strip_state) == [
        (WarningMessage.KIND_STATE_STRIPPED, "messages[1].parts[0]")
    ]


def test_blocks_of_servers_tools_are_replayed_exactly_as_they_came() -> None:
    block = b'{"type":"web_search_tool_result","tool_use_id":"s","content":[{"n":1.0}]}'
    part = Part(provider_state=ProviderState(provider="anthropic", data=block))
    sent = encoded(ChatRequest(messages=[HELLO, assistant(part, Part(text="Found")), HELLO]))
    assert block in sent.body


def test_many_stripped_parts_are_told_in_one_warning() -> None:
    foreign = [thinking("hm", b"theirs", owner="openai") for _ in range(40)]
    sent = encoded(ChatRequest(messages=[HELLO, assistant(*foreign), HELLO]))
    assert len(sent.warnings) == 1
    assert "40 times" in sent.warnings[0].message


def test_names_of_speakers_are_dropped_with_a_warning() -> None:
    request = ChatRequest(messages=[Message(role=Role.ROLE_USER, text="Hi", name="Ada")])
    assert warned(request) == [(WarningMessage.KIND_DROPPED, "messages[0].name")]
