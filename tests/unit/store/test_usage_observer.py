"""Which calls count as fallbacks."""

from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.call import ANONYMOUS, Call, Method
from turnout_server.core.target import Attempt, Endpoint, ModelCard, Target
from turnout_server.core.watch import AttemptOutcome, AttemptRecord, CallRecord
from turnout_server.store.ledger_rows import Entry
from turnout_server.store.usage_observer import UsageObserver

FAILED, OK, LOST = AttemptOutcome.FAILED, AttemptOutcome.OK, AttemptOutcome.HEDGE_LOST


def fell_back(*attempts: tuple[str, AttemptOutcome]) -> bool:
    """Whether a call with these attempts, by endpoint, counts as a fallback."""
    entries: list[Entry] = []
    observer = UsageObserver(entries.append)
    call = Call("r", Method.CHAT, ANONYMOUS, 0.0, 0.0)
    for number, (name, outcome) in enumerate(attempts, 1):
        target = Target(Endpoint(name, name, "openai_chat", ""), ModelCard("m", frozenset()))
        attempt = Attempt(number, target, None, 1.0, 1.0)
        observer.attempt_ended(call, AttemptRecord(attempt, outcome, 0.0, 1.0))
    observer.ended(call, CallRecord("OK", ErrorReason.ERROR_REASON_UNSPECIFIED, 1.0))
    assert not observer._failed
    assert not observer._fell_back
    return entries[0].fell_back


def test_a_call_that_another_target_took_over_fell_back() -> None:
    assert fell_back(("a", FAILED), ("b", OK))
    assert fell_back(("a", FAILED), ("a", FAILED), ("b", FAILED))


def test_a_retry_and_a_lost_race_are_no_fallbacks() -> None:
    assert not fell_back(("a", OK))
    assert not fell_back(("a", FAILED), ("a", OK))
    assert not fell_back(("a", LOST), ("b", OK))
    assert not fell_back()
