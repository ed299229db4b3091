"""The addresses of Redis and of the ledger: plain, or behind a reference because of a password."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from turnout_server.app.config.document import Document
from turnout_server.app.config.environment import environment
from turnout_server.app.config.problem import Problem
from turnout_server.app.config.section import Reference
from turnout_server.app.config.stores import REDIS
from turnout_server.app.config.tree import Config
from turnout_server.core.target import Secret
from turnout_server.providers.keys import MissingSecret, read_secret

OFF = "off"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the stores are, each resolved; None for one that is not needed. Never logged."""

    cache: Secret | None = None
    limits: Secret | None = None
    usage: Secret | None = None
    integrity_key: Secret | None = None


def read_addresses(config: Config, environ: Mapping[str, str]) -> Addresses:
    """What `find_url_problems` has found nothing wrong with."""
    cache, limits, usage = config.cache, config.limits, config.usage
    key = cache.integrity_key
    return Addresses(
        cache=_read(cache.url, environ) if cache.backend == "redis" else None,
        limits=_read(limits.url, environ) if limits.backend == "redis" else None,
        usage=_read(usage.url, environ) if usage.url != OFF else None,
        integrity_key=read_secret(key.secret_ref, environ) if key else None,
    )


def _read(url: Reference | str | None, environ: Mapping[str, str]) -> Secret | None:
    return None if url is None else Secret(read_url(url, environ))


def read_url(url: Reference | str, environ: Mapping[str, str] | None = None) -> str:
    """The address itself, which may hold a password; raises MissingSecret."""
    if isinstance(url, str):
        return url
    return read_secret(url.secret_ref, environment() if environ is None else environ).reveal()


def find_url_problems(
    config: Config, document: Document, environ: Mapping[str, str]
) -> Iterator[Problem]:
    """A problem for each address that is needed and missing, or behind a broken reference."""
    for name, section in (("cache", config.cache), ("limits", config.limits)):
        if section.backend == "redis" and section.url is None:
            message = "backend redis needs url: redis://host:6379/0, or {env: NAME}"
            yield document.problem((name, "backend"), message)
    for name, url in _urls(config):
        try:
            found = read_url(url, environ)
        except MissingSecret as missing:
            yield document.problem((name, "url"), str(missing))
        else:
            if name != "usage" and not found.startswith(REDIS):
                message = f"{_named(url)} leads to no address of Redis, which begins with redis://"
                yield document.problem((name, "url"), message)
    if (key := config.cache.integrity_key) is not None:
        try:
            read_secret(key.secret_ref, environ)
        except MissingSecret as missing:
            yield document.problem(("cache", "integrity_key"), str(missing))


def _named(url: Reference | str) -> str:
    return url if isinstance(url, str) else str(url.secret_ref)


def url_files(config: Config) -> Iterator[Path]:
    """The files that hold addresses."""
    for _, url in _urls(config):
        if isinstance(url, Reference) and url.file:
            yield Path(url.file)
    if (key := config.cache.integrity_key) is not None and key.file:
        yield Path(key.file)


def _urls(config: Config) -> Iterator[tuple[str, Reference | str]]:
    for name, url in (
        ("cache", config.cache.url),
        ("limits", config.limits.url),
        ("usage", config.usage.url),
    ):
        if url is not None:
            yield name, url
