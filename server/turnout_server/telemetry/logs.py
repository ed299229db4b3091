"""One way for every log line of the process: ours by structlog, other libraries' by `logging`."""

import atexit
import contextlib
import enum
import logging
import os
import re

import msgspec
import structlog
from structlog.typing import EventDict

from turnout_server.core.redact import redacted
from turnout_server.telemetry.redaction import keep_known, place_error
from turnout_server.telemetry.sink import LineSink

_OWN = "turnout_server"
_MAX_FOREIGN_BYTES = 300
_QUOTED = re.compile(r"['\"`(\[{<=:]")


def configure(*, level: str = "info", line_format: str = "json", fd: int = 1) -> LineSink:
    """Send every log line of the process to `fd`, from `level` up, from now on.

    `line_format` is `json` or `console`. Other libraries are heard from `warning` up. Close the
    sink at the end; a process that ends without does it at exit.
    """
    render = _json if line_format == "json" else _Console(colors=os.isatty(fd))
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)

    def notice(lines: int) -> bytes:
        event = {"event": "log lines were dropped", "level": "warning", "lines": lines}
        return render(None, "warning", keep_known(None, "warning", stamp(None, "", event)))

    sink = LineSink(fd, notice)
    atexit.register(sink.close)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _add_logger,
            stamp,
            place_error,
            keep_known,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *names: SinkLogger(sink, *names),
        cache_logger_on_first_use=False,
    )
    _take_over_logging(level)
    return sink


class SinkLogger:
    """What structlog writes to: one method for every level."""

    def __init__(self, sink: LineSink, name: str = "") -> None:
        self.name = name
        self.debug = self.info = self.warning = self.error = self.critical = sink.write


class ForeignHandler(logging.Handler):
    """Gives the records of `logging` to structlog, by the same rule: no text that others wrote.

    Of another library's record the template is kept, with the numbers and names of an enumeration
    filled in; its other arguments may hold anything, a prompt or a key included.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Log one record; whatever it provokes is swallowed, as `logging` asks of handlers."""
        try:
            log = structlog.get_logger(record.name)
            level = max(logging.DEBUG, min(record.levelno // 10 * 10, logging.CRITICAL))
            log.log(level, _event_of(record), exc_info=record.exc_info)
        except Exception:  # noqa: BLE001  a line of a library's is worth no failure of ours
            return


def _event_of(record: logging.LogRecord) -> str:
    if record.name.partition(".")[0] == _OWN:
        return redacted(record.getMessage(), limit_bytes=_MAX_FOREIGN_BYTES)
    template = str(record.msg).partition("\n")[0]
    if record.args:
        args = record.args if isinstance(record.args, tuple) else (record.args,)
        with contextlib.suppress(TypeError, ValueError, KeyError):
            template %= tuple(_safe(arg) for arg in args)
    else:
        # asyncio writes the callback's arguments into its sentence.
        template = _QUOTED.split(template, maxsplit=1)[0]
    return redacted(template, limit_bytes=_MAX_FOREIGN_BYTES)


def _safe(arg: object) -> object:
    if isinstance(arg, enum.Enum):
        return arg.name
    return arg if isinstance(arg, bool | int | float) else "…"


def _take_over_logging(level: str) -> None:
    root = logging.getLogger()
    root.handlers[:] = [ForeignHandler()]
    root.setLevel(logging.WARNING)
    logging.getLogger(_OWN).setLevel(level.upper())


def _add_logger(logger: SinkLogger, _level: str, event: EventDict) -> EventDict:
    if logger.name:
        event.setdefault("logger", logger.name)
    return event


def _json(_logger: object, _level: str, event: EventDict) -> bytes:
    return msgspec.json.encode(event) + b"\n"


class _Console:
    """structlog's renderer for people, as bytes."""

    def __init__(self, *, colors: bool) -> None:
        self._render = structlog.dev.ConsoleRenderer(colors=colors)

    def __call__(self, logger: object, level: str, event: EventDict) -> bytes:
        return (self._render(logger, level, event) + "\n").encode()
