"""Prints what the services say: tables for people, JSON lines for programs."""

import json
from collections.abc import Iterable, Sequence

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message


def print_json(message: Message) -> None:
    """Print a message as one line, its fields under their names in the contract."""
    fields = MessageToDict(message, preserving_proto_field_name=True)
    print(json.dumps(fields, ensure_ascii=False), flush=True)


def print_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in aligned columns; numbers to the right."""
    lines = [list(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    right = [bool(lines) and all(_is_number(line[i]) for line in lines) for i in range(len(heads))]
    for line in [list(heads), *lines]:
        cells = zip(line, widths, right, strict=True)
        print("  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in cells).rstrip())


def milliseconds(duration: Duration) -> str:
    """A duration as whole milliseconds; a dash for none."""
    return f"{duration.ToMicroseconds() / 1000:.0f}" if duration.ByteSize() else "-"


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).replace(",", "").isdigit() or cell == "-"
