"""What may be said of an upstream's error: words, never a secret, never a caller's text."""

import re

MAX_DETAIL_BYTES = 160

_SECRET = re.compile(
    r"""
      (?i:bearer|basic|key|token)[\s:=]+[^\s"',;]{6,}        # a credential behind its name
    | \b(?:sk|pk|rk|gsk|xai|hf|pplx|nvapi|ghp|key|AIza|AKIA)[-_]?[A-Za-z0-9_\-*.]{6,}
    | \beyJ[\w-]+\.[\w-]+\.[\w-]*                            # a JSON web token
    | (?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Za-z])[\w+/=-]{24,}      # anything long that looks random
    """,
    re.VERBOSE,
)
_WORD = re.compile(r"[A-Za-z0-9_.:/\[\]-]{1,64}")


def redacted(text: str, *, limit_bytes: int = MAX_DETAIL_BYTES) -> str:
    """`text` on one line, without anything that looks like a credential, cut to a size in UTF-8."""
    line = " ".join(_SECRET.sub("[redacted]", text[: 8 * limit_bytes]).split())
    line = "".join(char for char in line if char.isprintable())
    return line.encode("utf-8", "replace")[:limit_bytes].decode("utf-8", "ignore")


def error_words(*words: object) -> str:
    """The code, type and parameter that name an error, joined; a sentence is left out.

    A provider's message may quote the prompt that it refused, and nothing tells which part of it
    does: only single words are repeated.
    """
    kept = [str(word) for word in words if isinstance(word, str | int) and word is not True]
    return redacted(" ".join(dict.fromkeys(word for word in kept if _WORD.fullmatch(word))))
