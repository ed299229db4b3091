"""Which models may embed a request, in order, each with all the targets that serve it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.errors import GatewayError, Violation
from turnout_server.core.target import Target
from turnout_server.dispatch.embed_cache import Ask
from turnout_server.dispatch.embed_shards import is_too_long, window_of
from turnout_server.dispatch.vectors import FLOAT_BYTES

MAX_ANSWER_BYTES = 7 << 19
"""3.5 MiB: many callers' clients take no message above 4 MiB."""


@dataclass(frozen=True, slots=True)
class Family:
    """One model and its targets, first to last. Vectors of two models never mix in one answer."""

    model: str
    targets: tuple[Target, ...]

    @property
    def window_tokens(self) -> int:
        """The longest text that one of the targets takes."""
        return max(map(window_of, self.targets))


def families_of(targets: Sequence[Target]) -> list[Family]:
    """The targets by model, in the order in which the models come up first."""
    by_model: dict[str, list[Target]] = {}
    for target in targets:
        by_model.setdefault(target.model, []).append(target)
    return [Family(model, tuple(group)) for model, group in by_model.items()]


def offering(targets: Sequence[Target], ask: Ask) -> list[Target]:
    """Targets that make vectors of the length asked for; raises INVALID_REQUEST if none does."""
    wanted = ask.dimensions
    if not wanted:
        return list(targets)
    kept = [t for t in targets if wanted in (t.card.embedding_dimensions or (wanted,))]
    if kept:
        return kept
    offered = sorted({d for target in targets for d in target.card.embedding_dimensions})
    violation = Violation("dimensions", f"must be 0 or one of {', '.join(map(str, offered))}")
    raise GatewayError(
        ErrorReason.ERROR_REASON_INVALID_REQUEST,
        f"{violation.field}: {violation.description}",
        violations=[violation],
    )


def answerable(
    targets: Sequence[Target], ask: Ask, texts: Sequence[str], learned: Mapping[str, int]
) -> list[Target]:
    """Targets whose answer fits one message; raises TOO_LARGE, before anything is spent.

    `learned` are the lengths of vectors that targets without a card have been seen to make.
    """
    most = MAX_ANSWER_BYTES // (FLOAT_BYTES * len(texts))
    kept = [target for target in targets if dimensions_at(target, ask, learned) <= most]
    if kept:
        return kept
    raise too_large(len(texts), dimensions_at(targets[0], ask, learned))


def too_large(texts: int, dimensions: int) -> GatewayError:
    """The error for an answer that a caller's client might refuse to take."""
    most = MAX_ANSWER_BYTES // (FLOAT_BYTES * dimensions)
    return GatewayError(
        ErrorReason.ERROR_REASON_TOO_LARGE,
        f"{texts} vectors of {dimensions} dimensions are too large for one answer: use EmbedStream",
        violations=[Violation("texts", f"at most {most} of them fit one answer")],
    )


def dimensions_at(target: Target, ask: Ask, learned: Mapping[str, int]) -> int:
    """The length of the target's vectors for this request; 0 while nobody knows."""
    own = target.card.embedding_dimensions
    return ask.dimensions or (own[0] if own else learned.get(str(target), 0))


def wide_enough(targets: Sequence[Target], texts: Sequence[str]) -> list[Target]:
    """Targets that every text fits; raises CONTEXT_LENGTH_EXCEEDED naming each that fits none."""
    kept = [t for t in targets if not any(is_too_long(text, window_of(t)) for text in texts)]
    if kept:
        return kept
    widest = max(map(window_of, targets))
    raise GatewayError(
        ErrorReason.ERROR_REASON_CONTEXT_LENGTH_EXCEEDED,
        f"a text is longer than this model takes ({widest} tokens)",
        violations=[
            Violation(f"texts[{i}]", f"must fit {widest} tokens")
            for i, text in enumerate(texts)
            if is_too_long(text, widest)
        ],
    )
