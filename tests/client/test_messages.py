"""Turns of a conversation from what is at hand."""

import pytest
from turnout.v1.chat_service_pb2 import Tool
from turnout.v1.content_pb2 import Message, Role, ToolCall

from turnout_client import assistant, media, system, tool_result, user
from turnout_client.messages import conversation, tool

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


def test_a_bare_text_is_one_turn_of_the_users() -> None:
    assert conversation("Hi") == [Message(role=Role.ROLE_USER, text="Hi")]


def test_dictionaries_and_messages_may_be_mixed() -> None:
    turns = conversation(
        [{"role": "system", "content": "Be brief."}, user("Hi"), assistant("Yes?")]
    )
    assert [turn.role for turn in turns] == [Role.ROLE_SYSTEM, Role.ROLE_USER, Role.ROLE_ASSISTANT]
    assert turns[0] == system("Be brief.")


def test_text_and_image_become_parts_in_order() -> None:
    turn = conversation({"role": "user", "content": ["What is this?", PNG]})[0]
    assert [part.WhichOneof("content") for part in turn.parts] == ["text", "media"]
    assert turn.parts[1].media.mime_type == "image/png"
    assert turn.text == ""


@pytest.mark.parametrize(
    ("data", "mime_type"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"%PDF-1.7", "application/pdf"),
    ],
)
def test_the_first_bytes_tell_the_type(data: bytes, mime_type: str) -> None:
    assert media(data).media.mime_type == mime_type


def test_bytes_of_unknown_type_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="pass media"):
        user(b"plain")


def test_a_type_that_is_given_is_kept() -> None:
    assert media(b"RIFF", "audio/wav").media.mime_type == "audio/wav"


def test_an_address_is_sent_as_such() -> None:
    assert media("https://example.org/cat.png").media.url == "https://example.org/cat.png"


def test_a_tools_result_answers_its_call() -> None:
    call = ToolCall(id="c1", name="add", arguments_json="{}")
    result = tool_result(call, "3").parts[0].tool_result
    assert (result.tool_call_id, result.text, result.is_error) == ("c1", "3", False)


def test_a_tools_result_may_hold_an_image() -> None:
    result = tool_result("c1", ["plot", PNG], is_error=True).parts[0].tool_result
    assert [part.WhichOneof("content") for part in result.parts] == ["text", "media"]


@pytest.mark.parametrize(
    "turn", [{"role": "bot", "content": "Hi"}, {"role": "user", "text": "Hi"}, {"rôle": "user"}]
)
def test_an_unknown_role_or_key_is_refused(turn: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="role"):
        conversation(turn)


def test_a_tools_schema_is_written_as_json_text() -> None:
    made = tool({"name": "add", "parameters": {"type": "object", "title": "Ж"}})
    assert made == Tool(name="add", parameters_json_schema='{"type": "object", "title": "Ж"}')


def test_an_unknown_key_of_a_tool_is_refused() -> None:
    with pytest.raises(ValueError, match="input_schema"):
        tool({"name": "add", "input_schema": {}})
