"""Which kept answer belongs to a question that is like this one: a plain scan, bounded in size.

A scope's questions are one value of a cache's backend, newest last: for each the digest of its
answer, its vector's signs and its vector. Signs differ where vectors point apart, so counting them
finds the few worth measuring; the cosine of those decides.
"""

import math
from array import array
from heapq import nsmallest
from operator import mul

from turnout_server.core.cache_key import CacheKey
from turnout_server.core.clock import SYSTEM_CLOCK, Clock
from turnout_server.store.envelope import Envelope
from turnout_server.store.values import StoreUnavailable, Values, stored_key

_DIGEST_BYTES = 32
_FLOAT_BYTES = 4
_MEASURED = 4
"""Candidates by sign whose cosine is measured."""


class SemanticIndex:
    """Questions by vector, `most` in each scope. Vectors are packed little-endian float32.

    Two processes that add to one scope at once may lose one of the two: it is found less, never
    found wrongly.
    """

    def __init__(
        self,
        values: Values,
        envelope: Envelope,
        *,
        ttl_s: float,
        most: int = 128,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._values = values
        self._envelope = envelope
        self._ttl_s = ttl_s
        self._most = most
        self._clock = clock

    async def nearest(self, scope: CacheKey, vector: bytes, threshold: float) -> CacheKey | None:
        """The answer to the question most like this one, if their cosine reaches the threshold."""
        width = _width(vector)
        entries = _split(await self._read(scope), width)
        if not entries:
            return None
        signs = _signs(vector)
        closest = nsmallest(_MEASURED, entries, key=lambda entry: _apart(entry, signs, width))
        best = max(closest, key=lambda entry: _cosine(vector, _vector(entry, width)))
        if _cosine(vector, _vector(best, width)) < threshold:
            return None
        return CacheKey(scope.tenant, scope.namespace, scope.model, best[:_DIGEST_BYTES])

    async def add(self, scope: CacheKey, vector: bytes, answer: CacheKey) -> None:
        """Remember the question whose answer is kept under `answer`."""
        width = _width(vector)
        entries = _split(await self._read(scope), width)
        entries = [entry for entry in entries if not entry.startswith(answer.digest)]
        entries.append(answer.digest + _signs(vector).to_bytes(_sign_bytes(width), "big") + vector)
        stored = stored_key(scope)
        payload = b"".join(entries[-self._most :])
        sealed = self._envelope.seal(stored, payload, self._clock.wall())
        try:
            await self._values.set(stored, sealed, ttl=self._ttl_s)
        except StoreUnavailable:
            return

    async def _read(self, scope: CacheKey) -> bytes:
        stored = stored_key(scope)
        try:
            sealed = await self._values.get(stored)
        except StoreUnavailable:
            return b""
        opened = self._envelope.open(stored, sealed) if sealed is not None else None
        return opened[0] if opened is not None else b""


def _width(vector: bytes) -> int:
    return len(vector) // _FLOAT_BYTES


def _sign_bytes(width: int) -> int:
    return -(-width // 8)


def _split(payload: bytes, width: int) -> list[bytes]:
    """The entries, or none when they are of another width: the model was changed."""
    size = _DIGEST_BYTES + _sign_bytes(width) + width * _FLOAT_BYTES
    if len(payload) % size:
        return []
    return [payload[start : start + size] for start in range(0, len(payload), size)]


def _signs(vector: bytes) -> int:
    signs = 0
    for value in array("f", vector):
        signs = signs << 1 | (value > 0)
    return signs


def _apart(entry: bytes, signs: int, width: int) -> int:
    stored = entry[_DIGEST_BYTES : _DIGEST_BYTES + _sign_bytes(width)]
    return (int.from_bytes(stored, "big") ^ signs).bit_count()


def _vector(entry: bytes, width: int) -> bytes:
    return entry[_DIGEST_BYTES + _sign_bytes(width) :]


def _cosine(one: bytes, other: bytes) -> float:
    a, b = array("f", one), array("f", other)
    lengths = math.sqrt(sum(map(mul, a, a)) * sum(map(mul, b, b)))
    return sum(map(mul, a, b)) / lengths if lengths else 0.0
