"""What counts the use of limits, wherever the numbers lie."""

from collections.abc import Mapping
from typing import Protocol

from turnout_server.core.charge import Claim, Level, Refusal

NOTHING: Mapping[str, int] = {}


class Reservation(Protocol):
    """What one call took."""

    def settle(self, actual: Mapping[str, int] = NOTHING) -> None:
        """Replace the reserved cost of each key in `actual` by real use, and free the seats.

        A key that is missing stays as reserved; use above the reservation becomes debt. It never
        waits and never fails, so it may stand in a `finally`; a second call does nothing.
        """
        ...


class Counters(Protocol):
    """Charges, seats and spendings of every tenant."""

    async def reserve(self, claim: Claim) -> Reservation | Refusal:
        """Take all of a claim or nothing. A caller who is cancelled meanwhile has taken nothing."""
        ...

    async def levels(self, claim: Claim) -> Mapping[str, Level]:
        """What is left of each key of the claim; its costs do not matter."""
        ...
