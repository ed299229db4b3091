"""What may be repeated of a text that others wrote: one line, short, without a credential."""

import re

MAX_REDACTED_BYTES = 160

_SECRET = re.compile(
    r"""
      (?i:bearer|basic|key|token)[\s:=]+[^\s"',;]{6,}        # a credential behind its name
    | \b(?:sk|pk|rk|gsk|xai|hf|pplx|nvapi|ghp|key|AIza|AKIA)[-_]?[A-Za-z0-9_\-*.]{6,}
    | \beyJ[\w-]+\.[\w-]+\.[\w-]*                            # a JSON web token
    | (?<![\w+/=-])                                         # once per word: else quadratic
      (?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Za-z])[\w+/=-]{24,}      # anything long that looks random
    """,
    re.VERBOSE,
)


def redacted(text: str, *, limit_bytes: int = MAX_REDACTED_BYTES) -> str:
    """`text` on one line, without anything that looks like a credential, cut to a size in UTF-8."""
    line = " ".join(_SECRET.sub("[redacted]", text[: 8 * limit_bytes]).split())
    line = "".join(char for char in line if char.isprintable())
    return line.encode("utf-8", "replace")[:limit_bytes].decode("utf-8", "ignore")
