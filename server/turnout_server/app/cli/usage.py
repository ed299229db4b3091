"""`turnout usage`: sums up what the caller's tenant used."""

import argparse
from collections.abc import Iterator

from google.protobuf.timestamp_pb2 import Timestamp
from turnout.v1 import usage_service_pb2 as pb
from turnout.v1.usage_service_pb2_grpc import UsageServiceStub

from turnout_server.app.cli.complaint import Complaint
from turnout_server.app.cli.connection import Connection, connect
from turnout_server.app.cli.output import milliseconds, print_json, print_table
from turnout_server.core.clock import SYSTEM_CLOCK

DIMENSIONS = {
    pb.UsageDimension.Name(value).removeprefix("USAGE_DIMENSION_").lower(): value
    for value in pb.UsageDimension.values()
    if value
}
_FIGURES = ["requests", "failures", "cache hits", "input", "output", "cost $", "p95 ms"]


def usage(options: argparse.Namespace) -> int:
    """Print usage since a time ago, broken down as asked."""
    if ("label" in options.by) != bool(options.label):
        raise Complaint("--by label and --label KEY go together", exit_status=2)
    with connect(options) as connection:
        rows = list(_rows(connection, _request(options)))
    if options.json:
        for row in rows:
            print_json(row)
    else:
        print_table([*options.by, *_FIGURES], (_cells(row, options.by) for row in rows))
    return 0


def _request(options: argparse.Namespace) -> pb.QueryUsageRequest:
    start = Timestamp()
    start.FromNanoseconds(round((SYSTEM_CLOCK.wall() - options.since) * 1e9))
    request = pb.QueryUsageRequest(
        start_time=start,
        dimensions=[DIMENSIONS[name] for name in options.by],
        label_key=options.label,
    )
    if "time" in options.by:
        request.bucket.FromNanoseconds(round(options.bucket * 1e9))
    return request


def _rows(connection: Connection, request: pb.QueryUsageRequest) -> Iterator[pb.UsageRow]:
    call = UsageServiceStub(connection.channel).QueryUsage
    while True:
        page = call(request, timeout=connection.timeout_s, metadata=connection.metadata)
        yield from page.rows
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _cells(row: pb.UsageRow, dimensions: list[str]) -> list[object]:
    values = iter(row.dimension_values)
    cells: list[object] = [
        row.bucket_start.ToJsonString() if name == "time" else next(values, "")
        for name in dimensions
    ]
    used = row.usage
    cost = f"{used.cost_nano_usd / 1e9:.6f}" if used.HasField("cost_nano_usd") else "-"
    figures = [row.requests, row.failures, row.cache_hits, used.input_tokens, used.output_tokens]
    return [*cells, *figures, cost, milliseconds(row.p95_duration)]
