"""Everything that can go wrong upstream on this wire, as ProviderFailure.

Errors are told apart by `error.type`, not by status: an error inside a stream has status 200, and
spent credit arrives as 400. The status decides only where an answer names no type that we know.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import anthropic
import httpx2
import msgspec

from turnout_server.core.clock import SYSTEM_CLOCK, Clock
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.retry_after import parse_retry_after
from turnout_server.providers.redact import error_words
from turnout_server.providers.upstream import failure_within, status_kind

_K = FailureKind

_BY_CODE = {
    "contract_spend_limit_reached": _K.QUOTA,
    "enforced_spend_limit_reached": _K.QUOTA,
    "linked_organization_billing_unavailable": _K.QUOTA,
    "linked_organization_spend_limit_reached": _K.QUOTA,
    "organization_on_hold": _K.AUTH,
    "request_body_too_large_after_decoding": _K.TOO_LARGE,
}
_BY_TYPE = {
    "authentication_error": _K.AUTH,
    "permission_error": _K.AUTH,
    "billing_error": _K.QUOTA,
    "not_found_error": _K.MODEL_NOT_FOUND,
    "conflict_error": _K.CONFLICT,
    "exceed_context_size_error": _K.CONTEXT_LENGTH,  # llama.cpp's
    "request_too_large": _K.TOO_LARGE,
    "rate_limit_error": _K.RATE_LIMITED,
    "timeout_error": _K.TIMEOUT,
    "overloaded_error": _K.OVERLOADED,
}
# The API gives these causes no type or code of their own: only their wording tells them apart.
_BY_WORDING = tuple(
    (re.compile(wording, re.IGNORECASE), kind)
    for wording, kind in (
        (r"credit balance is too low|reached your .*\busage limits", _K.QUOTA),
        (r"prompt is too long|exceeds? .*\bcontext (limit|window|length)", _K.CONTEXT_LENGTH),
        (r"\bsignature\b.*\bthinking\b|thinking.* cannot be modified", _K.STATE_REJECTED),
        (r"blocked (by|under) .*(content filter|usage policy)", _K.PROMPT_BLOCKED),
    )
)
# An error's message begins with the path of the field, where one is at fault.
_FIELD = re.compile(r"([a-z_]+(?:\.[a-z0-9_]+)*): ")
_OUR_FIELDS = {"max_tokens": "max_output_tokens", "output_config": "response_format"}


class WireError(msgspec.Struct):
    """What went wrong, in the API's words."""

    type: str | None = None
    message: str | None = None
    details: dict[str, object] | None = None


class _Envelope(msgspec.Struct):
    error: WireError | str | None = None
    request_id: str | None = None


_decoder = msgspec.json.Decoder(_Envelope)


def failure_of(
    body: bytes | msgspec.Raw,
    *,
    status: int,
    headers: Mapping[str, str] | None = None,
    request_id: str = "",
    clock: Clock = SYSTEM_CLOCK,
) -> ProviderFailure:
    """Classify an error body; one that stands inside an answer is told by `status` 0."""
    try:
        envelope = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        envelope = _Envelope()
    error = envelope.error
    if not isinstance(error, WireError):
        error = WireError(message=error)
    message = error.message or ""
    code = (error.details or {}).get("error_code")
    path = _FIELD.match(message)
    field = _our_field(path.group(1)) if path else ""
    return ProviderFailure(
        _kind(error.type or "", code if isinstance(code, str) else "", message, status),
        error_words(error.type, code, field),
        http_status=status,
        retry_after_s=parse_retry_after(headers or {}, clock.wall()),
        provider_request_id=request_id or envelope.request_id or "",
        field=field,
    )


@contextmanager
def failures(clock: Clock = SYSTEM_CLOCK) -> Iterator[None]:
    """Whatever the SDK or the connection raises inside comes out as ProviderFailure."""
    try:
        yield
    except ProviderFailure:
        raise
    except anthropic.APIStatusError as error:
        answer = error.response
        raise failure_of(
            answer.content,
            status=error.status_code,
            headers=answer.headers,
            request_id=error.request_id or "",
            clock=clock,
        ) from None
    except (anthropic.AnthropicError, httpx2.HTTPError, OSError) as error:
        # Our transport's own failures arrive wrapped in the SDK's classes.
        raise failure_within(error) or _unclassified(error) from None


def _unclassified(error: Exception) -> ProviderFailure:
    timed_out = anthropic.APITimeoutError | httpx2.TimeoutException | TimeoutError
    kind = _K.TIMEOUT if isinstance(error, timed_out) else _K.ERROR
    return ProviderFailure(kind, f"the call broke: {type(error).__name__}")


def _kind(type_: str, code: str, message: str, status: int) -> FailureKind:
    if kind := _BY_CODE.get(code):
        return kind
    if type_ in {"invalid_request_error", ""} and status < 500:
        for wording, kind in _BY_WORDING:
            if wording.search(message):
                return kind
    if kind := _BY_TYPE.get(type_):
        return kind
    if status:
        return status_kind(status)
    return _K.REJECTED if type_ == "invalid_request_error" else _K.ERROR


def _our_field(path: str) -> str:
    """`messages.0.content.1` as `messages[0].content[1]`, and our names where they differ."""
    head, *rest = path.split(".")
    steps = [f"[{step}]" if step.isdigit() else f".{step}" for step in rest]
    return _OUR_FIELDS.get(head, head) + "".join(steps)
