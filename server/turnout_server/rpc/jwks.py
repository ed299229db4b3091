"""The public keys of a token issuer: fixed, or fetched from where the issuer publishes them.

BadKeySet           the document is no JWK set with a usable key
"""

import asyncio
import json
import ssl
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPMessage
from typing import IO, Any, Protocol

import structlog
from jwt import PyJWK, PyJWKSet
from jwt.exceptions import PyJWTError

from turnout_server.core.clock import SYSTEM_CLOCK, Monotonic

REFRESH_AFTER_S = 600.0
STALE_AT_MOST_S = 24 * 3600.0
REFETCH_EVERY_S = 30.0
"""Tokens may name any key id they like: fetches are at least this far apart, failed ones too."""
FETCH_WITHIN_S = 5.0
MAX_DOCUMENT_BYTES = 1 << 20

_log = structlog.get_logger(__name__)


class BadKeySet(Exception):
    """The document is no JWK set with a usable key."""


class KeySource(Protocol):
    """Where the keys that prove tokens come from."""

    @property
    def generation(self) -> int:
        """Grows whenever the keys change: what an earlier set has proved must be proved again."""
        ...

    async def find(self, key_id: str | None) -> PyJWK | None:
        """The key of an id; without an id the only key, if there is just one."""
        ...


class FixedKeys:
    """Keys that do not change, such as those of a file; a changed file means a new one."""

    generation = 0

    def __init__(self, document: bytes) -> None:
        """Raises BadKeySet."""
        self._keys = _read(document)

    async def find(self, key_id: str | None) -> PyJWK | None:
        """See KeySource.find."""
        return _pick(self._keys, key_id)


class PublishedKeys:
    """Keys at an https address, fetched off the event loop.

    Known keys are used while they are refreshed, and for 24 hours when they cannot be. A key id
    that is not known has them fetched anew, at most every 30 seconds; nobody waits more than 5.
    """

    def __init__(
        self,
        url: str,
        *,
        fetch: Callable[[str], bytes] | None = None,
        monotonic: Monotonic = SYSTEM_CLOCK.monotonic,
    ) -> None:
        self.generation = 0
        self._url = url
        self._fetch = fetch or fetch_document
        self._monotonic = monotonic
        self._document = b""
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched_at = self._asked_at = float("-inf")
        self._fetching: asyncio.Future[bytes] | None = None
        self._failing = False

    async def find(self, key_id: str | None) -> PyJWK | None:
        """See KeySource.find."""
        age_s = self._monotonic() - self._fetched_at
        key = _pick(self._keys, key_id) if age_s < STALE_AT_MOST_S else None
        if key is not None:
            if age_s > REFRESH_AFTER_S:
                self.refresh()
            return key
        fetching = self.refresh()
        if fetching is None:
            return None
        await asyncio.wait((fetching,), timeout=FETCH_WITHIN_S)
        fresh = self._monotonic() - self._fetched_at < STALE_AT_MOST_S
        return _pick(self._keys, key_id) if fresh else None

    def refresh(self) -> asyncio.Future[bytes] | None:
        """Begin to fetch, unless that was done just now; the fetch under way, if there is one."""
        if self._fetching is None and self._monotonic() - self._asked_at >= REFETCH_EVERY_S:
            self._asked_at = self._monotonic()
            loop = asyncio.get_running_loop()
            self._fetching = loop.run_in_executor(None, self._fetch, self._url)
            self._fetching.add_done_callback(self._take)
        return self._fetching

    def _take(self, fetched: asyncio.Future[bytes]) -> None:
        self._fetching = None
        if fetched.cancelled():
            return
        try:
            document = fetched.result()
            keys = _read(document)
        except (OSError, HTTPException, BadKeySet) as error:
            self._complain(error)
            return
        self._fetched_at = self._monotonic()
        self._failing = False
        if document != self._document:
            self._document, self._keys = document, keys
            self.generation += 1

    def _complain(self, error: Exception) -> None:
        """Say so when it begins, not at every try."""
        if not self._failing:
            _log.warning(
                "the issuer's keys cannot be fetched; those that are known stay in force",
                endpoint=self._url,
                count=len(self._keys),
                exc_info=error,
            )
        self._failing = True


def fetch_document(url: str) -> bytes:
    """Read an address: no redirect, no proxy, no more than 1 MiB or about five seconds.

    Blocks. Raises OSError or HTTPException.
    """
    opener = urllib.request.build_opener(
        _Unredirected(),
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
    )
    until = SYSTEM_CLOCK.monotonic() + FETCH_WITHIN_S
    document = b""
    with opener.open(url, timeout=FETCH_WITHIN_S) as response:
        while part := response.read1(1 << 16):
            document += part
            if len(document) > MAX_DOCUMENT_BYTES or SYSTEM_CLOCK.monotonic() > until:
                raise OSError("the key set is too long, or too long on its way")
    return document


class _Unredirected(urllib.request.HTTPRedirectHandler):
    """Whoever can redirect the request could name keys of their own."""

    def redirect_request(
        self,
        _request: urllib.request.Request,
        _file: IO[bytes],
        _code: int,
        _message: str,
        _headers: HTTPMessage,
        _url: str,
    ) -> None:
        """Follow nothing."""


def _read(document: bytes) -> Mapping[str, PyJWK]:
    """The keys for signatures, by their ids."""
    try:
        parsed: Any = json.loads(document)
        if not isinstance(parsed, dict):
            raise BadKeySet("is no JWK set")
        keys = PyJWKSet.from_dict(parsed).keys
    except (PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise BadKeySet(f"is no JWK set: {type(error).__name__}") from None
    usable = {key.key_id or "": key for key in keys if key.public_key_use in ("sig", None)}
    if not usable:
        raise BadKeySet("holds no key for signatures")
    return usable


def _pick(keys: Mapping[str, PyJWK], key_id: str | None) -> PyJWK | None:
    if key_id is None:
        return next(iter(keys.values())) if len(keys) == 1 else None
    return keys.get(key_id)
