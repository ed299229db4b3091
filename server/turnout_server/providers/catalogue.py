"""The providers we know, as rows of data; what a row may say is checked when it is read.

CatalogueError      a row that cannot be used; its text names row, key and remedy
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.resources import files
from typing import Any

from turnout.v1.model_service_pb2 import Capability

Capabilities = frozenset[Capability.ValueType]

LOCAL = "local"
"""The row of the embedded models; its address is known only once their server runs."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_STATUSES = ("verified", "community")


class CatalogueError(ValueError):
    """A row or table that cannot be used; the text is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Row:
    """A provider as it is known to everybody, before anyone configured it.

    `options` are the keys that only the wire understands; `providers.registry` checks them.
    """

    name: str
    title: str
    wire: str
    capabilities: Capabilities
    base_url: str = ""
    key_env: str = ""
    status: str = "community"
    chat_model: str = ""
    embed_model: str = ""
    prices: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, object] = field(default_factory=dict)

    @property
    def placeholders(self) -> tuple[str, ...]:
        """What an endpoint must say before `base_url` is an address, in order."""
        return tuple(dict.fromkeys(_PLACEHOLDER.findall(self.base_url)))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every row by its name, in the order of the file."""

    rows: Mapping[str, Row]

    def find(self, name: str) -> Row | None:
        """The row of that name, or None."""
        return self.rows.get(name)

    def nearest(self, name: str) -> list[str]:
        """Names of rows that look like `name`, the nearest first."""
        return nearest(name, self.rows)


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three of `known` that look like `name`, the nearest first."""
    return difflib.get_close_matches(name.lower(), list(known), n=3, cutoff=0.6)


@cache
def load() -> Catalogue:
    """The catalogue that came with this package."""
    text = files("turnout_server.providers").joinpath("catalogue.toml").read_text("utf-8")
    return parse(text)


def parse(text: str) -> Catalogue:
    """Read rows from TOML; raises CatalogueError at the first that says something unknown."""
    return Catalogue({name: _row(name, table) for name, table in tomllib.loads(text).items()})


def capability(name: str) -> Capability.ValueType:
    """`parallel_tools` as CAPABILITY_PARALLEL_TOOLS; raises CatalogueError for any other word."""
    try:
        return Capability.Value(f"CAPABILITY_{name.upper()}")
    except ValueError:
        known = [key.removeprefix("CAPABILITY_").lower() for key in Capability.keys()[1:]]
        raise CatalogueError(
            f"no capability is named '{name}'{did_you_mean(name, known)}"
        ) from None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that nobody knows: empty when nothing looks like it."""
    close = nearest(name, known)
    return f"; did you mean '{close[0]}'?" if close else ""


_OPENAI_CHAT = "chat streaming tools parallel_tools vision json_schema thinking seed"
_ANTHROPIC = "chat streaming tools parallel_tools vision documents json_schema thinking"
_WIRE_CAPABILITIES = {
    "openai_chat": _OPENAI_CHAT.split(),
    "anthropic_messages": [*_ANTHROPIC.split(), "prompt_cache", "prefill"],
    "scripted": [*_OPENAI_CHAT.split(), "embeddings", "prefill"],
}
"""What each wire can carry, where a row says nothing else."""

_TEXT_KEYS = frozenset(
    {"title", "wire", "base_url", "key_env", "status", "chat_model", "embed_model", "prices"}
)
_ROW_KEYS = _TEXT_KEYS | {"capabilities", "adds", "lacks", "headers"}
assert _TEXT_KEYS | {"name", "capabilities", "headers", "options"} == {f.name for f in fields(Row)}


def _row(name: str, table: Any) -> Row:
    if not isinstance(table, dict):
        raise CatalogueError(f"{name}: a row is a table, such as [{name}]")
    try:
        text = {key: _text(key, table[key]) for key in _TEXT_KEYS & table.keys()}
        for key in ("title", "wire"):
            if not text.get(key):
                raise CatalogueError(f"{key} is missing{_misspelled(key, table)}")
        if text["wire"] not in _WIRE_CAPABILITIES:
            hint = did_you_mean(text["wire"], _WIRE_CAPABILITIES)
            raise CatalogueError(f"no wire is named '{text['wire']}'{hint}")
        if text.get("status", "community") not in _STATUSES:
            raise CatalogueError(f"status is one of {', '.join(_STATUSES)}")
        return Row(
            name=name,
            **text,
            capabilities=_capabilities(text["wire"], table),
            headers={key: _text(key, value) for key, value in table.get("headers", {}).items()},
            options={key: value for key, value in table.items() if key not in _ROW_KEYS},
        )
    except CatalogueError as error:
        raise CatalogueError(f"{name}: {error}") from None


def _capabilities(wire: str, table: Mapping[str, Any]) -> Capabilities:
    names = {*table.get("capabilities", _WIRE_CAPABILITIES[wire]), *table.get("adds", ())}
    lacks = table.get("lacks", ())
    if idle := [name for name in lacks if name not in names]:
        raise CatalogueError(f"lacks {', '.join(idle)}, which it was never said to have")
    return frozenset(capability(name) for name in names.difference(lacks))


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise CatalogueError(f"{key} is text, not {type(value).__name__}")
    return value


def _misspelled(key: str, table: Mapping[str, Any]) -> str:
    close = nearest(key, table.keys() - _ROW_KEYS)
    return f"; is '{close[0]}' meant?" if close else ""
