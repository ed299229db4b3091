"""The whole of the configuration file."""

import re
from typing import Annotated

from pydantic import AfterValidator

from turnout_server.app.config.auth import Auth
from turnout_server.app.config.models import AliasConfig
from turnout_server.app.config.providers import ProviderConfig
from turnout_server.app.config.section import Section, refusal
from turnout_server.app.config.server import Server
from turnout_server.app.config.stores import Batching, Cache, Limits, UsageConfig
from turnout_server.app.config.telemetry import TelemetryConfig

_PROVIDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _provider_name(name: str) -> str:
    if not _PROVIDER.fullmatch(name):
        raise refusal(f"'{name}' names no provider: use letters, digits, '.', '_' and '-'")
    return name


def _alias_name(name: str) -> str:
    if not 1 <= len(name) <= 256 or name != name.strip():
        raise refusal("an alias is 1 to 256 signs long, without spaces around it")
    return name


class Config(Section):
    """The whole of the configuration file. Every section may be left out."""

    server: Server = Server()
    """The ports, and how the process behaves on them."""

    auth: Auth = Auth()
    """Who may call. Everybody while no mode is set, nobody unknown once one is."""

    providers: dict[Annotated[str, AfterValidator(_provider_name)], ProviderConfig] | None = None
    """The providers, by the name that callers and metrics see. Without this section: each row of
    the catalogue whose key is in the environment, and `local`."""

    models: dict[Annotated[str, AfterValidator(_alias_name)], AliasConfig] | None = None
    """The aliases. `provider/model` always works too. Without this section: `chat` and `embed`,
    each a chain of the providers' default models, `local` last."""

    cache: Cache = Cache()
    """Answers kept for equal questions."""

    limits: Limits = Limits()
    """What tenants may use."""

    batching: Batching = Batching()
    """Small embedding calls joined into one upstream."""

    usage: UsageConfig = UsageConfig()
    """The ledger of what was used."""

    telemetry: TelemetryConfig = TelemetryConfig()
    """What the process tells of itself; prompts and answers are never part of it."""
