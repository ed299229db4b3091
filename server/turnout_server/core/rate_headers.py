"""What a provider's rate headers say of the calls to come.

OpenAI's family sends `x-ratelimit-{remaining,reset}-{requests,tokens}` with resets such as `6m0s`
or `120ms`; Anthropic sends `anthropic-ratelimit-{requests,tokens,…}-{remaining,reset}` with dates.
"""

import re
from collections.abc import Mapping
from datetime import datetime

_DURATION = re.compile(
    r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9})ms)?\Z"
)
_OPENAI = tuple(
    (f"x-ratelimit-remaining-{kind}", f"x-ratelimit-reset-{kind}")
    for kind in ("requests", "tokens")
)
_ANTHROPIC = tuple(
    (f"anthropic-ratelimit-{kind}-remaining", f"anthropic-ratelimit-{kind}-reset")
    for kind in ("requests", "tokens", "input-tokens", "output-tokens")
)


def parse_rest(headers: Mapping[str, str], wall_s: float) -> float | None:
    """Seconds until the key may be used again, where the headers say that nothing is left of it.

    None while something is left, or where nothing is said. `headers` finds lower-case names;
    `wall_s` is the wall clock, which only a date is compared to. Unclamped.
    """
    rests = [
        rest_s
        for left, reset in (*_OPENAI, *_ANTHROPIC)
        if headers.get(left) == "0" and (rest_s := _seconds(headers.get(reset, ""), wall_s)) > 0
    ]
    return max(rests, default=None)


def _seconds(value: str, wall_s: float) -> float:
    value = value.strip()[:64]
    duration = _DURATION.match(value)
    if duration and value:
        hours, minutes, seconds, milliseconds = (float(part or 0) for part in duration.groups())
        return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    try:
        return datetime.fromisoformat(value).timestamp() - wall_s
    except (ValueError, OverflowError):
        return 0.0
