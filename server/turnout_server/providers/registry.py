"""Makes the client of an endpoint, loading its wire's file, and thereby its SDK, only then.

A wire is a folder of this package with two files of note: `options.py`, whose `Options` is a Struct
or dataclass of what a row may say to it, and `client.py`, whose `Client` is made from an endpoint.
Only the second loads the vendor's SDK, so checking a configuration costs none of its import.
"""

import importlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import inspect

from turnout_server.core.target import Endpoint
from turnout_server.providers.catalogue import CatalogueError, did_you_mean
from turnout_server.providers.provider import Provider


def can_run_local() -> bool:
    """Whether the embedded models' runtime is installed; loads nothing."""
    return importlib.util.find_spec("xllamacpp") is not None


def check_options(wire: str, options: Mapping[str, object]) -> None:
    """Raise CatalogueError for the first option that the wire does not know or cannot read."""
    schema = _part(wire, "options").Options
    shape = inspect.type_info(schema)
    assert isinstance(shape, inspect.StructType | inspect.DataclassType)
    known = [field.encode_name for field in shape.fields]
    for key in options:
        if key not in known:
            hint = did_you_mean(key, known)
            raise CatalogueError(f"wire {wire} has no option '{key}'{hint}")
    try:
        msgspec.convert(dict(options), schema)
    except msgspec.ValidationError as error:
        message = str(error).replace(" - at `$.", "; see option `")
        raise CatalogueError(f"wire {wire}: {message}") from None


def make_client(endpoint: Endpoint) -> Provider:
    """The provider at an endpoint; the first of a wire costs up to two seconds of import."""
    client: Provider = _part(endpoint.wire, "client").Client(endpoint)
    return client


class Registry:
    """The clients of the endpoints in use. A client serves every snapshot that agrees on it.

    Keys and limits are no part of a client, so rotating a key costs no connection.
    """

    def __init__(self, make: Callable[[Endpoint], Provider] = make_client) -> None:
        self._make = make
        self._clients: dict[str, Provider] = {}

    def provider(self, endpoint: Endpoint) -> Provider:
        """The client of an endpoint, made on the first call."""
        identity = _identity(endpoint)
        client = self._clients.get(identity)
        if client is None:
            client = self._make(endpoint)
            self._clients[identity] = client
        return client

    def retire(self, keep: Iterable[Endpoint]) -> list[Provider]:
        """Forget every client but those of `keep`; the caller closes the forgotten ones.

        Streams may still run on them: close each once its last stream is over.
        """
        kept = {_identity(endpoint) for endpoint in keep}
        forgotten = [client for key, client in self._clients.items() if key not in kept]
        self._clients = {key: client for key, client in self._clients.items() if key in kept}
        return forgotten

    async def aclose(self) -> None:
        """Close every client."""
        for client in self.retire(keep=()):
            await client.aclose()


def _part(wire: str, name: str) -> Any:
    return importlib.import_module(f"turnout_server.providers.{wire}.{name}")


def _identity(endpoint: Endpoint) -> str:
    """Two endpoints of one identity may share a client: all but keys and limits is equal."""
    parts = (
        endpoint.name,
        endpoint.row,
        endpoint.wire,
        endpoint.base_url,
        endpoint.timeouts,
        sorted(endpoint.headers.items()),
        sorted(endpoint.options.items()),
    )
    return repr(parts)
