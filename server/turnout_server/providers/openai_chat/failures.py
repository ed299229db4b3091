"""From this wire's errors to ours: by code and type first, then by status, then by a few phrases.

failures()        every exception of SDK and transport leaves it as ProviderFailure
stated_failure()  an error that the answer itself states, in a stream or under status 200
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import aiohttp
import httpx2
import msgspec
import openai

from turnout_server.core.clock import SYSTEM_CLOCK
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.retry_after import parse_retry_after
from turnout_server.providers.json_text import read_json
from turnout_server.providers.redact import error_words
from turnout_server.providers.upstream import failure_within, status_kind

_K = FailureKind

_KINDS_BY_WORD: dict[str, FailureKind] = {
    "context_length_exceeded": _K.CONTEXT_LENGTH,
    "exceed_context_size_error": _K.CONTEXT_LENGTH,
    "string_above_max_length": _K.TOO_LARGE,
    "insufficient_quota": _K.QUOTA,
    "billing_hard_limit_reached": _K.QUOTA,
    "billing_not_active": _K.QUOTA,
    "insufficient_balance": _K.QUOTA,
    "content_policy_violation": _K.PROMPT_BLOCKED,
    "content_filter": _K.PROMPT_BLOCKED,
    "data_inspection_failed": _K.PROMPT_BLOCKED,
    "invalid_prompt": _K.PROMPT_BLOCKED,
    "model_not_found": _K.MODEL_NOT_FOUND,
    "model_decommissioned": _K.MODEL_NOT_FOUND,
    "deploymentnotfound": _K.MODEL_NOT_FOUND,
    "unsupported_parameter": _K.CAPABILITY,
    "unsupported_value": _K.CAPABILITY,
}
"""Words that say more than the status they come under."""

_KINDS_BY_PHRASE: tuple[tuple[re.Pattern[str], FailureKind, frozenset[int]], ...] = (
    (
        re.compile(
            r"context (length|window|size)|maximum (context|prompt) length"
            r"|(prompt|input) is too long|too many (input )?tokens"
        ),
        _K.CONTEXT_LENGTH,
        frozenset({0, 400, 413, 422}),
    ),
    (
        re.compile(
            r"insufficient (balance|credit|fund|quota)|exceeded your current quota|credit balance"
        ),
        _K.QUOTA,
        frozenset({0, 400, 403, 429}),
    ),
    (
        re.compile(r"content (policy|management policy)|content exists risk"),
        _K.PROMPT_BLOCKED,
        frozenset({0, 400, 403}),
    ),
)
"""For providers that give a sentence and no code, each under the statuses that fit it."""

_KINDS_IN_STREAM: dict[str, FailureKind] = {
    "authentication_error": _K.AUTH,
    "invalid_api_key": _K.AUTH,
    "permission_error": _K.AUTH,
    "not_found_error": _K.MODEL_NOT_FOUND,
    "invalid_request_error": _K.REJECTED,
    "rate_limit_error": _K.RATE_LIMITED,
    "rate_limit_exceeded": _K.RATE_LIMITED,
    "too_many_requests": _K.RATE_LIMITED,
    "overloaded": _K.OVERLOADED,
    "overloaded_error": _K.OVERLOADED,
    "server_overloaded": _K.OVERLOADED,
    "engine_overloaded_error": _K.OVERLOADED,
    "service_unavailable": _K.OVERLOADED,
    "timeout": _K.TIMEOUT,
    "timeout_error": _K.TIMEOUT,
}
"""What stands for the status in an error that comes without one."""

_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid")
_ANYTHING = msgspec.json.Decoder()
_FIELD = re.compile(r"[A-Za-z0-9_.\[\]]{1,64}")


@contextmanager
def failures() -> Iterator[None]:
    """Turn whatever SDK or transport raise inside into ProviderFailure; cancellation passes."""
    try:
        yield
    except ProviderFailure:
        raise
    except openai.APIStatusError as error:
        raise answered_failure(error.response, error.body) from None
    except (openai.OpenAIError, httpx2.HTTPError, aiohttp.ClientError, OSError) as error:
        failure = failure_within(error)
        raise failure or ProviderFailure(
            _K.ERROR, f"the call broke: {type(error).__name__}"
        ) from None


def answered_failure(response: httpx2.Response, body: object) -> ProviderFailure:
    """The failure that an answer of 300 or above is; `body` is its JSON or its text."""
    return _failure(
        _error_object(body),
        status=response.status_code,
        retry_after_s=parse_retry_after(response.headers, SYSTEM_CLOCK.wall()),
        request_id=request_id_of(response.headers),
    )


def stated_failure(data: bytes) -> ProviderFailure:
    """The failure that an error object of the answer is, mapped as its HTTP twin would be."""
    return _failure(_error_object(_json(data)), status=0)


def states_error(data: bytes) -> bool:
    """Whether a JSON text is an object with an `error` in it."""
    body = _json(data)
    return isinstance(body, dict) and bool(body.get("error"))


def request_id_of(headers: Mapping[str, str]) -> str:
    """The provider's own id of a request, by whichever header it uses; cut to 128 characters."""
    found = next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), "")
    return found[:128]


def _json(data: bytes) -> object:
    try:
        return read_json(data, _ANYTHING)
    except ProviderFailure:
        return None


def _failure(
    error: Mapping[str, Any],
    *,
    status: int,
    retry_after_s: float | None = None,
    request_id: str = "",
) -> ProviderFailure:
    code, kind, param = error.get("code"), error.get("type"), error.get("param")
    field = param if isinstance(param, str) and _FIELD.fullmatch(param) else ""
    return ProviderFailure(
        _classify(error, status),
        error_words(code, kind, field) or ("an error in the answer" if not status else ""),
        http_status=status or _status_in(code),
        retry_after_s=retry_after_s,
        provider_request_id=request_id,
        field=field,
    )


def _classify(error: Mapping[str, Any], status: int) -> FailureKind:
    words = [str(error.get(key, "")).lower() for key in ("code", "type")]
    for word in words:
        if kind := _KINDS_BY_WORD.get(word):
            return kind
    message = str(error.get("message", "")).lower()
    for phrase, phrase_kind, statuses in _KINDS_BY_PHRASE:
        if status in statuses and phrase.search(message):
            return phrase_kind
    if status or (status := _status_in(error.get("code"))):
        return status_kind(status)
    return next((_KINDS_IN_STREAM[word] for word in words if word in _KINDS_IN_STREAM), _K.ERROR)


def _status_in(code: object) -> int:
    """A status given as the code, as OpenRouter, vLLM and llama.cpp do; 0 when it is none."""
    text = str(code)
    return int(text) if re.fullmatch(r"[45]\d\d", text) else 0


def _error_object(body: object) -> Mapping[str, Any]:
    """The object with code, type and message, wherever the provider puts it."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return {}
    inner = body.get("error", body)
    if isinstance(inner, str):
        return {**body, "message": inner}
    return inner if isinstance(inner, dict) else {}
