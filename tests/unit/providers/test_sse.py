"""Server-sent events out of bytes: the standard's rules, and no cut that matters (fact A9)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from turnout_server.core.failure import ProviderFailure
from turnout_server.providers.sse import MAX_EVENT_BYTES, SseDecoder, SseEvent

LINES = st.sampled_from(
    [
        b"data: a",
        b"data:b",
        b"data:  two blanks",
        b"data",
        b"data:",
        b"event: error",
        b"event:ping",
        b"event",
        b": a comment",
        b"id: 1",
        b"retry: 5",
        b"unknown: field",
        b"data: \xf0\x9f\x8c\x8d",
        b"",
        b"",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
STREAMS = st.lists(st.tuples(LINES, ENDS)).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


def whole(stream: bytes) -> list[SseEvent]:
    return SseDecoder().feed(stream)


def in_pieces(stream: bytes, cuts: list[int]) -> list[SseEvent]:
    decoder = SseDecoder()
    at = 0
    events: list[SseEvent] = []
    for cut in [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]:
        events += decoder.feed(stream[at:cut])
        at = cut
    return events


def by_the_standard(stream: bytes) -> list[SseEvent]:
    """The standard's algorithm read aloud, over the whole text at once."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *lines, _unfinished = text.split(b"\n")
    events, name, data = [], b"", []
    for line in lines:
        if not line:
            if data:
                events.append(SseEvent(name, b"\n".join(data)))
            name, data = b"", []
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return events


@given(STREAMS, st.lists(st.integers(0, 500)))
@example(b"data: a\r\r\n\ndata: b\n\n", [8, 9, 10])
@example(b"\xef\xbb\xbfdata: a\n\n", [1, 2])
def test_no_cut_changes_the_events(stream: bytes, cuts: list[int]) -> None:
    assert in_pieces(stream, cuts) == whole(stream) == by_the_standard(stream)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_any_bytes_are_read_the_same_in_any_pieces(stream: bytes, cuts: list[int]) -> None:
    assert in_pieces(stream, cuts) == whole(stream) == by_the_standard(stream)


@given(STREAMS)
def test_byte_by_byte_is_the_same(stream: bytes) -> None:
    assert in_pieces(stream, list(range(len(stream)))) == whole(stream)


def test_an_event_that_the_stream_ends_inside_is_not_given() -> None:
    assert whole(b"data: a\n\ndata: b\n") == [SseEvent(b"", b"a")]


def test_lines_of_data_are_joined() -> None:
    assert whole(b"event: e\ndata: a\ndata: b\n\n") == [SseEvent(b"e", b"a\nb")]


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(b"data: " + b"x" * MAX_EVENT_BYTES, id="line-without-end"),
        pytest.param(b"data: " + b"x" * MAX_EVENT_BYTES + b"\n", id="line"),
        pytest.param((b"data: " + b"x" * 1000 + b"\n") * 1100, id="lines-of-one-event"),
    ],
)
def test_an_event_over_the_cap_is_refused(read: bytes) -> None:
    with pytest.raises(ProviderFailure):
        whole(read)


def test_a_line_over_the_cap_is_refused_however_it_comes() -> None:
    decoder = SseDecoder()
    for _ in range(MAX_EVENT_BYTES // 1024):
        decoder.feed(b"x" * 1024)
    with pytest.raises(ProviderFailure):
        decoder.feed(b"x")
