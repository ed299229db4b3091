"""From `auth` in the configuration to the rules that calls are held to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.request import url2pathname

from turnout_server.app.config.auth import AccessConfig, Auth
from turnout_server.app.config.document import Document
from turnout_server.app.config.key_file import KeyEntry, read_key_file
from turnout_server.app.config.problem import ConfigError, Problem
from turnout_server.app.config.tree import Config
from turnout_server.core.call import Identity, Priority
from turnout_server.providers.keys import MissingSecret, read_secret
from turnout_server.rpc.access import Access
from turnout_server.rpc.api_keys import ApiKey, ApiKeys
from turnout_server.rpc.auth import Authenticator, AuthRules
from turnout_server.rpc.jwks import BadKeySet, FixedKeys, KeySource, PublishedKeys
from turnout_server.rpc.jwt import Issuer, Tokens
from turnout_server.rpc.mtls import Peers

_FILE = "file://"


@dataclass(frozen=True, slots=True)
class AuthFiles:
    """What the files and secrets behind `auth` hold; None for what is not configured."""

    api_keys: ApiKeys | None = None
    jwks: FixedKeys | None = None


def read_auth(config: Config, document: Document, environ: Mapping[str, str]) -> AuthFiles:
    """Read the files and secrets behind `auth`; raises ConfigError with every problem."""
    problems: list[Problem] = []
    auth = config.auth
    api_keys = jwks = None
    if auth.api_keys_file is not None:
        try:
            api_keys = _api_keys(auth, document, environ)
        except ConfigError as error:
            problems += error.problems
    if (file := jwks_file(auth)) is not None:
        try:
            jwks = FixedKeys(file.read_bytes())
        except OSError as error:
            message = f"cannot read {file}: {error.strerror}"
            problems.append(document.problem(("auth", "jwt", "jwks"), message))
        except BadKeySet as bad:
            problems.append(document.problem(("auth", "jwt", "jwks"), f"{file} {bad}"))
    if auth.mtls is not None and (
        config.server.tls is None or not config.server.tls.client_ca_file
    ):
        message = "needs server.tls.client_ca_file: it vouches for the certificates"
        problems.append(document.problem(("auth", "mtls"), message))
    if problems:
        raise ConfigError(problems)
    return AuthFiles(api_keys, jwks)


def auth_files(auth: Auth) -> Iterator[Path]:
    """The files that `auth` depends on beside the key file."""
    if auth.api_keys_pepper is not None and auth.api_keys_pepper.file:
        yield Path(auth.api_keys_pepper.file)
    if (file := jwks_file(auth)) is not None:
        yield file


def jwks_file(auth: Auth) -> Path | None:
    """The file that holds the issuer's keys; None when they are published at an address."""
    if auth.jwt is None or not auth.jwt.jwks.startswith(_FILE):
        return None
    return Path(url2pathname(auth.jwt.jwks.removeprefix(_FILE)))


class RuleMaker:
    """Makes the rules of each configuration in turn.

    An issuer's published keys outlive the configuration, so that a reload while the issuer is down
    locks nobody out.
    """

    def __init__(self) -> None:
        self._published: dict[str, PublishedKeys] = {}
        self._tokens: tuple[Issuer, KeySource, Tokens] | None = None

    def make(self, auth: Auth, files: AuthFiles) -> AuthRules:
        """The rules that a configuration asks for."""
        authenticators: list[Authenticator] = []
        if files.api_keys is not None:
            authenticators.append(files.api_keys)
        if auth.jwt is not None:
            issuer = Issuer(auth.jwt.issuer, auth.jwt.audience, auth.jwt.tenant_claim)
            authenticators.append(self._tokens_of(issuer, files.jwks or self._keys(auth.jwt.jwks)))
        peers = None
        if auth.mtls is not None:
            trusted = frozenset(auth.mtls.trusted_peers)
            peers = Peers(auth.mtls.trust_domain, auth.mtls.tenants, trusted)
        tenants = {name: _access(access) for name, access in auth.tenants.items()}
        return AuthRules(tuple(authenticators), peers, tenants)

    def _keys(self, url: str) -> PublishedKeys:
        return self._published.setdefault(url, PublishedKeys(url))

    def _tokens_of(self, issuer: Issuer, keys: KeySource) -> Tokens:
        if self._tokens is None or self._tokens[:2] != (issuer, keys):
            self._tokens = (issuer, keys, Tokens(issuer, keys))
        return self._tokens[2]


def _api_keys(auth: Auth, document: Document, environ: Mapping[str, str]) -> ApiKeys:
    assert auth.api_keys_file is not None
    assert auth.api_keys_pepper is not None
    try:
        pepper = read_secret(auth.api_keys_pepper.secret_ref, environ)
    except MissingSecret as missing:
        path = ("auth", "api_keys_pepper")
        raise ConfigError([document.problem(path, str(missing))]) from None
    file = Path(auth.api_keys_file)
    if not file.is_file():  # said with the line that names it
        return ApiKeys((), pepper)
    return ApiKeys(map(_api_key, read_key_file(file)), pepper)


def _api_key(entry: KeyEntry) -> ApiKey:
    access = _access(entry)
    identity = Identity(
        tenant=entry.tenant,
        subject=entry.id,
        allowed_models=access.models,
        allowed_methods=access.methods,
        max_output_tokens=access.max_output_tokens,
        priority=access.priority,
        may_act_for=frozenset(entry.may_act_for),
    )
    return ApiKey(entry.id, bytes.fromhex(entry.hmac), identity)


def _access(config: AccessConfig) -> Access:
    return Access(
        models=None if config.models is None else frozenset(config.models),
        methods=None if config.methods is None else frozenset(config.methods),
        max_output_tokens=config.max_output_tokens,
        priority=Priority[config.priority.upper()],
    )
