"""The environment: `TURNOUT_SECTION__KEY` laid over the file, and what client commands use."""

import os
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from turnout_server.app.config.document import Document, Path, read_yaml
from turnout_server.app.config.problem import ConfigError, Problem

PREFIX = "TURNOUT_"
SEPARATOR = "__"


def environment() -> Mapping[str, str]:
    """The process's environment."""
    return os.environ


def client_address() -> str:
    """Where the client commands find the server: TURNOUT_ADDRESS, or the default port."""
    return os.environ.get("TURNOUT_ADDRESS") or "127.0.0.1:50051"


def client_key() -> str:
    """What the client commands authenticate with: TURNOUT_API_KEY, empty for nothing."""
    return os.environ.get("TURNOUT_API_KEY", "")


def models_folder() -> FilePath:
    """Where the embedded models lie: TURNOUT_MODELS_DIR, or the user's cache."""
    if folder := os.environ.get("TURNOUT_MODELS_DIR"):
        return FilePath(folder)
    cache = os.environ.get("XDG_CACHE_HOME") or FilePath.home() / ".cache"
    return FilePath(cache) / "turnout" / "models"


def overlay(
    document: Document, environ: Mapping[str, str], sections: Mapping[str, set[str]]
) -> Document:
    """Lay every variable with a `__` in its name over the document; raises ConfigError.

    Other variables that begin with TURNOUT_ are none of ours: Kubernetes sets some in every pod
    beside a service of that name. Only one that is a misspelt key for certain is refused.
    """
    data, origins = _copy(document.data), dict(document.origins)
    problems = []
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        if SEPARATOR not in name:
            if meant := _meant(name, sections):
                problems.append(Problem(name, "", f"names no key; is {meant} meant?"))
            continue
        try:
            path = _put(data, name, environ[name])
        except ConfigError as error:
            problems.extend(error.problems)
        else:
            origins[path] = name
    if problems:
        raise ConfigError(problems)
    return Document(document.name, data, origins)


def _put(data: dict[str, Any], name: str, text: str) -> Path:
    """Set the key that a variable names and return its path; creates mappings on the way."""
    path: list[str | int] = []
    *parents, last = (part for part in name.removeprefix(PREFIX).lower().split(SEPARATOR))
    here = data
    for part in parents:
        key = _written_as(part, here)
        path.append(key)
        below = here.setdefault(key, {})
        if not isinstance(below, dict):
            raise ConfigError([Problem(name, "", f"'{key}' is no mapping, so nothing is below it")])
        here = below
    key = _written_as(last, here)
    here[key] = _value(text, name)
    return (*path, key)


def _written_as(part: str, mapping: Mapping[str, Any]) -> str:
    """The key of a mapping that a variable can only spell in capitals and underscores."""
    for key in mapping:
        if str(key).lower().replace("-", "_").replace(".", "_") == part:
            return str(key)
    return part


def _value(text: str, name: str) -> Any:
    """Read a value as YAML would, so that lists and numbers can be given; anything else is text."""
    try:
        return read_yaml(f"value: {text}", name).data["value"] if text.strip() else ""
    except ConfigError:
        return text


def _meant(name: str, sections: Mapping[str, set[str]]) -> str:
    for section, keys in sections.items():
        key = name.removeprefix(f"{PREFIX}{section.upper()}_").lower()
        if name.startswith(f"{PREFIX}{section.upper()}_") and key in keys:
            return f"{PREFIX}{section.upper()}{SEPARATOR}{key.upper()}"
    return ""


def _copy(value: Any) -> Any:
    """Copy the mappings, so that the overlay leaves the file's own data alone."""
    if isinstance(value, dict):
        return {key: _copy(below) for key, below in value.items()}
    return value
