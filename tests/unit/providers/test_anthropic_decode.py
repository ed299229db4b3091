"""Answers of the Messages API, streamed and in one piece."""

import copy
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse, Finish, FinishReason

from tests.unit.providers.anthropic_setup import (
    HELLO,
    assistant,
    closing,
    decode,
    decode_to_end,
    delta,
    encoded,
    opening,
    responses,
    sse,
    start,
    stop,
    text_block,
)
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.receipt import Receipt
from turnout_server.providers.anthropic_messages.decode import StreamDecoder, decode_message
from turnout_server.providers.anthropic_messages.events import (
    WireBlock,
    WireDelta,
    WireEvent,
    WireMessage,
    WireUsage,
)
from turnout_server.providers.provider import ChatEvent


def finish_of(events: list[ChatEvent]) -> Finish:
    last = responses(events)[-1]
    assert last.WhichOneof("event") == "finish"
    return last.finish


def whole(*content: dict[str, Any], **members: Any) -> Finish:
    message = {"id": "msg_1", "type": "message", "content": content, "stop_reason": "end_turn"}
    return decode_message(json.dumps({**message, **members}).encode(), "anthropic").finish


def test_a_stream_gives_receipts_deltas_and_one_finish_last() -> None:
    events = decode(sse(opening(), *text_block("Hello"), *closing()))
    assert [type(event) for event in events] == [Receipt, ChatResponse, Receipt, ChatResponse]
    assert responses(events)[0] == ChatResponse(text_delta="Hello", part_index=0)
    finish = finish_of(events)
    assert finish.reason == FinishReason.FINISH_REASON_STOP
    assert (finish.raw_reason, finish.response_id) == ("end_turn", "msg_1")
    assert finish.message.parts[0].text == "Hello"


def test_deltas_of_one_part_that_one_read_brought_are_one_event() -> None:
    pieces = [delta(type="text_delta", text=text) for text in ("a", "b", "c")]
    head = sse(opening(), start(type="text", text=""))
    events = decode(head, sse(*pieces), sse(*pieces), sse(stop(), *closing()))
    texts = [e.text_delta for e in responses(events) if e.text_delta]
    assert texts == ["abc", "abc"]


def test_every_block_is_a_part_of_its_own() -> None:
    blocks = [
        start(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="Hm"),
        delta(0, type="signature_delta", signature="c2ln"),
        stop(0),
        *text_block("Hi", 1),
    ]
    events = responses(decode(sse(opening(), *blocks, *closing())))
    assert [(e.WhichOneof("event"), e.part_index) for e in events] == [
        ("thinking_delta", 0),
        ("text_delta", 1),
        ("finish", 0),
    ]


def test_signatures_come_back_to_the_byte_when_the_answer_is_replayed() -> None:
    stream = sse(
        opening(),
        start(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="Hm, "),
        delta(0, type="thinking_delta", thinking="so"),
        delta(0, type="signature_delta", signature="Ab+/"),
        delta(0, type="signature_delta", signature="Cd=="),
        stop(0),
        start(1, type="redacted_thinking", data="ZW5j"),
        stop(1),
        *closing(),
    )
    answer = finish_of(decode(stream)).message
    sent = json.loads(encoded(ChatRequest(messages=[HELLO, answer, HELLO])).body)
    assert sent["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Hm, so", "signature": "Ab+/Cd=="},
        {"type": "redacted_thinking", "data": "ZW5j"},
    ]


def test_parallel_tool_calls_may_interleave() -> None:
    stream = sse(
        opening(),
        start(0, type="tool_use", id="a", name="one", input={}),
        start(1, type="tool_use", id="b", name="two", input={}),
        delta(0, type="input_json_delta", partial_json='{"x"'),
        delta(1, type="input_json_delta", partial_json='{"y"'),
        delta(0, type="input_json_delta", partial_json=": 1.0}"),
        stop(0),
        delta(1, type="input_json_delta", partial_json=":2}"),
        stop(1),
        *closing("tool_use"),
    )
    events = responses(decode(stream))
    calls = [(e.part_index, e.tool_call) for e in events if e.HasField("tool_call")]
    assert [(i, c.id, c.name, c.arguments_json) for i, c in calls] == [
        (0, "a", "one", '{"x": 1.0}'),
        (1, "b", "two", '{"y":2}'),
    ]
    first = events[0].tool_call_delta
    assert (first.id, first.name, first.arguments_json_delta) == ("a", "one", "")
    assert finish_of(list(events)).reason == FinishReason.FINISH_REASON_TOOL_CALLS


def test_a_tool_call_without_arguments_gives_an_empty_object() -> None:
    stream = sse(
        opening(),
        start(0, type="tool_use", id="a", name="now", input={}),
        delta(0, type="input_json_delta", partial_json=""),
        stop(0),
        *closing("tool_use"),
    )
    assert finish_of(decode(stream)).message.parts[0].tool_call.arguments_json == "{}"


def test_arguments_that_come_whole_in_the_block_are_taken() -> None:
    stream = sse(
        opening(),
        start(0, type="tool_use", id="a", name="f", input={"x": 1}),
        stop(0),
        *closing("tool_use"),
    )
    assert finish_of(decode(stream)).message.parts[0].tool_call.arguments_json == '{"x": 1}'


def test_arguments_cut_by_the_limit_are_given_as_they_are_under_max_tokens() -> None:
    stream = sse(
        opening(),
        start(0, type="tool_use", id="a", name="f", input={}),
        delta(0, type="input_json_delta", partial_json='{"x'),
        *closing("max_tokens"),
    )
    events = responses(decode(stream))
    assert [e.tool_call.arguments_json for e in events if e.HasField("tool_call")] == ['{"x']
    assert events[-1].finish.reason == FinishReason.FINISH_REASON_MAX_TOKENS


def test_a_callers_own_call_keeps_no_state_and_a_programs_call_does() -> None:
    program = {"type": "code_execution_20260120", "tool_id": "srv_1"}
    for caller, state in (({"type": "direct"}, False), (None, False), (program, True)):
        part = whole(
            {"type": "tool_use", "id": "a", "name": "f", "input": {}, "caller": caller}
        ).message.parts[0]
        assert part.HasField("provider_state") is state
        sent = json.loads(encoded(ChatRequest(messages=[HELLO, assistant(part), HELLO])).body)
        assert ("caller" in sent["messages"][1]["content"][0]) is state


def test_blocks_of_servers_tools_pass_through_opaque() -> None:
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"n": 1}]}
    stream = sse(
        opening(),
        start(0, type="server_tool_use", id="s", name="web_search", input={}),
        delta(0, type="input_json_delta", partial_json='{"query":'),
        delta(0, type="input_json_delta", partial_json=' "news"}'),
        stop(0),
        start(1, **found),
        stop(1),
        *text_block("Found", 2),
        *closing(),
    )
    events = responses(decode(stream))
    assert [e.WhichOneof("event") for e in events] == ["text_delta", "finish"]
    answer = events[-1].finish.message
    sent = json.loads(encoded(ChatRequest(messages=[HELLO, answer, HELLO])).body)
    search, outcome, text = sent["messages"][1]["content"]
    assert search["input"] == {"query": "news"}
    assert outcome == found
    assert text == {"type": "text", "text": "Found"}


def test_citations_are_kept_for_the_replay() -> None:
    stream = sse(
        opening(),
        start(0, type="text", text="", citations=[]),
        delta(0, type="text_delta", text="Snow."),
        delta(0, type="citations_delta", citation={"type": "char_location", "n": 1}),
        stop(0),
        *closing(),
    )
    answer = finish_of(decode(stream)).message
    sent = json.loads(encoded(ChatRequest(messages=[HELLO, answer, HELLO])).body)
    assert sent["messages"][1]["content"][0]["citations"] == [{"type": "char_location", "n": 1}]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("end_turn", FinishReason.FINISH_REASON_STOP),
        ("stop_sequence", FinishReason.FINISH_REASON_STOP_SEQUENCE),
        ("max_tokens", FinishReason.FINISH_REASON_MAX_TOKENS),
        ("model_context_window_exceeded", FinishReason.FINISH_REASON_CONTEXT_LIMIT),
        ("tool_use", FinishReason.FINISH_REASON_TOOL_CALLS),
        ("refusal", FinishReason.FINISH_REASON_REFUSAL),
        ("pause_turn", FinishReason.FINISH_REASON_PAUSED),
        ("content_filter", FinishReason.FINISH_REASON_CONTENT_FILTER),
        ("unheard_of", FinishReason.FINISH_REASON_OTHER),
    ],
)
def test_stop_reasons_in_our_words_beside_the_apis(
    word: str, reason: FinishReason.ValueType
) -> None:
    streamed = finish_of(decode(sse(opening(), *text_block("x"), *closing(word))))
    unary = whole({"type": "text", "text": "x"}, stop_reason=word)
    for finish in (streamed, unary):
        assert (finish.reason, finish.raw_reason) == (reason, word)


def test_the_stop_sequence_that_matched_is_told() -> None:
    ending = {"stop_reason": "stop_sequence", "stop_sequence": "END"}
    last = [{"type": "message_delta", "delta": ending}, {"type": "message_stop"}]
    assert finish_of(decode(sse(opening(), *text_block("x"), *last))).stop_sequence == "END"


def test_a_refusal_without_a_word_is_a_finish_and_no_failure() -> None:
    finish = finish_of(decode(sse(opening(), *closing("refusal"))))
    assert finish.reason == FinishReason.FINISH_REASON_REFUSAL
    assert not finish.message.parts


def test_usage_is_cumulative_and_counts_what_the_cache_took_part_in() -> None:
    head = opening(
        input_tokens=5, cache_read_input_tokens=100, cache_creation_input_tokens=20, output_tokens=1
    )
    finish = finish_of(
        decode(sse(head, *text_block("x"), *closing(output_tokens=30, input_tokens=6)))
    )
    assert finish.usage.input_tokens == 126
    assert finish.usage.cache_read_input_tokens == 100
    assert finish.usage.cache_write_input_tokens == 20
    assert finish.usage.output_tokens == 30
    assert not finish.usage.HasField("cost_nano_usd")


def test_thinking_tokens_are_told_where_they_are_counted() -> None:
    usage = {"input_tokens": 1, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}
    assert whole({"type": "text", "text": "x"}, usage=usage).usage.thinking_tokens == 4


def test_an_answer_that_counts_nothing_says_that_its_usage_is_no_count() -> None:
    assert whole({"type": "text", "text": "x"}).usage.estimated


def test_a_head_books_the_input_and_not_its_placeholder_of_output() -> None:
    events, failure = decode_to_end(sse(opening(input_tokens=50, output_tokens=1)))
    assert failure is not None
    (receipt,) = events
    assert isinstance(receipt, Receipt)
    assert receipt.usage is not None
    assert (receipt.usage.input_tokens, receipt.usage.output_tokens) == (50, 0)
    assert receipt.provider_request_id == "req_1"


def test_pings_are_no_content() -> None:
    assert decode_to_end(sse({"type": "ping"}) * 50)[0] == []


def test_unknown_events_blocks_and_deltas_are_tolerated() -> None:
    stream = sse(
        {"type": "hint", "index": "seven", "delta": 3},
        opening(),
        start(0, type="compaction", text=5),
        delta(0, type="compaction_delta", content="x"),
        stop(0),
        *text_block("Hi", 1),
        delta(9, type="hint_delta", hint=1),
        *closing(),
    )
    assert finish_of(decode(stream)).message.parts[1].text == "Hi"


def test_what_comes_after_the_stop_is_dropped() -> None:
    end = closing()
    stream = sse(opening(), *text_block("Hi"), end[0], *text_block("more", 0), end[1])
    events = responses(decode(stream + sse(*text_block("still more", 1)) + b"data: nonsense\n\n"))
    assert [e.text_delta for e in events if e.text_delta] == ["Hi"]


@pytest.mark.parametrize("kept", range(1, 6))
def test_a_stream_without_its_terminal_event_is_a_failure(kept: int) -> None:
    events = [opening(), *text_block("Hi"), *closing()][:kept]
    _, failure = decode_to_end(sse(*events))
    assert failure is not None
    assert failure.kind is FailureKind.ERROR


def test_a_terminal_event_without_a_reason_is_not_taken_for_stop() -> None:
    events = decode(sse(opening(), *text_block("Hi"), {"type": "message_stop"}))
    assert finish_of(events).reason == FinishReason.FINISH_REASON_OTHER
    assert decode_to_end(sse(opening(), {"type": "message_stop"}))[1] is not None


def test_an_error_inside_the_stream_is_classified_by_its_type() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    events, failure = decode_to_end(sse(opening(), *text_block("Hi"), error))
    assert responses(events)[0].text_delta == "Hi"
    assert failure is not None
    assert failure.kind is FailureKind.OVERLOADED
    assert failure.provider_request_id == "req_1"


def test_a_filter_that_cuts_an_answer_is_how_it_ends() -> None:
    message = "Output blocked by content filtering policy"
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    finish = finish_of(decode(sse(opening(), *text_block("Hi"), error)))
    assert finish.reason == FinishReason.FINISH_REASON_CONTENT_FILTER
    _, failure = decode_to_end(sse(opening(), error))
    assert failure is not None
    assert failure.kind is FailureKind.PROMPT_BLOCKED


@pytest.mark.parametrize(
    "data",
    [
        b"event: error\ndata: oops\n\n",
        b'event: error\ndata: {"detail":"no"}\n\n',
        b"data: null\n\n",
        b"data: 5\n\n",
        b"data:\n\n",
        b'data: {"type":"message_start","message":[]}\n\n',
        b'data: {"type":"content_block_delta","index":0,"delta":null}\n\n',
        b'data: {"type":"content_block_start","index":0}\n\n',
        b'data: {"type":"content_block_start","index":-1,"content_block":{"type":"text"}}\n\n',
        b'data: {"type":"message_delta","delta":{"stop_reason":7}}\n\n',
        b'data: {"type":"content_block_delta"\n\n',
        b'data: {"type":"message_delta","delta":{"stop_reason":"\xff\xfe"}}\n\n',
    ],
)
def test_nonsense_is_a_failure_of_the_provider(data: bytes) -> None:
    _, failure = decode_to_end(sse(opening()), data, sse(*text_block("Hi"), *closing()))
    assert failure is not None
    assert failure.kind is FailureKind.ERROR


@pytest.mark.parametrize(
    "events",
    [
        [start(0, type="text", text=""), start(0, type="text", text="")],
        [delta(0, type="text_delta", text="x")],
        [*text_block("x"), delta(0, type="text_delta", text="y")],
        [start(0, type="text", text=""), delta(0, type="thinking_delta", thinking="x")],
        [start(0, type="tool_use", id="", name="f", input={})],
        [start(0, type="tool_use", id="a", input={})],
        [stop(3)],
    ],
)
def test_contradictions_are_failures(events: list[dict[str, Any]]) -> None:
    _, failure = decode_to_end(sse(opening(), *events, *closing()))
    assert failure is not None
    assert failure.kind is FailureKind.ERROR


def test_arguments_that_are_not_utf_8_do_no_harm() -> None:
    block = b'{"type":"tool_use","id":"a","name":"f","input":{"x":"\xff"}}'
    head = b'data: {"type":"content_block_start","index":0,"content_block":%b}\n\n' % block
    finish = finish_of(decode(sse(opening()), head, sse(stop(), *closing("tool_use"))))
    assert finish.message.parts[0].tool_call.arguments_json == '{"x":"\ufffd"}'


def test_lone_surrogates_become_replacement_characters() -> None:
    stream = sse(opening(), start(type="text", text=""))
    stream += (
        b'data: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"a\\ud83d\\\\ud83d\\ude00z"}}\n\n'
        b'data: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"\\ud83d\\ude00\\udc00"}}\n\n'
    )
    text = finish_of(decode(stream + sse(stop(), *closing()))).message.parts[0].text
    assert text == "a\ufffd\\ud83d\ufffdz\U0001f600\ufffd"


def test_an_answer_in_one_piece_has_the_same_finish_as_its_stream() -> None:
    streamed = finish_of(
        decode(
            sse(
                opening(input_tokens=3, output_tokens=1),
                start(0, type="thinking", thinking="", signature=""),
                delta(0, type="thinking_delta", thinking="Hm"),
                delta(0, type="signature_delta", signature="c2ln"),
                stop(0),
                *text_block("Hi", 1),
                start(2, type="tool_use", id="a", name="f", input={}),
                delta(2, type="input_json_delta", partial_json='{"x": 1}'),
                stop(2),
                *closing("tool_use", output_tokens=9),
            )
        )
    )
    unary = whole(
        {"type": "thinking", "thinking": "Hm", "signature": "c2ln"},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        stop_reason="tool_use",
        usage={"input_tokens": 3, "output_tokens": 9},
    )
    streamed.ClearField("route")
    unary.ClearField("route")
    assert streamed == unary


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b'{"id":"x"}',
        b'{"content":null}',
        b'{"content":[],"stop_reason":null}',
        b'{"content":[7],"stop_reason":"end_turn"}',
        b'{"content":[{"type":"text","text":42}]}',
        b'{"content":[],"usage":{"input_tokens":-1}}',
        b'{"content":[],"usage":{"input_tokens":1e30}}',
    ],
)
def test_a_body_that_is_no_answer_is_a_failure(body: bytes) -> None:
    with pytest.raises(ProviderFailure) as caught:
        decode_message(body, "anthropic")
    assert caught.value.kind is FailureKind.ERROR


def test_an_error_under_status_200_is_classified() -> None:
    body = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
    with pytest.raises(ProviderFailure) as caught:
        decode_message(body, "anthropic")
    assert caught.value.kind is FailureKind.RATE_LIMITED


EVENTS: list[dict[str, Any]] = [
    opening(),
    {"type": "ping"},
    start(0, type="thinking", thinking="", signature=""),
    delta(0, type="thinking_delta", thinking="Überlegung 漢字 🙂"),
    delta(0, type="signature_delta", signature="c2ln"),
    stop(0),
    *text_block("Grüße \n\n an 👩‍🚀", 1),
    start(2, type="tool_use", id="a", name="f", input={}),
    delta(2, type="input_json_delta", partial_json='{"city": "K'),
    delta(2, type="input_json_delta", partial_json='öln"}'),
    stop(2),
    *closing("tool_use"),
]
STREAM = sse(*EVENTS).replace("ü".encode(), b"\\u00fc")


def said(events: list[ChatEvent]) -> list[tuple[str, int, str]]:
    """Deltas of one part joined, so that only what was said is compared, not how it was cut."""
    joined: list[tuple[str, int, str]] = []
    for event in responses(events):
        kind = event.WhichOneof("event") or ""
        piece = str(getattr(event, kind))
        if kind == "tool_call_delta":
            piece = event.tool_call_delta.arguments_json_delta
        if joined and joined[-1][:2] == (kind, event.part_index):
            joined[-1] = (kind, event.part_index, joined[-1][2] + piece)
        else:
            joined.append((kind, event.part_index, piece))
    return joined


@given(st.lists(st.integers(0, len(STREAM)), max_size=60), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_what_is_said_does_not_depend_on_how_the_bytes_are_cut(cuts: list[int], end: bytes) -> None:
    stream = STREAM.replace(b"\n", end)
    places = [0, *sorted(cuts), len(stream)]
    reads = [stream[a:b] for a, b in pairwise(places)]
    assert said(decode(*reads)) == said(decode(STREAM))


def test_what_is_said_is_the_same_byte_by_byte() -> None:
    assert said(decode(*[bytes([byte]) for byte in STREAM])) == said(decode(STREAM))


KINDS = [*sorted({str(event["type"]) for event in EVENTS}), "error", "other"]
MEMBERS = sorted(
    {
        name
        for struct in (WireEvent, WireMessage, WireBlock, WireDelta, WireUsage)
        for name in struct.__struct_fields__
    }
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["text", "tool_use", "thinking", "text_delta", "message", "end_turn"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=6)
    ),
    max_leaves=12,
)


@given(st.sampled_from(range(len(EVENTS))), st.sampled_from(MEMBERS), st.booleans(), JSON)
def test_one_wrong_member_raises_nothing_but_a_provider_failure(
    place: int, member: str, deep: bool, value: Any
) -> None:
    events = copy.deepcopy(EVENTS)
    spoilt = events[place]
    inner = [found for found in spoilt.values() if isinstance(found, dict)]
    (inner[0] if deep and inner else spoilt)[member] = value
    decode_to_end(sse(*events))


@given(st.lists(st.tuples(st.sampled_from(KINDS), JSON), max_size=6))
def test_arbitrary_events_raise_nothing_but_provider_failures(
    events: list[tuple[str, Any]],
) -> None:
    decoder = StreamDecoder("anthropic")
    for kind, content in events:
        event = {**content, "type": kind} if isinstance(content, dict) else content
        decoder.feed(b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps(event).encode()))
    try:
        decoder.close()
    except ProviderFailure:
        return


@given(JSON | st.dictionaries(st.just("content"), st.lists(JSON, max_size=4)))
def test_arbitrary_bodies_raise_nothing_but_provider_failures(body: Any) -> None:
    try:
        decode_message(json.dumps(body).encode(), "anthropic")
    except ProviderFailure:
        return


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_provider_failures(data: bytes) -> None:
    decode_to_end(data)
    decode_to_end(b"data: " + data + b"\n\n")
    try:
        decode_message(data, "anthropic")
    except ProviderFailure:
        return
