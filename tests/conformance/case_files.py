"""Cases out of YAML, each a typed `turnout.testing.v1.Case` in the JSON form of protobuf.

A file holds `cases`, and may say for all of them: `row`, the only catalogue row they hold for and
whose options they show; `unary: true`, when the answer is asked for in one piece.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from turnout.testing.v1.case_pb2 import Case

_FOLDER = Path(__file__).parent / "cases"


@dataclass(frozen=True, slots=True)
class FiledCase:
    """A case and what its file says of it."""

    case: Case
    row: str = ""
    unary: bool = False

    @property
    def id(self) -> str:
        """Wire and name, as the test is called."""
        return f"{self.case.wire}-{self.case.name}"


def load_cases() -> list[FiledCase]:
    """Every case of every wire, in the order of the files."""
    return [case for path in sorted(_FOLDER.glob("*/*.yaml")) for case in _read(path)]


def _read(path: Path) -> Iterator[FiledCase]:
    file = yaml.safe_load(path.read_text("utf-8"))
    unknown = file.keys() - {"cases", "row", "unary"}
    assert not unknown, f"{path.name}: {unknown}"
    for raw in file["cases"]:
        try:
            case = json_format.ParseDict(_plain(raw), Case(wire=path.parent.name))
        except json_format.ParseError as error:
            raise ValueError(f"{path.name}: {raw.get('name')}: {error}") from error
        yield FiledCase(case, file.get("row", ""), file.get("unary", False))


def _plain(value: Any) -> Any:
    """YAML's binary as the base64 that protobuf's JSON wants."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
