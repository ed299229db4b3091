from hypothesis import given
from hypothesis import strategies as st

from tests.fault.upstream import answer, continuation


def test_a_shorter_answer_is_a_prefix_of_a_longer_one() -> None:
    assert answer(20)[:7] == answer(7)
    assert len(set(answer(50))) == 50


def test_tokens_hold_characters_of_one_to_four_bytes() -> None:
    sizes = {len(character.encode()) for token in answer(7) for character in token}
    assert sizes == {1, 2, 3, 4}


@given(tokens=st.integers(0, 30), at=st.integers(0, 300), overlap=st.integers(0, 40))
def test_a_continuation_is_the_rest_after_any_prefill(tokens: int, at: int, overlap: int) -> None:
    whole = "".join(answer(tokens))
    prefill = whole[:at]
    rest = "".join(continuation(tokens, prefill, overlap_chars=overlap))
    assert rest == whole[max(0, len(prefill) - overlap) :]


def test_a_prefill_of_another_text_is_answered_from_the_start() -> None:
    assert continuation(5, "Once upon a time") == answer(5)
