"""Rows 14 and 17 of the fault catalogue: Retry-After in all its forms."""

from email.utils import formatdate
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout_server.core.retry_after import parse_retry_after

WALL_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "999999"}, 999_999.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({"retry-after": formatdate(WALL_S + 42, usegmt=True)}, 42.0),
        ({"retry-after": formatdate(WALL_S + 42).replace("-0000", "")}, 42.0),
        ({"retry-after": formatdate(WALL_S - 42, usegmt=True)}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "1_000"}, None),
        ({"retry-after": "\u0661\u0662"}, None),
        ({"retry-after": "9" * 5000}, None),
        ({"retry-after": "Fri, 31 Dec 999999 23:59:59 GMT"}, None),
    ],
)
def test_every_form_is_understood_or_taken_for_missing(
    headers: dict[str, str], wait_s: float | None
) -> None:
    assert parse_retry_after(headers, WALL_S) == wait_s


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text()))
def test_no_text_raises_or_gives_a_wait_that_is_no_wait(headers: dict[str, str]) -> None:
    wait_s = parse_retry_after(headers, WALL_S)
    assert wait_s is None or (isfinite(wait_s) and wait_s >= 0)


@given(
    st.from_regex(
        r"(Mon, )?[0-9]{1,3} (Jan|Feb|Foo) [0-9]{1,6} [0-9]{1,3}:[0-9]{1,3}(:[0-9]{1,3})? "
        r"(GMT|[+-][0-9]{1,9})?",
        fullmatch=True,
    )
)
def test_no_date_raises(date: str) -> None:
    wait_s = parse_retry_after({"retry-after": date}, WALL_S)
    assert wait_s is None or (isfinite(wait_s) and wait_s > 0)
