"""How a value lies in a store that others can write to: versioned, measured and signed.

    version 1 | tag 16 | stored at 8 (ms, wall) | length 4 | payload

The tag covers the key too, so that a value moved under another tenant's key is refused as well.
"""

import struct
from hashlib import blake2b
from hmac import compare_digest

_VERSION = 1
_HEAD = struct.Struct(">B16sQI")
_SIGNED = struct.Struct(">QI")
_TAG_BYTES = 16


class Envelope:
    """Seals and opens values. Processes that share a store need the same `secret`."""

    def __init__(self, secret: bytes) -> None:
        self._key = blake2b(secret, person=b"turnout-cache").digest()

    def seal(self, key: str, payload: bytes, stored_wall_s: float) -> bytes:
        """The payload as it is stored under `key`."""
        signed = _SIGNED.pack(round(stored_wall_s * 1000), len(payload))
        head = _HEAD.pack(_VERSION, self._tag(key, signed, payload), *_SIGNED.unpack(signed))
        return head + payload

    def open(self, key: str, stored: bytes) -> tuple[bytes, float] | None:
        """Payload and wall time of storing, or None for what is not ours, not whole or not here."""
        if len(stored) < _HEAD.size:
            return None
        version, tag, stored_ms, size_bytes = _HEAD.unpack_from(stored)
        payload = stored[_HEAD.size :]
        if version != _VERSION or size_bytes != len(payload):
            return None
        if not compare_digest(tag, self._tag(key, _SIGNED.pack(stored_ms, size_bytes), payload)):
            return None
        return payload, stored_ms / 1000

    def _tag(self, key: str, signed: bytes, payload: bytes) -> bytes:
        state = blake2b(key.encode(), key=self._key, digest_size=_TAG_BYTES)
        state.update(signed)
        state.update(payload)
        return state.digest()
