"""What a reader of metrics is told, and that its size is bounded whatever callers send."""

from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.usage_pb2 import Usage

from tests.unit.telemetry.facts_of_a_call import (
    CANARY_KEY,
    attempt,
    call,
    failed,
    succeeded,
    tell,
)
from turnout_server.telemetry.labels import MOST_MODELS, MOST_TENANTS
from turnout_server.telemetry.metrics import Metrics

Points = dict[tuple[tuple[str, str], ...], Any]


class Read:
    """Metrics with a reader of their own."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.metrics = Metrics(meters.get_meter("test"))

    def all(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        [resource] = data.resource_metrics
        [scope] = resource.scope_metrics
        return {metric.name: list(metric.data.data_points) for metric in scope.metrics}

    def only(self, name: str) -> Any:
        [point] = self.all()[name]
        return point


@pytest.fixture
def read() -> Read:
    return Read()


def test_a_call_is_recorded_once_for_each_thing_it_did(read: Read) -> None:
    tell([read.metrics], call(), failed(1), succeeded(2))
    seen = read.all()
    assert read.only("rpc.server.call.duration").attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": "turnout.v1.ChatService/Chat",
        "rpc.response.status_code": "OK",
    }
    assert [point.count for point in seen["gen_ai.client.operation.duration"]] == [1, 1]
    assert read.only("gen_ai.server.time_to_first_token").count == 1
    tokens = {p.attributes["gen_ai.token.type"]: p.sum for p in seen["gen_ai.client.token.usage"]}
    assert tokens == {"input": 10, "output": 20}
    assert [(p.attributes, p.value) for p in seen["turnout.attempts"]] == [
        ({"provider": "acme", "model": "m-1", "outcome": "failed", "kind": "overloaded"}, 1),
        ({"provider": "acme", "model": "m-1", "outcome": "ok"}, 1),
    ]
    assert read.only("turnout.cost").value == pytest.approx(0.005)


def test_a_failed_call_is_recorded_with_its_reason(read: Read) -> None:
    reason = ErrorReason.ERROR_REASON_PROVIDER_TIMEOUT
    tell([read.metrics], call(), code="UNAVAILABLE", reason=reason)
    labels = read.only("rpc.server.call.duration").attributes
    assert labels["rpc.response.status_code"] == "UNAVAILABLE"
    assert labels["error.type"] == "PROVIDER_TIMEOUT"


def test_calls_under_way_are_counted(read: Read) -> None:
    under_way = call()
    read.metrics.accepted(under_way)
    tell([read.metrics], call())
    counts = {p.attributes["rpc.method"]: p.value for p in read.all()["turnout.calls.in_flight"]}
    assert counts["turnout.v1.ChatService/Chat"] == 1
    assert sum(counts.values()) == 1


def test_a_cache_hit_is_counted_with_what_it_saved(read: Read) -> None:
    read.metrics.cache_hit(call(tenant="a"), Usage(cost_nano_usd=1_000_000_000))
    assert read.only("turnout.cache.hits").value == 1
    assert (read.only("turnout.cache.saved").value) == 1.0


def test_models_that_callers_invent_are_all_one(read: Read) -> None:
    for number in range(500):
        record = failed(1)
        invented = attempt(model=f"invented-{number}", known=False)
        read.metrics.attempt_ended(call(), type(record)(invented, record.outcome, 0.0, 0.1))
    assert read.only("turnout.attempts").attributes["model"] == "other"


def test_even_models_that_answer_and_tenants_are_bounded(read: Read) -> None:
    for number in range(1000):
        told = call(tenant=f"t{number}")
        tell([read.metrics], told, succeeded(model=f"m{number}"))
    seen = read.all()
    assert len(seen["turnout.attempts"]) == MOST_MODELS + 1
    assert len({p.attributes["tenant"] for p in seen["turnout.cost"]}) == MOST_TENANTS + 1


def test_no_label_holds_a_callers_words_or_a_key(read: Read) -> None:
    prompt = "the canary sings"
    told = call(model=prompt)
    tell([read.metrics], told, failed(1, f"{prompt} {CANARY_KEY}"), detail=prompt)
    answered = succeeded()
    echoing = attempt(model=prompt, known=False)
    read.metrics.attempt_ended(told, type(answered)(echoing, answered.outcome, 0.0, 0.1))
    assert "canary" not in str(read.all())


def test_totals_and_levels_of_others_are_shown(read: Read) -> None:
    read.metrics.add_gauge("turnout.config.stale", "Whether", lambda: True)
    read.metrics.add_counter("turnout.log.lines_dropped", "Lines", lambda: 3)
    read.metrics.add_counters("turnout.observer.errors", "Errors", "observer", lambda: {"A": 2})
    assert read.only("turnout.config.stale").value == 1
    assert read.only("turnout.log.lines_dropped").value == 3
    point = read.only("turnout.observer.errors")
    assert (point.attributes, point.value) == ({"observer": "A"}, 2)
