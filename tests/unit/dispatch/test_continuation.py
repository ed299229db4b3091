"""Going on with another target's text: no letter twice, none lost."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from turnout.v1.chat_service_pb2 import ChatRequest, ResponseFormat
from turnout.v1.content_pb2 import ROLE_ASSISTANT

from turnout_server.dispatch.continuation import (
    MAX_OVERLAP_CHARS,
    MIN_OVERLAP_CHARS,
    Overlap,
    continued,
    may_continue,
)

WHOLE = "".join(f"word{i} señal{i}\n" for i in range(90))


def fed(overlap: Overlap, text: str, cuts: list[int]) -> str:
    """The text in pieces, and what came out of it."""
    bounds = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    pieces = [text[a:b] for a, b in pairwise(bounds)]
    return "".join(overlap.feed(piece) for piece in pieces) + overlap.rest()


@given(
    cut=st.integers(1, len(WHOLE) - 1),
    repeated=st.integers(MIN_OVERLAP_CHARS, MAX_OVERLAP_CHARS) | st.just(0),
    cuts=st.lists(st.integers(0, 5000), max_size=12),
)
def test_assembled_text_is_the_whole_one(cut: int, repeated: int, cuts: list[int]) -> None:
    delivered = WHOLE[:cut]
    prefill = delivered.rstrip()
    start = len(prefill) - (repeated if repeated <= len(prefill) else 0)
    assert delivered + fed(Overlap(delivered), WHOLE[start:], cuts) == WHOLE


def test_text_that_repeats_nothing_is_not_held_back() -> None:
    overlap = Overlap("The capital of France is")
    assert overlap.feed(" Paris") == " Paris"
    assert overlap.feed(" is") == " is"


def test_short_repetition_is_taken_for_meant() -> None:
    assert fed(Overlap("ha"), "ha ha", []) == "ha ha"


def test_request_goes_on_with_the_text_without_trailing_blanks() -> None:
    asked = continued(ChatRequest(model="m"), "Dear Sir, \n")
    assert (asked.messages[-1].role, asked.messages[-1].text) == (ROLE_ASSISTANT, "Dear Sir,")


def test_formats_are_not_continued() -> None:
    json_object = ResponseFormat(kind=ResponseFormat.KIND_JSON_OBJECT)
    assert not may_continue(ChatRequest(response_format=json_object))
    assert may_continue(ChatRequest())
