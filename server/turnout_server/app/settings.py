"""From a file, or none, to what the server runs on: one call, every problem at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from turnout_server.app.authentication import AuthFiles, auth_files, read_auth
from turnout_server.app.config.environment import environment
from turnout_server.app.config.load import Loaded, load
from turnout_server.app.config.problem import ConfigError, Problem
from turnout_server.app.config.providers import ProviderConfig
from turnout_server.app.config.tree import Config
from turnout_server.app.credentials import TlsFiles, read_tls
from turnout_server.app.endpoints import EndpointMaker
from turnout_server.app.routes import find_route_problems, make_aliases
from turnout_server.app.urls import Addresses, find_url_problems, read_addresses, url_files
from turnout_server.app.zero_config import default_aliases, key_variables, providers_at_hand
from turnout_server.policy.routes import Routes
from turnout_server.providers import cards, catalogue
from turnout_server.providers.catalogue import Catalogue
from turnout_server.providers.registry import can_run_local


@dataclass(frozen=True, slots=True)
class Settings:
    """One configuration, checked and resolved. A change in any of `files` makes it stale."""

    config: Config
    routes: Routes
    files: frozenset[Path]
    auth: AuthFiles
    tls: TlsFiles | None
    addresses: Addresses


def read_settings(
    file: Path | None,
    environ: Mapping[str, str] | None = None,
    *,
    read_secrets: bool = True,
) -> Settings:
    """Read a configuration and everything it refers to; None means zero configuration.

    Raises ConfigError with every problem. It blocks on files and on importing the SDKs of the
    providers it names, up to seconds: call it off the event loop. Without `read_secrets`, keys and
    certificates may be missing, and endpoints have no keys.
    """
    variables = environment() if environ is None else environ
    loaded = load(file, variables)
    rows = catalogue.load()
    providers = _providers(loaded, rows, variables)
    aliases = loaded.config.models
    if aliases is None:
        aliases = default_aliases(providers, rows)

    maker = EndpointMaker(loaded.document, rows, variables, read_secrets=read_secrets)
    endpoints = maker.make(providers)
    problems = [
        *endpoints.problems,
        *find_route_problems(aliases, frozenset(providers), rows, loaded.document),
        *_unshareable(loaded),
        *(_missing(loaded, variables) if read_secrets else ()),
    ]
    auth, tls = AuthFiles(), None
    if read_secrets and not problems:
        try:
            auth = read_auth(loaded.config, loaded.document, variables)
        except ConfigError as error:
            problems += error.problems
        try:
            tls = read_tls(loaded.config.server.tls, loaded.document)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)

    card_of = cards.load(rows).card_of
    routes = Routes(
        aliases=make_aliases(aliases, endpoints.by_name, card_of),
        endpoints=endpoints.by_name,
        card_of=card_of,
    )
    files = frozenset(_files(file, loaded.config, providers))
    addresses = read_addresses(loaded.config, variables) if read_secrets else Addresses()
    return Settings(loaded.config, routes, files, auth, tls, addresses)


def _providers(
    loaded: Loaded, rows: Catalogue, environ: Mapping[str, str]
) -> Mapping[str, ProviderConfig]:
    if loaded.config.providers is not None:
        return loaded.config.providers
    found = providers_at_hand(rows, environ, with_local=can_run_local())
    if not found:
        keys = ", ".join(key_variables(rows)[:3])
        message = (
            f"no provider at hand: export a key ({keys}, …), install turnout-server[local], "
            "or name providers in a file"
        )
        raise ConfigError([Problem(loaded.document.name, "providers", message)])
    return found


def _missing(loaded: Loaded, environ: Mapping[str, str]) -> Iterator[Problem]:
    yield from find_url_problems(loaded.config, loaded.document, environ)
    for path, name in _named_files(loaded.config):
        if not Path(name).is_file():
            yield loaded.document.problem(path, f"no such file: {name}")


def _unshareable(loaded: Loaded) -> Iterator[Problem]:
    server = loaded.config.server
    if server.workers == 1:
        return
    for key in ("listen", "admin_listen", "metrics_listen"):
        if (getattr(server, key) or "").startswith("unix:"):
            message = "a socket file cannot be shared by workers; use host:port"
            yield loaded.document.problem(("server", key), message)


def _named_files(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    if config.server.tls is not None:
        for key in ("cert_file", "key_file", "client_ca_file"):
            if name := getattr(config.server.tls, key):
                yield ("server", "tls", key), name
    if config.auth.api_keys_file is not None:
        yield ("auth", "api_keys_file"), config.auth.api_keys_file


def _files(
    file: Path | None, config: Config, providers: Mapping[str, ProviderConfig]
) -> Iterator[Path]:
    if file is not None:
        yield file
    yield from url_files(config)
    yield from auth_files(config.auth)
    for _, name in _named_files(config):
        yield Path(name)
    for provider in providers.values():
        for reference in provider.keys or ():
            if reference.file:
                yield Path(reference.file)
