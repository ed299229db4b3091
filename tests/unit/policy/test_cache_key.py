"""Keys of answers: whatever changes the answer changes the key, and so does the tenant."""

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st
from turnout.v1.chat_service_pb2 import ChatRequest, ResponseFormat, Tool
from turnout.v1.content_pb2 import Media, Message, Part, Role
from turnout.v1.embed_service_pb2 import EmbedRequest

from turnout_server.core.target import Endpoint, ModelCard, Target
from turnout_server.policy.cache_key import chat_key, embed_keys, question_of, scope_key

TARGET = Target(
    Endpoint("claude", "anthropic", "anthropic_messages", ""), ModelCard("m", frozenset())
)
UNCOUNTED = {"routing", "cache", "stream", "labels", "end_user_id"}
FIELDS = [field.name for field in ChatRequest.DESCRIPTOR.fields]
_SCALARS: dict[int, Any] = {
    FieldDescriptor.CPPTYPE_STRING: st.text(max_size=8),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(0, 2, width=32),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
}


def values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=8)
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        return st.deferred(lambda: messages(field.message_type))
    return _SCALARS[field.cpp_type]


@st.composite
def messages(draw: Any, descriptor: Any) -> dict[str, Any]:
    """Any message of a type, as the keywords of its constructor."""
    chosen = draw(st.lists(st.sampled_from(list(descriptor.fields)), max_size=4, unique=True))
    taken: dict[str, Any] = {}
    for field in chosen:
        if field.name == "parts" and descriptor.name == "ToolResult":
            continue  # it nests without end
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            pairs = st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=2)
            taken[field.name] = draw(pairs)
        elif field.is_repeated:
            taken[field.name] = draw(st.lists(values(field), max_size=2))
        else:
            taken[field.name] = draw(values(field))
    return taken


def requests() -> st.SearchStrategy[ChatRequest]:
    return messages(ChatRequest.DESCRIPTOR).map(lambda fields: ChatRequest(**fields))


@given(requests(), requests(), st.sampled_from(FIELDS))
def test_a_changed_field_changes_the_key_unless_it_is_named_as_uncounted(
    request: ChatRequest, other: ChatRequest, field: str
) -> None:
    changed = ChatRequest()
    changed.CopyFrom(request)
    changed.ClearField(field)  # type: ignore[arg-type]
    swapped = ChatRequest()
    swapped.CopyFrom(other)
    for name in FIELDS:
        if name != field:
            swapped.ClearField(name)  # type: ignore[arg-type]
    changed.MergeFrom(swapped)
    same_field = request.SerializeToString(deterministic=True) == changed.SerializeToString(
        deterministic=True
    )
    same_key = chat_key(request, "t", TARGET).digest == chat_key(changed, "t", TARGET).digest
    namespaces_differ = request.cache.namespace != changed.cache.namespace
    assert same_key == (same_field or (field in UNCOUNTED and not namespaces_differ))


@given(requests(), st.text(max_size=8), st.text(max_size=8))
def test_two_tenants_never_share_a_key(request: ChatRequest, one: str, other: str) -> None:
    same = chat_key(request, one, TARGET).digest == chat_key(request, other, TARGET).digest
    assert same == (one == other)


@given(st.text(max_size=6), st.text(max_size=6), st.text(max_size=6), st.text(max_size=6))
def test_tenant_and_namespace_never_run_into_one_another(
    tenant: str, namespace: str, other_tenant: str, other_namespace: str
) -> None:
    one, other = ChatRequest(model="m"), ChatRequest(model="m")
    one.cache.namespace, other.cache.namespace = namespace, other_namespace
    same = chat_key(one, tenant, TARGET).digest == chat_key(other, other_tenant, TARGET).digest
    assert same == ((tenant, namespace) == (other_tenant, other_namespace))


def test_another_target_gives_another_key() -> None:
    request = ChatRequest(model="smart")
    key = chat_key(request, "t", TARGET)
    other_model = replace(TARGET, card=ModelCard("n", frozenset()))
    other_endpoint = replace(TARGET, endpoint=replace(TARGET.endpoint, name="openai"))
    digests = {chat_key(request, "t", t).digest for t in (other_model, other_endpoint)}
    assert len(digests | {key.digest}) == 3


def test_a_field_that_this_version_does_not_know_counts() -> None:
    request = ChatRequest(model="m", messages=[Message(text="hello")])
    newer = ChatRequest.FromString(request.SerializeToString() + b"\xc2\x3e\x01x")
    inner = Message.FromString(request.messages[0].SerializeToString() + b"\xc2\x3e\x01x")
    digests = {
        chat_key(r, "t", TARGET).digest
        for r in (request, newer, ChatRequest(model="m", messages=[inner]))
    }
    assert len(digests) == 3


def test_the_order_in_which_fields_came_does_not_count() -> None:
    one = ChatRequest(model="m", top_k=3)
    other = ChatRequest.FromString(b"\x30\x03" + b"\x0a\x01m")
    assert chat_key(one, "t", TARGET) == chat_key(other, "t", TARGET)


def test_a_key_names_what_it_can_be_dropped_by() -> None:
    request = ChatRequest(model="smart")
    request.cache.namespace = "app"
    key = chat_key(request, "t", TARGET)
    assert (key.tenant, key.namespace, key.model) == ("t", "app", "smart")


def keys_of(*texts: str, **changed: Any) -> list[bytes]:
    asked: dict[str, Any] = {
        "tenant": "t",
        "namespace": "",
        "model": "e",
        "target": TARGET,
        "dimensions": 0,
        "input_type": EmbedRequest.INPUT_TYPE_UNSPECIFIED,
    }
    return [key.digest for key in embed_keys(texts, **{**asked, **changed})]


@given(st.lists(st.text(max_size=5), max_size=6))
def test_texts_have_equal_keys_if_and_only_if_they_are_equal(texts: list[str]) -> None:
    keys = keys_of(*texts)
    assert [keys.index(key) for key in keys] == [texts.index(text) for text in texts]


@pytest.mark.parametrize(
    "changed",
    [
        {"tenant": "u"},
        {"namespace": "n"},
        {"model": "f"},
        {"target": replace(TARGET, card=ModelCard("n", frozenset()))},
        {"dimensions": 256},
        {"input_type": EmbedRequest.INPUT_TYPE_QUERY},
    ],
)
def test_whatever_changes_a_vector_changes_its_key(changed: dict[str, Any]) -> None:
    assert keys_of("text") != keys_of("text", **changed)


def asked(*turns: Message, **fields: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=turns, **fields)


def user(text: str) -> Message:
    return Message(role=Role.ROLE_USER, text=text)


def test_questions_share_a_scope_when_only_the_last_turn_differs() -> None:
    one, other = asked(user("how are you?")), asked(user("how do you do?"))
    in_parts = asked(Message(role=Role.ROLE_USER, parts=[Part(text="well?")]))
    scopes = {scope_key(request, "t", TARGET) for request in (one, other, in_parts)}
    assert len(scopes) == 1
    for different in (
        asked(user("hi"), user("how are you?")),
        asked(user("how are you?"), top_k=1),
    ):
        assert scope_key(different, "t", TARGET) not in scopes
    assert scope_key(one, "u", TARGET) not in scopes
    assert [question_of(request) for request in (one, in_parts)] == ["how are you?", "well?"]


@pytest.mark.parametrize(
    "request_",
    [
        ChatRequest(),
        asked(user("")),
        asked(Message(role=Role.ROLE_ASSISTANT, text="hello")),
        asked(
            Message(
                role=Role.ROLE_USER, parts=[Part(text="see"), Part(media=Media(url="https://x"))]
            )
        ),
        asked(user("add"), tools=[Tool(name="add")]),
        asked(user("add"), response_format=ResponseFormat(kind=ResponseFormat.KIND_JSON_OBJECT)),
    ],
)
def test_likeness_is_not_enough_for_tools_structures_and_pictures(request_: ChatRequest) -> None:
    assert question_of(request_) is None


@pytest.mark.parametrize(
    ("wish", "let_through"),
    [
        ({"tools": [Tool(name="add")]}, {"tools": True}),
        (
            {"response_format": ResponseFormat(kind=ResponseFormat.KIND_JSON_OBJECT)},
            {"structured": True},
        ),
    ],
)
def test_tools_and_structures_may_be_let_through(
    wish: dict[str, Any], let_through: dict[str, bool]
) -> None:
    assert question_of(asked(user("add"), **wish), **let_through) == "add"


def test_vectors_of_two_models_lie_in_scopes_of_their_own() -> None:
    request = asked(user("add"))
    assert scope_key(request, "t", TARGET, "one") != scope_key(request, "t", TARGET, "two")
