"""What one call adds to the ledger: sums for each minute and each combination of dimensions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from turnout.v1.routing_pb2 import CacheStatus

from turnout_server.core.call import Call, Method
from turnout_server.core.watch import CallRecord
from turnout_server.store.histogram import bucket_of

COUNTS = (
    "requests",
    "failures",
    "fallbacks",
    "fallback_successes",
    "cache_hits",
    "cache_misses",
    "embed_inputs",
    "embed_upstream_calls",
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_write_input_tokens",
    "thinking_tokens",
    "cost_nano_usd",
    "unpriced_calls",
    "estimated_calls",
    "saved_nano_usd",
)
"""The columns that are summed, in the order of the tables."""
FIRST_OUTPUT, DURATION = 0, 1
"""Kinds of latency."""
_EMBEDDING = (Method.EMBED, Method.EMBED_STREAM)
_REFUSED = ("INVALID_ARGUMENT", "NOT_FOUND", "UNAUTHENTICATED", "PERMISSION_DENIED")
_MOST_LABELS = 32


@dataclass(frozen=True, slots=True)
class Series:
    """One combination of dimensions. Without a label it counts every call, with one those of it."""

    tenant: str
    method: str
    model: str
    provider: str
    code: str
    label_key: str = ""
    label_value: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One call that is over, as it is handed to the ledger."""

    call: Call
    record: CallRecord
    ended_wall_s: float
    fell_back: bool = False


@dataclass(slots=True)
class Sums:
    """Sums not yet written, by minute and series."""

    counts: dict[tuple[int, Series], list[int]] = field(default_factory=dict)
    latencies: dict[tuple[int, Series, int, int], int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.counts)

    def add(self, entry: Entry) -> None:
        """Add one call."""
        minute = int(entry.ended_wall_s // 60)
        counts = _counts(entry)
        record = entry.record
        for series in _series(entry):
            sums = self.counts.setdefault((minute, series), [0] * len(COUNTS))
            for index, count in enumerate(counts):
                sums[index] += count
            self._time(minute, series, DURATION, record.duration_s)
            if record.first_output_s is not None:
                self._time(minute, series, FIRST_OUTPUT, record.first_output_s)

    def _time(self, minute: int, series: Series, kind: int, duration_s: float) -> None:
        key = (minute, series, kind, bucket_of(duration_s))
        self.latencies[key] = self.latencies.get(key, 0) + 1


def _series(entry: Entry) -> Iterator[Series]:
    call, record = entry.call, entry.record
    # A refused call may name anything: what nobody serves must not become a dimension.
    refused = not record.route.provider and record.code in _REFUSED
    model = "" if refused else call.model
    names = (call.identity.tenant, call.method.value, model, record.route.provider, record.code)
    yield Series(*names)
    labels: Mapping[str, str] = {} if refused else call.labels
    for key, value in list(labels.items())[:_MOST_LABELS]:
        if key:
            yield Series(*names, key, value)


def _counts(entry: Entry) -> tuple[int, ...]:
    record, usage = entry.record, entry.record.usage
    succeeded = record.code == "OK"
    embedding = entry.call.method in _EMBEDDING
    used = bool(usage.input_tokens or usage.output_tokens)
    return (
        1,
        not succeeded,
        entry.fell_back,
        entry.fell_back and succeeded,
        record.cache_hits,
        _misses(record, embedding=embedding),
        record.embed_inputs,
        record.upstream_calls if embedding else 0,
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_write_input_tokens,
        usage.thinking_tokens,
        usage.cost_nano_usd,
        used and not usage.HasField("cost_nano_usd"),
        usage.estimated,
        record.saved_nano_usd,
    )


def _misses(record: CallRecord, *, embedding: bool) -> int:
    asked = record.route.cache_status in (
        CacheStatus.CACHE_STATUS_HIT,
        CacheStatus.CACHE_STATUS_MISS,
    )
    if not asked:
        return 0
    if embedding:
        return max(0, record.embed_inputs - record.cache_hits)
    return int(record.route.cache_status == CacheStatus.CACHE_STATUS_MISS)
