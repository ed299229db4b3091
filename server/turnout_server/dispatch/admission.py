"""How many calls this instance takes at once; the rest are told to try another, at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from turnout.v1.errors_pb2 import ErrorReason

from turnout_server.core.call import Priority
from turnout_server.core.errors import GatewayError

BATCH_SHARE = 0.9
"""Batch calls are shed first: the last tenth of the places is for interactive ones."""
RETRY_AFTER_S = 0.2


class Pressure(IntEnum):
    """How short of memory the process is, by what must be given up for it."""

    NONE = 0
    SHED_BATCH = 1
    SHED_NEW = 2
    RESET_LARGEST = 3


class Admission:
    """Places for calls under way. There is no queue: waiting here would only hide the overload.

    `pressure` is asked once a call, and must answer at once.
    """

    def __init__(
        self, limit: int, pressure: Callable[[], Pressure] = lambda: Pressure.NONE
    ) -> None:
        self._limit = limit
        self._pressure = pressure
        self._in_flight = 0
        self._draining = False

    @property
    def in_flight(self) -> int:
        """Calls under way."""
        return self._in_flight

    def drain(self) -> None:
        """Refuse every new call from now on."""
        self._draining = True

    @contextmanager
    def place(self, priority: Priority) -> Iterator[None]:
        """Hold one place; raises GatewayError OVERLOADED or SHUTTING_DOWN when there is none."""
        if self._draining:
            raise GatewayError(
                ErrorReason.ERROR_REASON_SHUTTING_DOWN,
                "this instance is shutting down; another will take the call",
                retry_after_s=0.0,
            )
        batch = priority is Priority.BATCH
        if self._pressure() >= (Pressure.SHED_BATCH if batch else Pressure.SHED_NEW):
            raise GatewayError(
                ErrorReason.ERROR_REASON_OVERLOADED,
                "this instance is short of memory; another may take the call",
                retry_after_s=RETRY_AFTER_S,
            )
        if self._in_flight >= (self._limit * BATCH_SHARE if batch else self._limit):
            raise GatewayError(
                ErrorReason.ERROR_REASON_OVERLOADED,
                f"this instance has reached its limit of {self._limit} calls at once",
                retry_after_s=RETRY_AFTER_S,
            )
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
