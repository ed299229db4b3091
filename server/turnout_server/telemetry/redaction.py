"""What a log line may hold: keys on a list, values that are plain, and of an error its place.

Nothing is searched for secrets by pattern here: a key that is not on the list is left out, and its
name put under `withheld`. The text of an exception is never shown, since it may quote a prompt.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from types import TracebackType
from typing import Any

from structlog.typing import EventDict

LINE_KEYS = ("timestamp", "level", "event", "request_id", "trace_id", "logger")
"""What is on every line, in this order; the last three where they are known."""

KNOWN_KEYS = frozenset(
    {
        *LINE_KEYS,
        # a call and its attempts (call_log)
        *("method", "tenant", "model", "provider", "served_model", "code", "reason", "detail"),
        *("attempts", "attempt", "outcome", "kind", "http_status", "provider_request_id"),
        *("duration_ms", "first_output_ms", "input_tokens", "output_tokens", "cache_read_tokens"),
        *("cost_nano_usd", "estimated", "finish_reason", "cache_hits", "embed_inputs"),
        *("output_started", "saved_nano_usd", "key_id"),
        # the process
        *("listen", "port", "pid", "version", "workers", "signal", "grace_s", "wait_s", "calls"),
        *("files", "file", "problems", "kept", "hint", "config", "models", "providers", "aliases"),
        *("state", "before", "after", "since_s", "count", "lines", "observer", "endpoint", "wire"),
        *("restarts", "exit_status", "backend", "lag_ms", "limit", "window_s", "expires_in_s"),
        *("store", "why", "until", "calls_lost", "validate_only", "worker"),
        # an error (place_error)
        *("error", "places"),
    }
)

_PLAIN = frozenset({bool, int, float, type(None)})
_MAX_TEXT = 512
_MAX_ITEMS = 20
_MAX_FRAMES = 12
_MAX_CAUSES = 6
_FILE_PARTS = 3


def keep_known(_logger: object, _level: str, event: EventDict) -> EventDict:
    """A structlog processor: the line with nothing on it but known keys and plain values."""
    kept: dict[str, Any] = {key: plain(event[key]) for key in LINE_KEYS if key in event}
    withheld = []
    for key, value in event.items():
        if key in kept:
            continue
        if key in KNOWN_KEYS:
            if value is not None:
                kept[key] = plain(value)
        else:
            withheld.append(key)
    if withheld:
        kept["withheld"] = plain(sorted(withheld))
    return kept


def place_error(_logger: object, _level: str, event: EventDict) -> EventDict:
    """A structlog processor: `exc_info` becomes the error's types and the places it passed."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exception()
    elif isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["error"] = [type(each).__qualname__ for each in _causes(error)]
        event["places"] = list(_places(error.__traceback__))[-_MAX_FRAMES:]
    return event


def plain(value: Any) -> Any:
    """A value that every renderer can show on one line; of what is not plain, its type."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is str:
        return _line(value)
    if isinstance(value, str):
        return _line(str(value))
    if isinstance(value, Mapping):
        return "(mapping)"
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in list(value)[:_MAX_ITEMS]]
    return f"({type(value).__name__})"


def _line(text: str) -> str:
    cut = text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…"
    # Escaped: a line feed would forge a line, and a lone surrogate cannot be encoded.
    return cut if cut.isprintable() else cut.encode("unicode_escape").decode("ascii")


def _causes(error: BaseException) -> Iterator[BaseException]:
    each: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if each is None:
            return
        yield each
        if isinstance(each, BaseExceptionGroup):
            each = each.exceptions[0]
        elif each.__cause__ is not None or each.__suppress_context__:
            each = each.__cause__
        else:
            each = each.__context__


def _places(traceback: TracebackType | None) -> Iterator[str]:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        file = PurePath(*PurePath(code.co_filename).parts[-_FILE_PARTS:]).as_posix()
        yield f"{file}:{traceback.tb_lineno} {code.co_qualname}"
        traceback = traceback.tb_next
