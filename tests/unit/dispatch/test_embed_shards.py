from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dispatch.embed_setup import target
from turnout_server.dispatch.embed_shards import (
    MAX_TEXTS,
    ShardLimits,
    is_too_long,
    limits_at,
    size_bytes,
    split,
    tokens_at_most,
    tokens_of,
)

texts = st.lists(st.text(min_size=1, max_size=40), max_size=60)
limits = st.builds(ShardLimits, texts=st.integers(1, 9), tokens=st.integers(1, 60))


@given(texts, limits)
def test_every_text_is_in_one_shard_in_order_and_within_the_limits(
    texts: list[str], limits: ShardLimits
) -> None:
    shards = list(split(texts, limits))
    assert [text for shard in shards for text in shard] == texts
    for shard in shards:
        assert 1 <= len(shard) <= limits.texts
        assert len(shard) == 1 or sum(map(tokens_at_most, shard)) <= limits.tokens


@given(texts, limits)
def test_no_shard_could_have_taken_the_next_text(texts: list[str], limits: ShardLimits) -> None:
    shards = list(split(texts, limits))
    for shard, after in pairwise(shards):
        more = [*shard, after[0]]
        assert len(more) > limits.texts or sum(map(tokens_at_most, more)) > limits.tokens


@given(st.text(max_size=300))
def test_sizes_are_those_of_utf8_and_the_cautious_count_is_never_below_the_rough(
    text: str,
) -> None:
    assert size_bytes(text) == len(text.encode())
    assert tokens_at_most(text) >= tokens_of(text)


@given(st.text(max_size=300), st.integers(1, 40))
def test_a_text_is_too_long_when_half_its_estimate_passes_the_window(
    text: str, window_tokens: int
) -> None:
    assert is_too_long(text, window_tokens) == (tokens_of(text) // 2 > window_tokens)


def test_limits_are_the_least_of_every_target_and_row() -> None:
    assert limits_at([target()]).texts == MAX_TEXTS
    assert limits_at([target(max_embed_inputs=256), target()]).texts == 256
    assert limits_at([target(options={"embed_batch": 64}, max_embed_inputs=256)]).texts == 64
    assert limits_at([target()], 1024, answer_bytes=1 << 20).texts == 256
    assert limits_at([target()], 1 << 20, answer_bytes=1 << 20).texts == 1
