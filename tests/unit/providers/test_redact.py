"""What an upstream's error may leave in our logs and in what callers are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout_server.core.redact import MAX_REDACTED_BYTES, redacted
from turnout_server.providers.redact import error_words


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcDEF0123456789",
        "sk-ant-api03-AbCdEf-0123456789",
        "gsk_0123456789abcdefABCDEF",
        "xai-0123456789abcdef",
        "AIzaSyA0123456789abcdefghijklmnopqrstuv",
        "AKIAIOSFODNN7EXAMPLE",
        "Bearer abcdefghij",
        "api_key=hunter2hunter2",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "0123456789abcdef0123456789abcdef",
    ],
)
def test_nothing_like_a_key_is_left(secret: str) -> None:
    assert redacted(f"Incorrect API key provided: {secret}. Try again.").count("[redacted]") >= 1
    bare = secret.rsplit("=", maxsplit=1)[-1].removeprefix("Bearer ")
    assert bare not in redacted(f"oops {secret} oops")


def test_ordinary_words_are_left() -> None:
    text = "context_length_exceeded invalid_request_error messages[0].content"
    assert redacted(text) == text


@given(st.text())
def test_a_detail_is_one_short_printable_line(text: str) -> None:
    line = redacted(text)
    assert len(line.encode()) <= MAX_REDACTED_BYTES
    assert line.isprintable()


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("context_length_exceeded", "invalid_request_error"), None),
        (("server_error", None, ""), "server_error"),
        ((429, "server_error", "server_error"), "429 server_error"),
        (("my name is Ann", "BadRequestError"), "BadRequestError"),
        (("line\nbreak", {"a": 1}, True), ""),
    ],
)
def test_only_single_words_of_an_error_are_repeated(
    words: tuple[object, ...], shown: str | None
) -> None:
    assert error_words(*words) == (shown if shown is not None else " ".join(map(str, words)))
