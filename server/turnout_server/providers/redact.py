"""What may be said of an upstream's error: words, never a secret, never a caller's text."""

import re

from turnout_server.core.redact import redacted

_WORD = re.compile(r"[A-Za-z0-9_.:/\[\]-]{1,64}")


def error_words(*words: object) -> str:
    """The code, type and parameter that name an error, joined; a sentence is left out.

    A provider's message may quote the prompt that it refused, and nothing tells which part of it
    does: only single words are repeated.
    """
    kept = [str(word) for word in words if isinstance(word, str | int) and word is not True]
    return redacted(" ".join(dict.fromkeys(word for word in kept if _WORD.fullmatch(word))))
