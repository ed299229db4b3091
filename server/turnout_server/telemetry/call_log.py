"""The log of calls: one line for each call at its end, one for each attempt that failed."""

from collections.abc import Callable

import structlog

from turnout_server.core.call import Call
from turnout_server.core.watch import AttemptRecord, CallRecord, Observer
from turnout_server.telemetry.facts import (
    RPC_METHOD,
    is_ours,
    kind_word,
    milliseconds,
    model_name,
    reason_word,
    said,
    trace_id,
)

_MAX_DETAIL_BYTES = 300


class CallLog(Observer):
    """Logs calls, and puts the call's ids on every line that its task logs meanwhile.

    `trace_id_of` tells the id of a call's trace; a tracer that makes traces passes its own.
    """

    def __init__(self, trace_id_of: Callable[[Call], str] = trace_id) -> None:
        self._trace_id_of = trace_id_of
        self._log = structlog.get_logger("turnout.call").bind()

    def accepted(self, call: Call) -> None:
        """Bind the ids. Each RPC is a task with a context of its own, so nothing is unbound."""
        structlog.contextvars.bind_contextvars(
            request_id=call.request_id, trace_id=self._trace_id_of(call)
        )

    def attempt_ended(self, call: Call, record: AttemptRecord) -> None:
        """Log a failed attempt. Its ids are given, since a batch runs in another call's context."""
        failure = record.failure
        if failure is None:
            return
        target = record.attempt.target
        self._log.warning(
            "attempt failed",
            request_id=call.request_id,
            trace_id=self._trace_id_of(call),
            provider=target.provider,
            model=model_name(target.model),
            attempt=record.attempt.number,
            kind=kind_word(failure),
            http_status=failure.http_status or None,
            provider_request_id=failure.provider_request_id or record.provider_request_id or None,
            key_id=record.attempt.key.id if record.attempt.key else None,
            duration_ms=milliseconds(record.duration_s),
            output_started=record.output_started or None,
            detail=said(failure.detail, _MAX_DETAIL_BYTES) or None,
        )

    def ended(self, call: Call, record: CallRecord) -> None:
        """Log the call: a warning when it failed by us or by a provider."""
        usage = record.usage
        log = self._log.warning if is_ours(record.reason) else self._log.info
        log(
            "call",
            request_id=call.request_id,
            method=RPC_METHOD[call.method],
            tenant=call.identity.tenant,
            model=model_name(call.model),
            provider=record.route.provider or None,
            served_model=model_name(record.route.model) if record.route.model else None,
            code=record.code,
            reason=reason_word(record.reason) or None,
            attempts=record.attempts,
            first_output_ms=milliseconds(record.first_output_s),
            duration_ms=milliseconds(record.duration_s),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_input_tokens or None,
            cost_nano_usd=usage.cost_nano_usd if usage.HasField("cost_nano_usd") else None,
            estimated=usage.estimated or None,
            finish_reason=record.finish_reason or None,
            cache_hits=record.cache_hits or None,
            saved_nano_usd=record.saved_nano_usd or None,
            embed_inputs=record.embed_inputs or None,
            detail=said(record.detail, _MAX_DETAIL_BYTES) or None,
        )
