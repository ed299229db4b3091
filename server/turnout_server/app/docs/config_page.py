"""docs/config.md: every key of the configuration, from the tree itself."""

import types
import typing
from collections.abc import Iterator
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from turnout_server.app.config.section import Reference
from turnout_server.app.config.tree import Config
from turnout_server.app.config.units import Bytes, Seconds, Share
from turnout_server.app.config.walk import leaves, section_in
from turnout_server.app.docs.markdown import code, page, table

_INTRODUCTION = """\
`turnout serve --config turnout.yaml` reads one YAML file; without it everything below has its
default. `turnout check-config turnout.yaml` checks a file as strictly as the server does, and says
file, line, key and remedy for everything that is wrong at once. For editors and other tools:
[config.schema.json](config.schema.json), also printed by `turnout config-schema`.

- **Unknown keys are refused**, with the nearest known name.
- **Durations and sizes carry units**: `5ms`, `30s`, `10m`, `2h`, `7d`; `64KiB`, `256MiB`, `2GiB`.
- **Secrets are only references**: `{env: NAME}` or `{file: PATH}`. A secret in the file is refused.
- **The environment overrides the file**: `TURNOUT_SERVER__LISTEN` is `server.listen`. Two
  underscores part the keys, a value is read as YAML would read it.
- **A file that changes is reloaded whole or not at all**, and so is a key file that it names;
  SIGHUP asks for it at once. Calls under way keep the configuration that they began with. `server`
  is read once, at the start.

```yaml
server: {listen: 0.0.0.0:50051, drain_grace: 45s}
providers:
  anthropic: {}
  openai-eu:
    row: openai
    base_url: https://eu.api.openai.com/v1
    keys: [{env: OPENAI_API_KEY}, {file: /run/secrets/openai-2}]
models:
  smart: {targets: [anthropic/claude-sonnet-5, openai-eu/gpt-5.5]}
```
"""

_VARIABLES = (
    ("TURNOUT_ADDRESS", "where the client commands find the server: `127.0.0.1:50051`"),
    ("TURNOUT_API_KEY", "what the client commands authenticate with: nothing"),
    ("TURNOUT_MODELS_DIR", "where the embedded models lie: `turnout/models` in the user's cache"),
)


def config_page() -> str:
    """The page's text."""
    return page("Configuration", _lines())


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    for name, info in Config.model_fields.items():
        section = section_in(info.annotation)
        assert section is not None, name
        yield f"## {name}"
        yield ""
        yield info.description or ""
        yield ""
        rows = [row for row in _rows() if row[0].startswith((f"`{name}.", f"`{name}["))]
        yield from table(["key", "is", "default", "meaning"], rows)
    yield "## Other variables"
    yield ""
    yield from table(["variable", "says, and is by default"], ((code(n), w) for n, w in _VARIABLES))


def _rows() -> list[tuple[str, str, str, str]]:
    return [
        (code(path), kind_of(info.annotation), _default(info, section), info.description or "")
        for path, info, section in leaves(Config)
        if not path.endswith((".env", ".file"))  # a reference is one thing, explained at the top
    ]


def kind_of(annotation: Any) -> str:
    """What a value of a type looks like in the file."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return kind_of(arguments[0])
    if origin in (types.UnionType, typing.Union):
        kinds = [kind_of(one) for one in arguments if one is not type(None)]
        return " or ".join(dict.fromkeys(kinds))
    if origin is Literal:
        return ", ".join(map(code, arguments))
    if origin is list:
        return f"list of {kind_of(arguments[0])}"
    if origin is dict:
        return f"name: {kind_of(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(code(str(one.value)) for one in annotation)
    return _SIMPLE.get(annotation, "mapping")


_SIMPLE: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Seconds: "duration",
    Bytes: "size",
    Share: "percentage",
    Reference: "reference",
    Any: "any",
}


def _default(info: FieldInfo, section: type[BaseModel] | None) -> str:
    if info.is_required():
        return "required"
    default = info.get_default(call_default_factory=True)
    if default is None or default is PydanticUndefined or default in ({}, []):
        return ""
    if section is not None and isinstance(default, BaseModel):
        return ""
    return code(str(default).lower() if isinstance(default, bool) else str(default))
