"""QueryUsage against the ledger: sums and percentiles by the dimensions asked for."""

import base64
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.usage_service_pb2 import (
    QueryUsageRequest,
    QueryUsageResponse,
    UsageDimension,
    UsageRow,
)

from turnout_server.core.errors import GatewayError, Violation
from turnout_server.store.histogram import percentile_s
from turnout_server.store.ledger_file import LedgerFile
from turnout_server.store.ledger_rows import COUNTS, DURATION, FIRST_OUTPUT

_DEFAULT_PAGE, _LARGEST_PAGE = 100, 1000
_MINUTE_S = 60
_NANO = 1_000_000_000
_TIME, _LABEL = UsageDimension.USAGE_DIMENSION_TIME, UsageDimension.USAGE_DIMENSION_LABEL
_COLUMNS: Mapping[int, str] = {
    UsageDimension.USAGE_DIMENSION_METHOD: "method",
    UsageDimension.USAGE_DIMENSION_MODEL: "model",
    UsageDimension.USAGE_DIMENSION_PROVIDER: "provider",
    UsageDimension.USAGE_DIMENSION_CODE: "code",
    _LABEL: "label_value",
}
_IN_ROW = (*COUNTS[: COUNTS.index("input_tokens")], "saved_nano_usd")
_IN_USAGE = COUNTS[COUNTS.index("input_tokens") : COUNTS.index("cost_nano_usd")]


@dataclass(frozen=True, slots=True)
class Query:
    """A request that was checked. `groups` are SQL expressions, time first if it is asked for."""

    tenant: str
    label_key: str
    first_minute: int
    end_minute: int
    by_time: bool
    groups: tuple[str, ...]
    page_size: int
    offset: int

    @classmethod
    def of(cls, tenant: str, request: QueryUsageRequest, now_wall_s: float) -> "Query":
        """Check a request; raises GatewayError INVALID_REQUEST with every broken rule."""
        violations = list(_violations(request))
        offset = _offset(request.page_token)
        if offset is None:
            violations.append(Violation("page_token", "is not one that this server gave"))
        if violations or offset is None:
            first = violations[0]
            raise GatewayError(
                ErrorReason.ERROR_REASON_INVALID_REQUEST,
                f"{first.field}: {first.description}",
                violations=violations,
            )
        end_s = request.end_time.seconds if request.HasField("end_time") else int(now_wall_s) + 1
        by_time = _TIME in request.dimensions
        minutes = request.bucket.seconds // _MINUTE_S
        times = (f"minute / {minutes} * {minutes}",) if by_time else ()
        columns = tuple(_COLUMNS[d] for d in request.dimensions if d != _TIME)
        return cls(
            tenant,
            request.label_key if _LABEL in request.dimensions else "",
            request.start_time.seconds // _MINUTE_S,
            -(-end_s // _MINUTE_S),
            by_time,
            times + columns,
            min(request.page_size or _DEFAULT_PAGE, _LARGEST_PAGE),
            offset,
        )

    @property
    def where(self) -> str:
        """The condition that `parameters` fill."""
        return "tenant = ? AND label_key = ? AND minute >= ? AND minute < ?"

    @property
    def parameters(self) -> tuple[object, ...]:
        """See `where`."""
        return (self.tenant, self.label_key, self.first_minute, self.end_minute)


def run_query(file: LedgerFile, query: Query) -> QueryUsageResponse:
    """The page of rows that a query asks for."""
    try:
        found = _sums(file, query)
        more = len(found) > query.page_size
        found = found[: query.page_size]
        width = len(query.groups)
        latencies = _latencies(file, query, [row[:width] for row in found])
    except sqlite3.Error as error:
        raise GatewayError(
            ErrorReason.ERROR_REASON_INTERNAL, "usage cannot be read", detail=str(error)
        ) from error
    response = QueryUsageResponse()
    for row in found:
        group, sums = row[:width], [int(str(value or 0)) for value in row[width:]]
        response.rows.append(_row(query, group, sums, latencies))
    if more:
        response.next_page_token = _token(query.offset + query.page_size)
    return response


# What is put into the statements below are expressions of this file; values are parameters.


def _sums(file: LedgerFile, query: Query) -> list[tuple[object, ...]]:
    chosen = ", ".join((*query.groups, *(f"SUM({name})" for name in COUNTS)))
    statement = f"SELECT {chosen} FROM usage JOIN series ON id = series WHERE {query.where}"  # noqa: S608
    if not query.groups:
        return file.select(statement, query.parameters)
    grouped = ", ".join(query.groups)
    statement += f" GROUP BY {grouped} ORDER BY {grouped} LIMIT ? OFFSET ?"
    return file.select(statement, (*query.parameters, query.page_size + 1, query.offset))


def _latencies(
    file: LedgerFile, query: Query, groups: Sequence[tuple[object, ...]]
) -> Mapping[tuple[object, ...], Mapping[int, int]]:
    """Counts by bucket, for each group on the page and each kind of latency."""
    if not groups:
        return {}
    chosen = ", ".join((*query.groups, "kind", "bucket"))
    statement = (
        f"SELECT {chosen}, SUM(calls) FROM latency JOIN series ON id = series WHERE {query.where}"  # noqa: S608
    )
    parameters = list(query.parameters)
    if query.groups:
        places = f"({', '.join('?' * len(query.groups))})"
        values = ", ".join([places] * len(groups))
        statement += f" AND ({', '.join(query.groups)}) IN (VALUES {values})"
        parameters += [value for group in groups for value in group]
    found: dict[tuple[object, ...], dict[int, int]] = {}
    for *key, bucket, calls in file.select(f"{statement} GROUP BY {chosen}", parameters):
        found.setdefault(tuple(key), {})[int(str(bucket))] = int(str(calls))
    return found


def _row(
    query: Query,
    group: tuple[object, ...],
    sums: Sequence[int],
    latencies: Mapping[tuple[object, ...], Mapping[int, int]],
) -> UsageRow:
    by_name = dict(zip(COUNTS, sums, strict=True))
    row = UsageRow()
    for name in _IN_ROW:
        setattr(row, name, by_name[name])
    for name in _IN_USAGE:
        setattr(row.usage, name, by_name[name])
    row.usage.estimated = bool(by_name["estimated_calls"])
    if not by_name["unpriced_calls"]:
        row.usage.cost_nano_usd = by_name["cost_nano_usd"]
    names = list(group)
    if query.by_time:
        row.bucket_start.seconds = int(str(names.pop(0))) * _MINUTE_S
    row.dimension_values.extend(str(name) for name in names)
    first_output, duration = (latencies.get((*group, k), {}) for k in (FIRST_OUTPUT, DURATION))
    for field, counts, share in (
        (row.p50_time_to_first_output, first_output, 0.5),
        (row.p95_time_to_first_output, first_output, 0.95),
        (row.p95_duration, duration, 0.95),
    ):
        if counts:
            field.FromNanoseconds(round(percentile_s(counts, share) * _NANO))
    return row


def _violations(request: QueryUsageRequest) -> list[Violation]:
    found = []
    for index, dimension in enumerate(request.dimensions):
        if dimension != _TIME and dimension not in _COLUMNS:
            found.append(Violation(f"dimensions[{index}]", "is not a dimension"))
        elif dimension in request.dimensions[:index]:
            found.append(Violation(f"dimensions[{index}]", "is named twice"))
    bucket = request.bucket
    if _TIME in request.dimensions and (
        bucket.seconds < _MINUTE_S or bucket.seconds % _MINUTE_S or bucket.nanos
    ):
        found.append(Violation("bucket", "must be a whole number of minutes"))
    if _LABEL in request.dimensions and not request.label_key:
        found.append(Violation("label_key", "is needed to break down by label"))
    if request.page_size < 0:
        found.append(Violation("page_size", "must not be negative"))
    return found


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(b"%d" % offset).decode()


def _offset(token: str) -> int | None:
    if not token:
        return 0
    try:
        decoded = base64.b64decode(token, altchars=b"-_", validate=True)
    except ValueError:
        return None
    return int(decoded) if decoded.isdigit() and len(decoded) < 16 else None
