"""Events add up to answers: no I/O."""

from turnout.v1.chat_service_pb2 import ChatResponse, Finish, FinishReason, ToolCallDelta
from turnout.v1.content_pb2 import Message, Part, Role, ToolCall

from turnout_client.answer import Assembly


def fed(*events: ChatResponse) -> Assembly:
    assembly = Assembly()
    for event in events:
        assembly.feed(event)
    return assembly


def piece(part_index: int, delta: ToolCallDelta) -> ChatResponse:
    return ChatResponse(part_index=part_index, tool_call_delta=delta)


def test_an_unfinished_answer_has_no_finish_usage_or_route() -> None:
    answer = fed(ChatResponse(text_delta="Half")).answer()
    assert (answer.text, answer.finish_reason, answer.usage, answer.route) == (
        "Half",
        "",
        None,
        None,
    )


def test_pieces_of_parallel_tool_calls_are_put_together_by_part() -> None:
    answer = fed(
        piece(0, ToolCallDelta(id="a", name="add", arguments_json_delta='{"x"')),
        piece(1, ToolCallDelta(id="b", name="mul")),
        piece(0, ToolCallDelta(arguments_json_delta=":1}")),
        piece(1, ToolCallDelta(arguments_json_delta="{}")),
    ).answer()
    assert answer.tool_calls == (
        ToolCall(id="a", name="add", arguments_json='{"x":1}'),
        ToolCall(id="b", name="mul", arguments_json="{}"),
    )


def test_the_whole_call_takes_the_place_of_its_pieces() -> None:
    whole = ToolCall(id="a", name="add", arguments_json='{"x": 1}')
    answer = fed(
        piece(0, ToolCallDelta(id="a", name="add", arguments_json_delta='{"x')),
        ChatResponse(part_index=0, tool_call=whole),
    ).answer()
    assert answer.tool_calls == (whole,)


def test_feeding_a_higher_generation_gives_back_what_it_voids() -> None:
    assembly = fed(ChatResponse(text_delta="old"))
    voided = assembly.feed(ChatResponse(text_delta="new", generation=2))
    assert voided is not None
    assert voided.text == "old"
    assert (assembly.answer().text, assembly.answer().generation) == ("new", 2)


def test_output_counts_as_started_even_when_it_was_voided() -> None:
    assembly = fed(ChatResponse(text_delta="old"), ChatResponse(generation=1))
    assert assembly.started


def test_the_turn_to_replay_is_the_gateways_own_when_it_sent_one() -> None:
    message = Message(role=Role.ROLE_ASSISTANT, parts=[Part(text="Hi")])
    finish = Finish(reason=FinishReason.FINISH_REASON_STOP, message=message)
    assert fed(ChatResponse(finish=finish)).answer().message() == message


def test_without_one_the_turn_to_replay_is_text_and_tool_calls() -> None:
    call = ToolCall(id="a", name="add", arguments_json="{}")
    answer = fed(ChatResponse(text_delta="Hi"), ChatResponse(part_index=1, tool_call=call)).answer()
    assert [part.WhichOneof("content") for part in answer.message().parts] == ["text", "tool_call"]
