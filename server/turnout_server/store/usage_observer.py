"""Hands every call that is over to the ledger."""

from collections.abc import Callable

from turnout_server.core.call import Call
from turnout_server.core.clock import SYSTEM_CLOCK, Clock
from turnout_server.core.watch import AttemptOutcome, AttemptRecord, CallRecord, Observer
from turnout_server.store.ledger_rows import Entry

_MOST_FALLEN = 10_000


class UsageObserver(Observer):
    """Tells `record` of each call, and whether it went on to another target after a failure."""

    def __init__(self, record: Callable[[Entry], None], clock: Clock = SYSTEM_CLOCK) -> None:
        self._record = record
        self._clock = clock
        # By request id, since a shared answer's attempts are told of a call beside its caller's.
        self._failed: dict[str, str] = {}
        self._fell_back: dict[str, bool] = {}

    def attempt_ended(self, call: Call, record: AttemptRecord) -> None:
        """Note a target that failed, and another one tried after it."""
        target = str(record.attempt.target)
        failed = self._failed.get(call.request_id)
        if failed is not None and failed != target:
            self._fell_back[call.request_id] = True
        elif record.outcome is AttemptOutcome.FAILED:
            if len(self._failed) >= _MOST_FALLEN:
                self._failed.clear()
                self._fell_back.clear()
            self._failed[call.request_id] = target

    def ended(self, call: Call, record: CallRecord) -> None:
        """Hand over the call."""
        self._failed.pop(call.request_id, None)
        fell_back = self._fell_back.pop(call.request_id, False)
        self._record(Entry(call, record, self._clock.wall(), fell_back))
