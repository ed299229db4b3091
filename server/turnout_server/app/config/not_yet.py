"""What the configuration can say and the server cannot do yet: refused by name, never ignored.

Landing a feature means deleting its line here; an empty table means that all of it works.
"""

from collections.abc import Iterator
from typing import Any

from turnout_server.app.config.document import Document, Path
from turnout_server.app.config.problem import Problem
from turnout_server.app.config.tree import Config

NOT_YET: dict[str, str] = {
    "cache": "the response cache",
    "limits": "limits of tenants",
    "batching": "batching of embedding calls",
    "usage": "the usage ledger",
}
"""Path of a key (`*` for any name) and what is missing behind it."""


def find_not_yet(document: Document, config: Config) -> Iterator[Problem]:
    """A problem for each key that asks for what does not work; its default asks for nothing."""
    for pattern, what in NOT_YET.items():
        for path in _matches(document.data, pattern.split(".")):
            if _asks_for_more(config, path):
                message = f"{what} is not built yet; remove this key"
                yield document.problem(path, message)


def _matches(data: Any, pattern: list[str], above: Path = ()) -> Iterator[Path]:
    if not pattern:
        yield above
    elif isinstance(data, dict):
        for key in data if pattern[0] == "*" else [pattern[0]]:
            if key in data:
                yield from _matches(data[key], pattern[1:], (*above, key))


def _asks_for_more(config: Config, path: Path) -> bool:
    """Whether what stands at a path differs from the default of its field."""
    *above, last = path
    section: Any = config
    for part in above:
        section = section[part] if isinstance(section, dict) else getattr(section, str(part))
    return bool(getattr(section, str(last)) != type(section).model_fields[str(last)].get_default())
