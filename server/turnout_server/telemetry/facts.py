"""How every observer words the same fact, so that logs, traces and metrics can be joined."""

import hashlib
import re

from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.call import Call, Method
from turnout_server.core.failure import ProviderFailure
from turnout_server.core.redact import redacted

RPC_METHOD = {
    Method.CHAT: "turnout.v1.ChatService/Chat",
    Method.COMPLETE_CHAT: "turnout.v1.ChatService/CompleteChat",
    Method.EMBED: "turnout.v1.EmbedService/Embed",
    Method.EMBED_STREAM: "turnout.v1.EmbedService/EmbedStream",
}
"""Full names of the RPCs."""

OPERATION = {
    Method.CHAT: "chat",
    Method.COMPLETE_CHAT: "chat",
    Method.EMBED: "embeddings",
    Method.EMBED_STREAM: "embeddings",
}
"""What OpenTelemetry's GenAI conventions call them."""

_R = ErrorReason
_OURS = frozenset(
    {
        _R.ERROR_REASON_OVERLOADED,
        _R.ERROR_REASON_SHUTTING_DOWN,
        _R.ERROR_REASON_PROVIDER_RATE_LIMITED,
        _R.ERROR_REASON_PROVIDER_QUOTA_EXHAUSTED,
        _R.ERROR_REASON_PROVIDER_OVERLOADED,
        _R.ERROR_REASON_PROVIDER_ERROR,
        _R.ERROR_REASON_PROVIDER_TIMEOUT,
        _R.ERROR_REASON_PROVIDER_UNREACHABLE,
        _R.ERROR_REASON_PROVIDER_AUTH_FAILED,
        _R.ERROR_REASON_PROVIDER_CIRCUIT_OPEN,
        _R.ERROR_REASON_STREAM_INTERRUPTED,
        _R.ERROR_REASON_DEADLINE_EXCEEDED,
        _R.ERROR_REASON_INTERNAL,
    }
)
_REASON = {value: name.removeprefix("ERROR_REASON_") for name, value in _R.items()}
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-|\Z)")
_MODEL = re.compile(r"[\w.:/@+|=,-]{1,128}", re.ASCII)
_QUOTED = re.compile(r"['\"].*['\"]|(?<=\[)(?!\d+\])[^\]]*(?=\])", re.DOTALL)


def is_ours(reason: ErrorReason.ValueType) -> bool:
    """Whether a call failed by us or by a provider, rather than by what its caller asked."""
    return reason in _OURS


def reason_word(reason: ErrorReason.ValueType) -> str:
    """The reason as callers read it in ErrorInfo; empty where there is none."""
    return _REASON.get(reason, str(reason)) if reason else ""


def kind_word(failure: ProviderFailure) -> str:
    """The kind of an attempt's failure."""
    return failure.kind.name.lower()


def model_name(model: str) -> str:
    """A model, if it looks like a name: a caller may ask for any text, and some servers answer."""
    return model if _MODEL.fullmatch(model) else "(not a name)"


def said(text: str, limit_bytes: int) -> str:
    """What an error says, for logs: without what it quotes, which may be a caller's words."""
    return redacted(_QUOTED.sub("…", text), limit_bytes=limit_bytes)


def trace_id(call: Call) -> str:
    """The caller's trace id, or without a trace one made from the request id, always the same."""
    match = _TRACEPARENT.match(call.trace_headers.get("traceparent", ""))
    if match is not None and match[1].strip("0"):
        return match[1]
    return hashlib.blake2b(call.request_id.encode(), digest_size=16).hexdigest()


def milliseconds(seconds: float | None) -> float | None:
    """Seconds as people read them in a log."""
    return None if seconds is None else round(seconds * 1000, 1)
