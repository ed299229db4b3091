"""Says pydantic's findings in the operator's words: what was expected, and what was meant."""

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from turnout_server.app.config.document import Document, Path
from turnout_server.app.config.problem import Problem
from turnout_server.app.config.walk import leaves, section_at

_SECRET_KEYS = ("key", "api_key", "apikey", "token", "secret", "password")
_EXPECTED = {
    "string_type": "must be text; quote it if it looks like a number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list, such as [a, b]",
    "dict_type": "must be a mapping, such as {name: …}",
    "model_type": "must be a mapping; write {} for the defaults",
    "missing": "is missing",
    "too_short": "must not be empty",
}
_BOUNDS = {
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be {le:g} or less",
}


def explain(error: ValidationError, root: type[BaseModel], document: Document) -> list[Problem]:
    """Every finding as a problem, in the order of the file."""
    problems = []
    for finding in error.errors(include_url=False):
        path = _written(finding["loc"], document.data)
        message = _message(finding, root, path)
        problems.append(document.problem(path, message))
    return sorted(problems, key=lambda problem: _line(problem.where))


def _line(where: str) -> int:
    line = where.rpartition(":")[2]
    return int(line) if line.isdigit() else 0


def _message(finding: Mapping[str, Any], root: type[BaseModel], path: Path) -> str:
    kind, context = finding["type"], finding.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(root, path)
    if kind in ("enum", "literal_error"):
        return _not_one_of(str(finding["input"]), str(context["expected"]))
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**context)
    return _EXPECTED.get(kind) or str(finding["msg"])


def _unknown_key(root: type[BaseModel], path: Path) -> str:
    key = str(path[-1])
    section = section_at(root, path[:-1])
    known = list(section.model_fields) if section else []
    if "keys" in known and key.lower() in _SECRET_KEYS:
        return "unknown key; secrets are references: keys: [{env: NAME}] or [{file: PATH}]"
    if close := difflib.get_close_matches(key.lower(), known, n=1):
        return f"unknown key; did you mean '{close[0]}'?"
    if elsewhere := [name for name, _, _ in leaves(root) if name.split(".")[-1] == key]:
        return f"unknown key here; did you mean '{elsewhere[0]}'?"
    return f"unknown key; known here: {', '.join(known)}"


def _not_one_of(given: str, expected: str) -> str:
    known = expected.replace(" or ", ", ").replace("'", "").split(", ")
    close = difflib.get_close_matches(given.lower(), known, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"must be {expected.replace(chr(39), '')}{hint}"


def _written(location: tuple[str | int, ...], data: Any) -> Path:
    """The part of pydantic's location that stands in the document: it adds names of its own."""
    path: list[str | int] = []
    here = data
    last = len(location) - 1
    for index, part in enumerate(location):
        if _holds(here, part):
            here = here[part]
            path.append(part)
        elif index == last and isinstance(here, dict) and part != "[key]":
            path.append(part)  # a key that is missing
    return tuple(path)


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, dict) and part in value
