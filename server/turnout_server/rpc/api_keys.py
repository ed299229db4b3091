"""API keys: `turnout_<id>.<secret>`, of which the server keeps an HMAC and nothing else.

A key is found by its id and proved by its secret. The pepper, a secret of the installation, makes
a stolen key file worthless: without it no guess can be checked.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from turnout_server.core.call import Identity
from turnout_server.core.target import Secret

PREFIX = "turnout_"
MAX_KEY_CHARS = 256


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key as the server knows it: whose it is, and the HMAC-SHA-256 of its secret."""

    id: str
    digest: bytes
    identity: Identity


class ApiKeys:
    """The keys in force; immutable, so that a changed file means a new one."""

    def __init__(self, keys: Iterable[ApiKey], pepper: Secret) -> None:
        self._keys = {key.id: key for key in keys}
        self._pepper = pepper
        # What an unknown id is compared with: it costs as much as a known one, and never fits.
        self._nobody = ApiKey("", secrets.token_bytes(32), Identity(tenant=""))

    async def identify(self, token: str) -> Identity | None:
        """Whose key this is; None for any other text, after the same work."""
        name, _, secret = token[:MAX_KEY_CHARS].partition(".")
        key = self._keys.get(name.removeprefix(PREFIX), self._nobody)
        proved = hmac.compare_digest(digest_of(secret, self._pepper), key.digest)
        known = key is not self._nobody and name.startswith(PREFIX)
        return key.identity if proved and known else None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: `text` goes to the caller and is kept nowhere, the rest into the file."""

    id: str
    text: str
    digest: bytes


def new_key(pepper: Secret) -> NewKey:
    """Make a key of 256 random bits."""
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    return NewKey(key_id, f"{PREFIX}{key_id}.{secret}", digest_of(secret, pepper))


def digest_of(secret: str, pepper: Secret) -> bytes:
    """What is kept of a secret."""
    raw = secret.encode("utf-8", "surrogatepass")
    return hmac.digest(pepper.reveal().encode(), raw, hashlib.sha256)
