"""The deterministic text every script speaks, so that a test can verify what was assembled.

Each token carries its own number, so a lost, doubled or reordered token changes the text, and
most carry characters of two to four bytes, so a split inside a character shows as well.
"""

_GLYPHS = ("é", "漢字", "🙂", "ß\n", "Ω", "👩‍🚀", "x")


def answer(token_count: int) -> list[str]:
    """The first `token_count` tokens of the text; a shorter answer is a prefix of a longer one."""
    return [
        f"{' ' if number else ''}{number}{_GLYPHS[number % len(_GLYPHS)]}"
        for number in range(token_count)
    ]


def continuation(token_count: int, prefill: str, *, overlap_chars: int = 0) -> list[str]:
    """What follows `prefill` in `answer(token_count)`, repeating the prefill's last characters.

    A prefill which does not begin that text is answered from the start, as a model that ignores
    it would. The first token may be the rest of one that the prefill cut in two.
    """
    tokens = answer(token_count)
    if not "".join(tokens).startswith(prefill):
        return tokens
    skip_chars = max(0, len(prefill) - overlap_chars)
    following: list[str] = []
    for token in tokens:
        if len(token) > skip_chars:
            following.append(token[skip_chars:])
        skip_chars = max(0, skip_chars - len(token))
    return following
