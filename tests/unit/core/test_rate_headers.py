"""What rate headers say of the calls to come, and that no header can break us."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout_server.core.rate_headers import parse_rest

WALL_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("reset", "rest_s"),
    [("1s", 1.0), ("6m0s", 360.0), ("120ms", 0.12), ("1h2m3.5s", 3723.5), ("7.66s", 7.66)],
)
def test_nothing_left_means_rest_until_the_reset(reset: str, rest_s: float) -> None:
    headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": reset}
    assert parse_rest(headers, WALL_S) == pytest.approx(rest_s)


def test_the_longest_reset_counts() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "2s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "9s",
    }
    assert parse_rest(headers, WALL_S) == 9.0


def test_dates_are_compared_to_the_clock() -> None:
    headers = {
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:30Z",
    }
    assert parse_rest(headers, WALL_S) == 30.0


def test_while_something_is_left_nobody_rests() -> None:
    headers = {"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "9s"}
    assert parse_rest(headers, WALL_S) is None


@given(st.text(max_size=80))
def test_no_value_breaks_it(value: str) -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": value}
    rest_s = parse_rest(headers, WALL_S)
    assert rest_s is None or rest_s > 0
