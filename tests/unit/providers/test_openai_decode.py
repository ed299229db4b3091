"""The decoder against anything a provider may say: no cut matters, one exception leaves."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turnout.v1.chat_service_pb2 import ChatResponse, FinishReason

from tests.conformance.comparison import joined
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.receipt import Receipt
from turnout_server.providers.openai_chat.assembly import Assembly
from turnout_server.providers.openai_chat.decode import StreamDecoder, decode_completion
from turnout_server.providers.openai_chat.embeddings import decode_vectors
from turnout_server.providers.openai_chat.think_tags import ThinkTags
from turnout_server.providers.provider import ChatEvent, EmbedShard

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
TEXT = st.text(max_size=6) | st.sampled_from(["\ud83d", "\0", "🌍", "<think>", "</think>", ""])


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with any of these fields, each as it should be, or now and then as anything."""
    return st.fixed_dictionaries(
        {}, optional={name: value | st.none() | JSON for name, value in fields.items()}
    )


TOOL_CALLS = st.lists(
    maybe(
        index=st.integers(0, 2),
        id=st.sampled_from(["a", "b", ""]),
        function=maybe(name=st.sampled_from(["f", "g"]), arguments=TEXT),
    ),
    max_size=3,
)
DELTAS = maybe(content=TEXT, reasoning_content=TEXT, refusal=TEXT, tool_calls=TOOL_CALLS)
USAGE = maybe(prompt_tokens=st.integers(), completion_tokens=st.integers())
CHOICES = st.lists(
    maybe(
        index=st.integers(0, 1),
        delta=DELTAS,
        message=DELTAS,
        finish_reason=st.sampled_from(["stop", "length", "tool_calls", "error", "else"]),
    ),
    max_size=2,
)
CHUNKS = maybe(id=TEXT, choices=CHOICES, usage=USAGE) | JSON
STREAMS = st.lists(
    CHUNKS.map(lambda chunk: b"data: " + json.dumps(chunk).encode() + b"\n\n")
    | st.sampled_from(
        [b"data: [DONE]\n\n", b": ping\n\n", b"event: error\ndata: {}\n\n", b"event: ping\n\n"]
    ),
    max_size=6,
).map(b"".join)


def decoder(*, think_tags: bool = False) -> StreamDecoder:
    assembly = Assembly(provider="p", prompt_bytes=40, think_tags=think_tags)
    return StreamDecoder(assembly, warnings=[], provider_request_id="r")


def run(reads: list[bytes], *, think_tags: bool = False) -> tuple[list[bytes], str]:
    """The events of a stream, deltas joined, and the failure that it ends by, if any."""
    decode = decoder(think_tags=think_tags)
    events: list[ChatEvent] = []
    failure = ""
    try:
        for read in reads:
            # One by one: what a read gave before it failed has been given.
            for event in decode.feed(read):
                events.append(event)  # noqa: PERF402
        events += decode.close()
    except ProviderFailure as caught:
        failure = f"{caught.kind} {caught.detail}"
    shown = joined(event for event in events if isinstance(event, ChatResponse))
    return [event.SerializeToString(deterministic=True) for event in shown], failure


@given(STREAMS, st.lists(st.integers(0, 2000)), st.booleans())
def test_no_cut_changes_events_or_failure(stream: bytes, cuts: list[int], think_tags: bool) -> None:
    ends = [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert run(pieces, think_tags=think_tags) == run([stream], think_tags=think_tags)


@given(STREAMS)
def test_part_indexes_never_go_down(stream: bytes) -> None:
    decode = decoder()
    highest = 0
    try:
        for event in decode.feed(stream):
            if isinstance(event, ChatResponse) and event.HasField("text_delta"):
                assert event.part_index >= highest
                highest = event.part_index
    except ProviderFailure:
        pass


@given(JSON | CHUNKS)
def test_any_answer_in_one_piece_is_an_answer_or_a_failure(body: Any) -> None:
    assembly = Assembly(provider="p", prompt_bytes=40)
    try:
        finish = decode_completion(json.dumps(body).encode(), assembly, warnings=[]).finish
    except ProviderFailure:
        return
    assert finish.reason
    assert finish.HasField("usage")
    assert finish.HasField("message")


@given(st.binary(max_size=100))
def test_any_bytes_in_one_piece_are_a_failure_or_an_answer(body: bytes) -> None:
    with suppress(ProviderFailure):
        decode_completion(body, Assembly(provider="p", prompt_bytes=0), warnings=[])


VECTORS = st.lists(
    maybe(
        index=st.integers(0, 1),
        embedding=st.lists(st.floats(width=32), max_size=3) | st.sampled_from(["AACAPw==", "A"]),
    ),
    max_size=3,
)


@given(maybe(data=VECTORS, usage=USAGE) | JSON)
def test_any_embeddings_are_vectors_or_a_failure(body: Any) -> None:
    try:
        vectors = decode_vectors(json.dumps(body).encode(), EmbedShard(["a", "b"]))
    except ProviderFailure:
        return
    assert [len(packed) for packed in vectors.packed] == [4 * vectors.dimensions] * 2


@given(st.lists(st.sampled_from(["<think>", "</think>", "<th", "ink>", "</", "\n", "x", " "])))
def test_think_tags_do_not_depend_on_cuts(pieces: list[str]) -> None:
    whole = _split(["".join(pieces)])
    assert _split(pieces) == whole
    assert _split(list("".join(pieces))) == whole


def _split(pieces: list[str]) -> tuple[str, str]:
    tags = ThinkTags()
    split = [tags.split(piece) for piece in pieces] + [tags.rest()]
    return "".join(thinking for thinking, _ in split), "".join(text for _, text in split)


def test_deltas_of_one_read_are_one_event() -> None:
    chunk = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    events = list(decoder().feed(chunk * 3))
    assert [event.text_delta for event in events if isinstance(event, ChatResponse)] == ["aaa"]


def test_usage_so_far_is_told_ahead_of_the_end() -> None:
    decode = decoder()
    early = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":1}}\n\n'
    [receipt] = decode.feed(early)
    assert isinstance(receipt, Receipt)
    assert receipt.usage is not None
    assert receipt.usage.input_tokens == 9
    assert receipt.provider_request_id == "r"


def test_nothing_is_said_after_the_end() -> None:
    decode = decoder()
    stream = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
    events = list(decode.feed(stream + b"data: [DONE]\n\n" + stream))
    assert isinstance(events[-1], ChatResponse)
    assert events[-1].finish.reason == FinishReason.FINISH_REASON_STOP
    assert list(decode.feed(stream)) == []
    assert decode.close() == []


def test_an_end_without_a_reason_is_a_failure_of_kind_error() -> None:
    decode = decoder()
    list(decode.feed(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'))
    with pytest.raises(ProviderFailure) as caught:
        decode.close()
    assert caught.value.kind is FailureKind.ERROR
