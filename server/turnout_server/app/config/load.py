"""Loads a configuration: file, environment over it, strict check. Nothing is half accepted."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from turnout_server.app.config.document import Document, read_yaml
from turnout_server.app.config.environment import environment, overlay
from turnout_server.app.config.explain import explain
from turnout_server.app.config.problem import ConfigError, Problem
from turnout_server.app.config.tree import Config
from turnout_server.app.config.walk import is_mapping, section_in


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and the document it was read from, for problems found later."""

    config: Config
    document: Document


def load(file: Path | None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read and check a configuration; None means the defaults. Raises ConfigError."""
    document = Document("defaults", {}) if file is None else read_yaml(_text(file), str(file))
    variables = environment() if environ is None else environ
    return check(overlay(document, variables, _SECTIONS))


def check(document: Document) -> Loaded:
    """Check a document against the tree; raises ConfigError with every problem in it."""
    try:
        config = Config.model_validate(document.data)
    except ValidationError as error:
        raise ConfigError(explain(error, Config, document)) from None
    return Loaded(config, document)


_SECTIONS = {
    name: set(section.model_fields)
    for name, info in Config.model_fields.items()
    if (section := section_in(info.annotation)) and not is_mapping(info.annotation)
}


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError:
        raise ConfigError([Problem(str(file), "", "is not UTF-8 text")]) from None
    except OSError as error:
        hint = "check the path given to --config" if isinstance(error, FileNotFoundError) else ""
        reason = "; ".join(filter(None, (f"cannot be read: {error.strerror}", hint)))
        raise ConfigError([Problem(str(file), "", reason)]) from None
