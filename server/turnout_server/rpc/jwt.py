"""Bearer tokens that somebody else issues: JWTs, proved by the issuer's public keys."""

import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass

import jwt
from jwt.exceptions import PyJWTError

from turnout_server.core.call import Identity
from turnout_server.core.clock import SYSTEM_CLOCK, Clock
from turnout_server.rpc.jwks import KeySource

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA")
"""Public-key signatures alone: with `none` or an HMAC a caller could sign for itself."""
LEEWAY_S = 60.0
KEPT_S = 300.0
MAX_KEPT = 10_000
MAX_TOKEN_CHARS = 12_000
_TENANT = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are accepted, and the claim that names the tenant."""

    name: str
    audience: str
    tenant_claim: str


@dataclass(frozen=True, slots=True)
class _Proved:
    identity: Identity
    until: float
    generation: int


class Tokens:
    """Knows the callers behind an issuer's tokens.

    What was proved is kept for five minutes, but never past the token's expiry, under the SHA-256
    of the whole token: two tokens may agree in every character but the last (CVE-2026-35030).
    """

    def __init__(self, issuer: Issuer, keys: KeySource, clock: Clock = SYSTEM_CLOCK) -> None:
        self._issuer = issuer
        self._keys = keys
        self._clock = clock
        self._kept: OrderedDict[bytes, _Proved] = OrderedDict()

    async def identify(self, token: str) -> Identity | None:
        """Who the token says calls; None when it is not valid, for whatever reason."""
        if len(token) > MAX_TOKEN_CHARS:
            return None
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        kept = self._kept.get(digest)
        if kept and self._clock.wall() < kept.until and kept.generation == self._keys.generation:
            return kept.identity
        self._kept.pop(digest, None)
        proved = await self._prove(token)
        if proved is None:
            return None
        self._kept[digest] = proved
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return proved.identity

    async def _prove(self, token: str) -> _Proved | None:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                return None
            key = await self._keys.find(header.get("kid"))
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=self._issuer.audience,
                issuer=self._issuer.name,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True},
            )
            expires = float(claims["exp"])
        except (PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            return None  # the last four: what the parsers of a hostile token raise
        tenant = claims.get(self._issuer.tenant_claim)
        if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
            return None
        until = min(expires, self._clock.wall() + KEPT_S)
        identity = Identity(tenant=tenant, subject=str(claims.get("sub", ""))[:256])
        return _Proved(identity, until, self._keys.generation)
