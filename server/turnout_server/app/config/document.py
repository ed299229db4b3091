"""Reads YAML into plain data that remembers on which line each key stood."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from turnout_server.app.config.problem import ConfigError, Problem

Path = tuple[str | int, ...]
"""Keys and list indexes from the top of a document down to a value."""


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration as it was written; `origins` says where each key came from."""

    name: str
    data: dict[str, Any]
    origins: Mapping[Path, str] = field(default_factory=dict)

    def where(self, path: Path) -> str:
        """`file:line` of a key, or of the nearest key above it that was written."""
        for end in range(len(path), 0, -1):
            if origin := self.origins.get(path[:end]):
                return origin
        return self.name

    def problem(self, path: Path, message: str) -> Problem:
        """A fault of one key of this document."""
        return Problem(self.where(path), dotted(path), message)


def dotted(path: Path) -> str:
    """`providers.claude.keys[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_yaml(text: str, name: str) -> Document:
    """Parse a configuration file; raises ConfigError for broken syntax and for repeated keys."""
    try:
        root = yaml.compose(text, Loader=_Loader)
        loader = _Loader("")
        data = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_problem(error, name)]) from None
    except yaml.YAMLError as error:
        raise ConfigError([Problem(name, "", f"not YAML: {error}")]) from None
    if root is None or data is None:
        return Document(name, {})
    if not isinstance(data, dict):
        message = "must be a mapping of sections, such as server: {listen: 127.0.0.1:50051}"
        raise ConfigError([Problem(f"{name}:1", "", message)])
    return Document(name, data, {path: f"{name}:{line}" for path, line in _lines(root, ())})


_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """YAML 1.2's scalars: `off` and `no` are words here, and a date is text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 — PyYAML's own protocol

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen: set[object] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key}' stands here twice; keep one", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
    )


def _lines(node: yaml.Node, path: Path, above: tuple[int, ...] = ()) -> Iterator[tuple[Path, int]]:
    if id(node) in above:  # an anchor inside itself
        return
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*path, str(key.value)), key.start_mark.line + 1
            yield from _lines(value, (*path, str(key.value)), above)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*path, index), value.start_mark.line + 1
            yield from _lines(value, (*path, index), above)


def _syntax_problem(error: yaml.MarkedYAMLError, name: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    where = f"{name}:{mark.line + 1}" if mark else name
    reason = error.problem or error.context or "not YAML"
    hint = "; indent with spaces" if "'\\t'" in reason else ""
    return Problem(where, "", f"{reason}{hint}")
