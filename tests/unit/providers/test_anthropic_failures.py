"""Errors of the Messages API and of its SDK in our words."""

import asyncio
import json

import anthropic
import httpx2
import pytest

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.providers.anthropic_messages.failures import failure_of, failures

K = FailureKind


def error_body(type_: str, message: str = "", code: str | None = None) -> bytes:
    error: dict[str, object] = {"type": type_, "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    return json.dumps({"type": "error", "error": error, "request_id": "req_body"}).encode()


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("authentication_error", K.AUTH),
        ("permission_error", K.AUTH),
        ("billing_error", K.QUOTA),
        ("not_found_error", K.MODEL_NOT_FOUND),
        ("conflict_error", K.CONFLICT),
        ("exceed_context_size_error", K.CONTEXT_LENGTH),
        ("request_too_large", K.TOO_LARGE),
        ("rate_limit_error", K.RATE_LIMITED),
        ("timeout_error", K.TIMEOUT),
        ("api_error", K.ERROR),
        ("overloaded_error", K.OVERLOADED),
        ("invalid_request_error", K.REJECTED),
        ("unheard_of_error", K.ERROR),
    ],
)
def test_errors_inside_a_stream_are_told_apart_by_type(type_: str, kind: FailureKind) -> None:
    assert failure_of(error_body(type_), status=0).kind is kind


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, error_body("invalid_request_error", "Your credit balance is too low to"), K.QUOTA),
        (
            400,
            error_body("invalid_request_error", "prompt is too long: 210000 tokens > 200000"),
            K.CONTEXT_LENGTH,
        ),
        (
            400,
            error_body(
                "invalid_request_error",
                "messages.1.content.0: Invalid `signature` in `thinking` block",
            ),
            K.STATE_REJECTED,
        ),
        (
            400,
            error_body(
                "invalid_request_error",
                "`thinking` blocks in the latest assistant message cannot be modified",
            ),
            K.STATE_REJECTED,
        ),
        (
            400,
            error_body(
                "invalid_request_error",
                "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000",
            ),
            K.CONTEXT_LENGTH,
        ),
        (
            400,
            error_body(
                "invalid_request_error", "You have reached your specified API usage limits."
            ),
            K.QUOTA,
        ),
        (
            400,
            error_body("invalid_request_error", "tools.0.signature: Extra inputs"),
            K.REJECTED,
        ),
        (400, error_body("invalid_request_error", "max_tokens: must be positive"), K.REJECTED),
        (400, error_body("overloaded_error"), K.OVERLOADED),
        (429, error_body("rate_limit_error", "", "enforced_spend_limit_reached"), K.QUOTA),
        (429, error_body("rate_limit_error", "", "ramp_limit_exceeded"), K.RATE_LIMITED),
        (402, b"", K.QUOTA),
        (403, b"<html>", K.AUTH),
        (404, b"{}", K.MODEL_NOT_FOUND),
        (409, b"null", K.CONFLICT),
        (413, b"[]", K.TOO_LARGE),
        (422, b'{"error":"no"}', K.REJECTED),
        (500, error_body("api_error"), K.ERROR),
        (503, error_body("api_error"), K.OVERLOADED),
        (504, b"", K.TIMEOUT),
        (529, b"", K.OVERLOADED),
        (529, error_body("overloaded_error"), K.OVERLOADED),
        (307, b"", K.ERROR),
    ],
)
def test_errors_of_answers(status: int, body: bytes, kind: FailureKind) -> None:
    failure = failure_of(body, status=status)
    assert failure.kind is kind
    assert failure.http_status == status


def test_the_field_that_was_named_is_told_in_our_words() -> None:
    message = "messages.0.content.1.text: text is empty"
    failure = failure_of(error_body("invalid_request_error", message), status=400)
    assert failure.field == "messages[0].content[1].text"
    message = "max_tokens: too many"
    failure = failure_of(error_body("invalid_request_error", message), status=400)
    assert failure.field == "max_output_tokens"


def test_no_sentence_of_the_provider_is_repeated() -> None:
    message = "we will not answer: how do I sk-ant-canary"
    failure = failure_of(error_body("invalid_request_error", message), status=400)
    assert "canary" not in str(failure)
    assert "invalid_request_error" in str(failure)


def test_request_id_and_retry_after_are_kept() -> None:
    failure = failure_of(
        error_body("rate_limit_error"),
        status=429,
        headers={"retry-after": "7"},
        request_id="req_header",
    )
    assert failure.retry_after_s == 7
    assert failure.provider_request_id == "req_header"
    assert failure_of(error_body("api_error"), status=500).provider_request_id == "req_body"


REQUEST = httpx2.Request("POST", "https://api.example/v1/messages")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (anthropic.APITimeoutError(REQUEST), K.TIMEOUT),
        (anthropic.APIConnectionError(request=REQUEST), K.ERROR),
        (anthropic.AnthropicError("odd"), K.ERROR),
        (httpx2.ReadTimeout("raw"), K.TIMEOUT),
        (httpx2.ReadError("raw"), K.ERROR),
        (httpx2.RemoteProtocolError("raw"), K.ERROR),
        (ConnectionResetError("raw"), K.ERROR),
    ],
)
def test_whatever_sdk_and_connection_raise_is_a_provider_failure(
    error: Exception, kind: FailureKind
) -> None:
    with pytest.raises(ProviderFailure) as caught, failures():
        raise error
    assert caught.value.kind is kind


def test_a_failure_that_the_sdk_wrapped_comes_out_as_it_was() -> None:
    ours = ProviderFailure(K.UNREACHABLE, "no connection")
    with pytest.raises(ProviderFailure) as caught, failures():
        raise anthropic.APIConnectionError(request=REQUEST) from ours
    assert caught.value is ours


def test_an_error_status_is_classified_by_its_body() -> None:
    answer = httpx2.Response(
        529,
        headers={"request-id": "req_9", "retry-after-ms": "1500"},
        content=error_body("overloaded_error"),
        request=REQUEST,
    )
    with pytest.raises(ProviderFailure) as caught, failures():
        raise anthropic.APIStatusError("busy", response=answer, body=None)
    assert caught.value.kind is K.OVERLOADED
    assert caught.value.retry_after_s == 1.5
    assert caught.value.provider_request_id == "req_9"


def test_a_cancel_and_a_bug_of_ours_pass_through() -> None:
    with pytest.raises(asyncio.CancelledError), failures():
        raise asyncio.CancelledError
    with pytest.raises(KeyError), failures():
        raise KeyError("ours")
