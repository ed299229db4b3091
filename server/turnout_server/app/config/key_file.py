"""The file of API keys that `auth.api_keys_file` names."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from turnout_server.app.config.auth import AccessConfig
from turnout_server.app.config.document import read_yaml
from turnout_server.app.config.explain import explain
from turnout_server.app.config.problem import ConfigError, Problem
from turnout_server.app.config.section import Section


class KeyEntry(AccessConfig):
    """One API key: what proves it, whose it is, and what it may do."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    """The key's public part."""

    hmac: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """HMAC-SHA-256 of its secret under the pepper, in hex."""

    tenant: Annotated[str, Field(min_length=1, max_length=128)]
    """The tenant that its calls belong to."""

    may_act_for: list[str] = Field(default_factory=list)
    """Tenants that its calls may name in `x-tenant-id`; `"*"` for any."""


class KeyFile(Section):
    """The keys in force."""

    keys: list[KeyEntry] = Field(default_factory=list)
    """One entry a key."""


def read_key_file(file: Path) -> list[KeyEntry]:
    """Read and check a key file, YAML or JSON; raises ConfigError with every problem."""
    try:
        document = read_yaml(file.read_text("utf-8"), str(file))
    except UnicodeDecodeError:
        raise ConfigError([Problem(str(file), "", "is not UTF-8 text")]) from None
    except OSError as error:
        raise ConfigError([Problem(str(file), "", f"cannot be read: {error.strerror}")]) from None
    try:
        keys = KeyFile.model_validate(document.data).keys
    except ValidationError as error:
        raise ConfigError(explain(error, KeyFile, document)) from None
    ids = [key.id for key in keys]
    if repeated := [i for i, key in enumerate(ids) if key in ids[:i]]:
        raise ConfigError(
            [document.problem(("keys", i, "id"), "stands here twice; keep one") for i in repeated]
        )
    return keys
