"""How long a provider asks us to wait: Retry-After in every form that is met.

Seconds or an HTTP date by RFC 9110 section 10.2.3, and the millisecond header that OpenAI and Azure
send beside it, which is the finer of the two and therefore wins.
"""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import isfinite

_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)
_LONGEST_DATE = 64


def parse_retry_after(headers: Mapping[str, str], wall_s: float) -> float | None:
    """Seconds to wait from now, unclamped; None when absent, negative, past or not understood.

    `headers` finds lower-case names; `wall_s` is the wall clock, which only a date is compared to.
    """
    wait_ms = _parse_number(headers.get("retry-after-ms"))
    if wait_ms is not None:
        return wait_ms / 1000
    value = headers.get("retry-after")
    wait_s = _parse_number(value)
    return _parse_date(value, wall_s) if wait_s is None else wait_s


def _parse_number(value: str | None) -> float | None:
    """float() takes nan, inf, underscores and other scripts' digits: none of them means a wait."""
    if value is None or not _NUMBER.fullmatch(value.strip()):
        return None
    return float(value)


def _parse_date(value: str | None, wall_s: float) -> float | None:
    if value is None or len(value) > _LONGEST_DATE:
        return None
    try:
        date = parsedate_to_datetime(value)
        # An HTTP date is always GMT; without a zone Python would take the local one.
        wait_s = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - wall_s
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return wait_s if isfinite(wait_s) and wait_s > 0 else None
