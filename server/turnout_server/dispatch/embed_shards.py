"""How texts become upstream calls: estimates of their size, limits of a call, and the cut."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from turnout_server.core.target import Target
from turnout_server.dispatch.vectors import FLOAT_BYTES
from turnout_server.policy.needs import BYTES_PER_TOKEN

T = TypeVar("T")
MAX_TEXTS = 2048
MAX_TEXT_TOKENS = 8192
MAX_SHARD_TOKENS = 300_000
"""OpenAI's limits of one call, taken for every provider that has not told its own."""
USUAL_DIMENSIONS = 1536
_DENSE_BYTES_PER_TOKEN = 2


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """The most that one upstream call may hold: texts, and tokens in all."""

    texts: int = MAX_TEXTS
    tokens: int = MAX_SHARD_TOKENS


def limits_at(
    targets: Iterable[Target], dimensions: int = 0, answer_bytes: int | None = None
) -> ShardLimits:
    """Limits that suit every target; with `answer_bytes` the vectors that come back fit it."""
    texts = min((_max_texts(target) for target in targets), default=MAX_TEXTS)
    if answer_bytes is not None:
        vector_bytes = (dimensions or USUAL_DIMENSIONS) * FLOAT_BYTES
        texts = min(texts, max(1, answer_bytes // vector_bytes))
    return ShardLimits(texts)


def _max_texts(target: Target) -> int:
    """The model's limit or the catalogue row's, whichever is met first."""
    row_limit = target.endpoint.options.get("embed_batch")
    at_row = row_limit if isinstance(row_limit, int) else MAX_TEXTS
    return max(1, min(target.card.max_embed_inputs or MAX_TEXTS, at_row))


def size_bytes(text: str) -> int:
    """The text's length in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def tokens_of(text: str) -> int:
    """A rough count, at least 1; real ones come from the provider's usage."""
    return max(1, size_bytes(text) // BYTES_PER_TOKEN)


def tokens_at_most(text: str) -> int:
    """A cautious count for the cut: scripts beyond ASCII may take a token for every two bytes."""
    if text.isascii():
        return len(text) // BYTES_PER_TOKEN + 1
    return len(text.encode()) // _DENSE_BYTES_PER_TOKEN + 1


def is_too_long(text: str, window_tokens: int) -> bool:
    """Whether the text surely passes a model's window: the count is rough, so half of it counts."""
    # No character has more than four bytes, so most texts are settled without counting.
    return len(text) > 2 * window_tokens and tokens_of(text) // 2 > window_tokens


def window_of(target: Target) -> int:
    """The longest text the target takes, in tokens."""
    return target.card.context_window or MAX_TEXT_TOKENS


def split(texts: Sequence[str], limits: ShardLimits) -> Iterator[list[str]]:
    """Cut texts into shards within the limits, in order; a text that passes them stands alone."""
    gathering = Gathering(limits, size=tokens_at_most)
    for text in texts:
        full = gathering.add(text)
        if full:
            yield full
    if rest := gathering.take():
        yield rest


class Gathering(Generic[T]):
    """A shard that grows text by text until the next one would not fit."""

    def __init__(self, limits: ShardLimits, size: Callable[[T], int]) -> None:
        self.limits = limits
        self._size = size
        self._tokens = 0
        self._held: list[T] = []

    def __len__(self) -> int:
        return len(self._held)

    def add(self, one: T) -> list[T]:
        """Add one; returns the shard that is full by it, without it, or else nothing."""
        tokens = self._size(one)
        fits = len(self._held) < self.limits.texts and self._tokens + tokens <= self.limits.tokens
        full = [] if fits or not self._held else self.take()
        self._held.append(one)
        self._tokens += tokens
        return full

    def take(self) -> list[T]:
        """What has gathered; begins anew."""
        held, self._held, self._tokens = self._held, [], 0
        return held
