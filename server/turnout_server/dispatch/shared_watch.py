"""Books one upstream call that serves several calls: each hears of it, with its share of usage."""

from collections.abc import Sequence
from dataclasses import replace

from turnout.v1.routing_pb2 import Route
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.clock import Monotonic
from turnout_server.core.target import Attempt
from turnout_server.core.watch import AttemptOutcome, AttemptRecord, Watch
from turnout_server.policy.pricing import cost_nano_usd

_COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "thinking_tokens",
    "cost_nano_usd",
)


class SharedWatch(Watch):
    """A watch over the watches of calls that go together. Weights are their estimated tokens."""

    def __init__(
        self, watches: Sequence[Watch], weights: Sequence[int], monotonic: Monotonic
    ) -> None:
        super().__init__(watches[0].call, monotonic=monotonic)
        self._weights = dict(zip(watches, weights, strict=True))
        self._present = dict.fromkeys(watches)
        self._under_way: tuple[Attempt, float] | None = None

    def upstream_called(self, attempt: Attempt) -> None:
        """One call books the upstream call, so that the sum over all calls is what was made."""
        self._under_way = (attempt, self._monotonic())
        for watch in self._present:
            watch.upstream_called(attempt)
            break

    def attempt_ended(self, record: AttemptRecord) -> None:
        """Tell each call that is still there; one that has left was told when it did."""
        self._under_way = None
        usage = record.usage
        weights = list(self._weights.values())
        shares = [None] * len(weights) if usage is None else divide_usage(usage, weights)
        for watch, share in zip(self._weights, shares, strict=True):
            if watch in self._present:
                watch.attempt_ended(replace(record, usage=share))

    def first_output(self, attempt: Attempt, provider_request_id: str = "") -> Route:
        """Tell each call that has had no output."""
        for watch in self._present:
            if watch.first_output_s is None:
                watch.first_output(attempt, provider_request_id)
        return self.route

    def leave(self, watch: Watch) -> None:
        """The call ends; of an attempt under way it is charged by the estimate of its own texts."""
        if watch not in self._present:
            return
        del self._present[watch]
        if self._under_way is None:
            return
        attempt, started = self._under_way
        usage = Usage(input_tokens=self._weights[watch], estimated=True)
        cost = cost_nano_usd(attempt.target.card.price, usage)
        if cost is not None:
            usage.cost_nano_usd = cost
        watch.attempt_ended(
            AttemptRecord(
                attempt=attempt,
                outcome=AttemptOutcome.CANCELLED,
                started=started,
                duration_s=self._monotonic() - started,
                usage=usage,
            )
        )


def divide_usage(usage: Usage, weights: Sequence[int]) -> list[Usage]:
    """Parts of `usage` in proportion to the weights; every token is in exactly one of them."""
    parts = [Usage(estimated=usage.estimated) for _ in weights]
    whole = sum(weights)
    for name in _COUNTS:
        if name == "cost_nano_usd" and not usage.HasField("cost_nano_usd"):
            continue
        count: int = getattr(usage, name)
        given = passed = 0
        for part, weight in zip(parts, weights, strict=True):
            passed += weight
            up_to = count * passed // whole
            setattr(part, name, up_to - given)
            given = up_to
    return parts
