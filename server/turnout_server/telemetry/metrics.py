"""Metrics: a handful of recordings for each call and each attempt, none for a token."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from turnout.v1.usage_pb2 import Usage

from turnout_server.core.call import Call, Method
from turnout_server.core.target import Attempt
from turnout_server.core.watch import AttemptOutcome, AttemptRecord, CallRecord, Observer
from turnout_server.telemetry import facts
from turnout_server.telemetry.labels import MOST_TENANTS, BoundedLabel, ModelLabel

Read = Callable[[], float]
ReadEach = Callable[[], Mapping[str, float]]

# As OpenTelemetry's conventions advise for each.
_DURATION_S = (
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
    20.48,
    40.96,
    81.92,
)
_FIRST_TOKEN_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
_TOKENS = tuple(4.0**power for power in range(14))


class Metrics(Observer):
    """Records into `meter`. Names are OpenTelemetry's where it has one, `turnout.` elsewhere."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._models = ModelLabel()
        self._tenants = BoundedLabel(MOST_TENANTS)
        self._in_flight: Counter[Method] = Counter(dict.fromkeys(Method, 0))
        histogram = meter.create_histogram
        self._call_s = histogram(
            "rpc.server.call.duration",
            "s",
            "Duration of calls",
            explicit_bucket_boundaries_advisory=_DURATION_S,
        )
        self._attempt_s = histogram(
            "gen_ai.client.operation.duration",
            "s",
            "Duration of attempts upstream",
            explicit_bucket_boundaries_advisory=_DURATION_S,
        )
        self._first_output_s = histogram(
            "gen_ai.server.time_to_first_token",
            "s",
            "Time from a call's start to its first output",
            explicit_bucket_boundaries_advisory=_FIRST_TOKEN_S,
        )
        self._tokens = histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens of one attempt",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        counter = meter.create_counter
        self._attempts = counter("turnout.attempts", "", "Attempts upstream, by how they ended")
        self._cost = counter("turnout.cost", "usd", "What providers charge for, in US dollars")
        self._cache_hits = counter("turnout.cache.hits", "", "Answers from the cache")
        self._saved = counter("turnout.cache.saved", "usd", "What cached answers did not cost")
        meter.create_observable_up_down_counter(
            "turnout.calls.in_flight", [self._observe_in_flight], "", "Calls under way"
        )

    def add_counter(self, name: str, description: str, read: Read) -> None:
        """Show a total that another part keeps; `read` runs in the collecting thread."""
        self._meter.create_observable_counter(name, [partial(_observe, read)], "", description)

    def add_gauge(self, name: str, description: str, read: Read) -> None:
        """Show a level that another part keeps; `read` runs in the collecting thread."""
        self._meter.create_observable_gauge(name, [partial(_observe, read)], "", description)

    def add_counters(self, name: str, description: str, label: str, read: ReadEach) -> None:
        """Show totals that another part keeps by name; the names must be few."""
        callback = partial(_observe_each, label, read)
        self._meter.create_observable_counter(name, [callback], "", description)

    def accepted(self, call: Call) -> None:
        """Count the call as under way."""
        self._in_flight[call.method] += 1

    def attempt_ended(self, call: Call, record: AttemptRecord) -> None:
        """Record the attempt's duration, outcome, tokens and cost."""
        target, failure, usage = record.attempt.target, record.failure, record.usage
        answered = record.outcome is AttemptOutcome.OK
        provider, model = target.provider, self._models.of(target, answered=answered)
        labels = {
            "gen_ai.operation.name": facts.OPERATION[call.method],
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
        }
        count = {"provider": provider, "model": model, "outcome": record.outcome.value}
        if failure is None:
            self._attempt_s.record(record.duration_s, labels)
        else:
            count["kind"] = facts.kind_word(failure)
            self._attempt_s.record(record.duration_s, labels | {"error.type": count["kind"]})
        self._attempts.add(1, count)
        if usage is None:
            return
        if usage.input_tokens:
            self._tokens.record(usage.input_tokens, labels | {"gen_ai.token.type": "input"})
        if usage.output_tokens:
            self._tokens.record(usage.output_tokens, labels | {"gen_ai.token.type": "output"})
        if usage.cost_nano_usd:
            tenant = self._tenants.of(call.identity.tenant)
            paid = {"provider": provider, "model": model, "tenant": tenant}
            self._cost.add(usage.cost_nano_usd / 1e9, paid)

    def first_output(self, call: Call, attempt: Attempt, elapsed_s: float) -> None:
        """Record how long the caller waited."""
        self._first_output_s.record(
            elapsed_s,
            {
                "gen_ai.operation.name": facts.OPERATION[call.method],
                "gen_ai.provider.name": attempt.target.provider,
                "gen_ai.request.model": self._models.of(attempt.target, answered=True),
            },
        )

    def cache_hit(self, call: Call, saved: Usage) -> None:
        """Count the hit and what it saved."""
        labels = {"tenant": self._tenants.of(call.identity.tenant)}
        self._cache_hits.add(1, labels)
        if saved.cost_nano_usd:
            self._saved.add(saved.cost_nano_usd / 1e9, labels)

    def ended(self, call: Call, record: CallRecord) -> None:
        """Record the call's duration and status."""
        self._in_flight[call.method] -= 1
        labels = {
            "rpc.system.name": "grpc",
            "rpc.method": facts.RPC_METHOD[call.method],
            "rpc.response.status_code": record.code,
        }
        if record.reason:
            labels["error.type"] = facts.reason_word(record.reason)
        self._call_s.record(record.duration_s, labels)

    def _observe_in_flight(self, _options: CallbackOptions) -> Iterable[Observation]:
        for method, calls in self._in_flight.items():
            yield Observation(calls, {"rpc.method": facts.RPC_METHOD[method]})


def _observe(read: Read, _options: CallbackOptions) -> Iterable[Observation]:
    return (Observation(read()),)


def _observe_each(label: str, read: ReadEach, _options: CallbackOptions) -> Iterable[Observation]:
    return [Observation(value, {label: name}) for name, value in dict(read()).items()]
