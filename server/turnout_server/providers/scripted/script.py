"""The language of scripts: steps joined by `|`, each a verb with its arguments.

    say:TEXT              one piece of text                 tokens:N@MS   N words, MS apart
    think:TEXT            one piece of thinking             pad:N         one piece of N characters
    call:NAME:JSON        a tool call                       wait:MS       silence
    fail:KIND[:SECONDS]   a ProviderFailure (Retry-After)   hang          silence without end
    flaky:N:KIND[:SECONDS]  fails the first N calls         cut           an end without `finish`
    refuse:TEXT:KIND      fails to embed TEXT               finish:REASON how the answer ends (STOP)

For example `tokens:20@10|fail:OVERLOADED`: a stream that breaks after twenty words.
"""

from dataclasses import dataclass

from turnout_server.core.failure import FailureKind, ProviderFailure

VERBS = frozenset(
    "say think call tokens pad wait hang fail flaky refuse cut finish".split()  # noqa: SIM905  as words
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a script."""

    verb: str
    arguments: tuple[str, ...]


def read_script(model: str) -> list[Step]:
    """The steps that a model's name stands for; a plain name says itself."""
    steps = [_step(part) for part in model.split("|")]
    if any(step is None for step in steps):
        return [Step("say", (model,))]
    return [step for step in steps if step is not None]


def words(count: int) -> list[str]:
    """The text of `tokens:N`, word by word: always the same, some of it beyond ASCII."""
    return [f"{_WORDS[i % len(_WORDS)]}{i} " for i in range(count)]


def failure(kind: str, retry_after_s: str = "") -> ProviderFailure:
    """The failure a script asks for."""
    return ProviderFailure(
        FailureKind[kind],
        "scripted failure",
        retry_after_s=float(retry_after_s) if retry_after_s else None,
    )


def _step(part: str) -> Step | None:
    verb, _, rest = part.partition(":")
    if verb not in VERBS:
        return None
    if verb in ("say", "think"):
        return Step(verb, (rest,))
    if verb == "call":
        name, _, arguments_json = rest.partition(":")
        return Step(verb, (name, arguments_json))
    if verb == "tokens":
        count, _, gap_ms = rest.partition("@")
        return Step(verb, (count, gap_ms or "0"))
    return Step(verb, tuple(rest.split(":")) if rest else ())


_WORDS = ("rail", "señal", "switch", "路", "signal", "vía", "train", "🚂")
