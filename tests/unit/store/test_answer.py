"""Replay of a kept answer: every part, in order, and a finish that says what it cost."""

from turnout.v1.chat_service_pb2 import Finish, FinishReason
from turnout.v1.content_pb2 import Message, Part, Role, Thinking, ToolCall
from turnout.v1.routing_pb2 import CacheStatus, Route
from turnout.v1.usage_pb2 import Usage

from turnout_server.store.answer import CachedAnswer

CALL = ToolCall(id="c1", name="add", arguments_json='{"b": 1, "a": 9007199254740993}')
FINISH = Finish(
    reason=FinishReason.FINISH_REASON_TOOL_CALLS,
    raw_reason="tool_use",
    usage=Usage(input_tokens=10, output_tokens=20, cost_nano_usd=77),
    route=Route(
        provider="claude", model="m", cache_status=CacheStatus.CACHE_STATUS_MISS, attempts=2
    ),
    response_id="r1",
    message=Message(
        role=Role.ROLE_ASSISTANT,
        parts=[
            Part(thinking=Thinking(text="hm")),
            Part(thinking=Thinking(redacted=True)),
            Part(text="I add."),
            Part(tool_call=CALL),
        ],
    ),
)


def test_every_part_is_replayed_in_order_and_finish_is_last() -> None:
    events = list(CachedAnswer(FINISH, 1.0).replay())
    assert [(event.WhichOneof("event"), event.part_index) for event in events] == [
        ("thinking_delta", 0),
        ("text_delta", 2),
        ("tool_call_delta", 3),
        ("tool_call", 3),
        ("finish", 0),
    ]
    assert events[0].thinking_delta == "hm"
    assert events[1].text_delta == "I add."
    assert events[2].tool_call_delta.arguments_json_delta == CALL.arguments_json
    assert events[3].tool_call == CALL


def test_a_replay_costs_nothing_and_says_what_was_saved() -> None:
    answer = CachedAnswer(FINISH, 1.0)
    *_, last = answer.replay()
    assert last.finish.usage == Usage(cost_nano_usd=0)
    assert last.finish.route == Route(
        provider="claude", model="m", cache_status=CacheStatus.CACHE_STATUS_HIT
    )
    assert last.finish.message == FINISH.message
    assert (last.finish.raw_reason, last.finish.response_id) == ("tool_use", "r1")
    assert answer.saved.cost_nano_usd == 77


def test_an_answer_in_shorthand_is_one_text() -> None:
    finish = Finish(message=Message(role=Role.ROLE_ASSISTANT, text="hello"))
    first, last = CachedAnswer(finish, 0.0).replay()
    assert first.text_delta == "hello"
    assert last.WhichOneof("event") == "finish"
