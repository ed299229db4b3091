"""Idempotency keys: the same call twice is answered once, and the reply given again for a day.

Only whole, good replies are kept: a call that failed may be made again under its key. A store that
cannot be asked protects nobody, and stops nobody either.
"""

from dataclasses import dataclass
from hashlib import blake2b

from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.clock import SYSTEM_CLOCK, Clock
from turnout_server.core.errors import GatewayError, Violation
from turnout_server.store.envelope import Envelope
from turnout_server.store.values import StoreUnavailable, Values

KEPT_S = 24 * 3600.0
_BODY_BYTES = 32
_UNDER_WAY, _DONE = b"\x00", b"\x01"
_RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to make a call; hand it back by `complete` or `abandon`."""

    stored: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What the call was answered the first time, as it was given to `complete`."""

    payload: bytes


class Idempotency:
    """Calls by tenant, method and the key that their caller chose."""

    def __init__(self, values: Values, envelope: Envelope, clock: Clock = SYSTEM_CLOCK) -> None:
        self._values = values
        self._envelope = envelope
        self._clock = clock

    async def begin(
        self, tenant: str, method: str, key: str, body: bytes, *, lease_s: float
    ) -> Permit | Reply:
        """A permit for the first call under a key, its reply for a later one.

        `body` is the request, serialized deterministically. The permit of a process that died ends
        after `lease_s`. Raises GatewayError: DUPLICATE_REQUEST while the first is under way,
        INVALID_REQUEST when the key came with another body.
        """
        permit = Permit(_stored(tenant, method, key), blake2b(body, digest_size=32).digest())
        try:
            await self._values.add(permit.stored, self._seal(permit, _UNDER_WAY), ttl=lease_s)
        except StoreUnavailable:
            return permit
        except ValueError:
            return await self._known(permit)
        return permit

    async def complete(self, permit: Permit, payload: bytes) -> None:
        """Keep the reply of a call that was answered whole."""
        try:
            await self._values.set(permit.stored, self._seal(permit, _DONE + payload), ttl=KEPT_S)
        except StoreUnavailable:
            return

    async def abandon(self, permit: Permit) -> None:
        """Let the call be made again: it failed, was cancelled or is too large to keep."""
        try:
            await self._values.delete(permit.stored)
        except StoreUnavailable:
            return

    async def _known(self, permit: Permit) -> Permit | Reply:
        try:
            sealed = await self._values.get(permit.stored)
        except StoreUnavailable:
            return permit
        opened = self._envelope.open(permit.stored, sealed) if sealed is not None else None
        if opened is None:
            return permit
        payload = opened[0]
        if payload[:_BODY_BYTES] != permit.body:
            rule = "was used before with another request"
            raise GatewayError(
                ErrorReason.ERROR_REASON_INVALID_REQUEST,
                f"idempotency-key: {rule}",
                violations=[Violation("idempotency-key", rule)],
            )
        if payload[_BODY_BYTES : _BODY_BYTES + 1] != _DONE:
            raise GatewayError(
                ErrorReason.ERROR_REASON_DUPLICATE_REQUEST,
                "a call with this idempotency-key is under way",
                retry_after_s=_RETRY_AFTER_S,
            )
        return Reply(payload[_BODY_BYTES + 1 :])

    def _seal(self, permit: Permit, state: bytes) -> bytes:
        return self._envelope.seal(permit.stored, permit.body + state, self._clock.wall())


def _stored(tenant: str, method: str, key: str) -> str:
    state = blake2b(digest_size=32)
    for name in (tenant, method, key):
        encoded = name.encode()
        state.update(len(encoded).to_bytes(4, "big") + encoded)
    return f"turnout:once:{state.hexdigest()}"
