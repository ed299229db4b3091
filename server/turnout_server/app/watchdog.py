"""Watches the event loop and the memory from a thread of its own, which a blocked loop cannot stop.

Two questions are answered from what it last saw: is this process fit for calls, and must it give
something up to stay within its memory.
"""

import asyncio
import sys
import threading
from pathlib import PurePath
from types import FrameType

import structlog

from turnout_server.app.memory import Memory
from turnout_server.core.clock import SYSTEM_CLOCK, Monotonic
from turnout_server.dispatch.admission import Pressure

BEAT_S = 0.25
BLOCKED_AFTER_S = 1.0
DEAD_AFTER_S = 10.0
UNFIT_FOR_S = 5.0
"""A loop that was blocked is not called ready at once: probes come every few seconds."""
LADDER = (
    (0.95, Pressure.RESET_LARGEST),
    (0.92, Pressure.SHED_NEW),
    (0.85, Pressure.SHED_BATCH),
)
"""What is given up at which part of the memory in use."""

_MAX_PLACES = 12
_FILE_PARTS = 3

_log = structlog.get_logger(__name__)


class Watchdog:
    """Started on the loop that it watches. Its answers are numbers read, so they never wait."""

    def __init__(
        self, memory: Memory | None = None, *, monotonic: Monotonic = SYSTEM_CLOCK.monotonic
    ) -> None:
        self._memory = memory
        self._monotonic = monotonic
        self._pressure = Pressure.NONE
        self._due = float("inf")
        self._blocked_at = float("-inf")
        self._loop_thread = 0
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Watch the running loop until `stop`."""
        self._loop_thread = threading.get_ident()
        self._schedule()
        threading.Thread(target=self._watch, name="turnout-watchdog", daemon=True).start()

    def stop(self) -> None:
        """End the thread, which takes no more than a beat."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()

    def ready(self) -> bool:
        """Whether calls should be sent here: the loop is not blocked, and was not just now."""
        now = self._monotonic()
        fit = self._lag_s(now) <= BLOCKED_AFTER_S and now - self._blocked_at > UNFIT_FOR_S
        return fit and self._pressure < Pressure.SHED_NEW

    def live(self) -> bool:
        """Whether the process should be let live."""
        return self._lag_s(self._monotonic()) <= DEAD_AFTER_S

    def pressure(self) -> Pressure:
        """What must be given up for want of memory."""
        return self._pressure

    def _schedule(self) -> None:
        self._due = self._monotonic() + BEAT_S
        self._timer = asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        now = self._monotonic()
        lag_s = self._lag_s(now)
        if lag_s > BLOCKED_AFTER_S:
            self._blocked_at = now
            _log.error("the event loop was blocked", lag_ms=round(lag_s * 1000))
        self._schedule()

    def _lag_s(self, now: float) -> float:
        return now - self._due

    def _watch(self) -> None:
        told_of = 0.0
        while not self._stopped.wait(BEAT_S):
            due, lag_s = self._due, self._lag_s(self._monotonic())
            if lag_s > BLOCKED_AFTER_S and due != told_of:
                told_of = due
                _log.error("the event loop is blocked", places=_places(self._loop_thread))
            self._weigh()

    def _weigh(self) -> None:
        if self._memory is None:
            return
        try:
            share = self._memory.used_share()
        except (OSError, ValueError):  # the group was taken down around us
            return
        before, self._pressure = self._pressure, pressure_at(share)
        if self._pressure is not before:
            _log.warning(
                "memory runs short" if self._pressure > before else "memory is freed",
                state=self._pressure.name.lower(),
                limit=self._memory.limit_bytes,
            )


def pressure_at(share: float) -> Pressure:
    """The rung of the ladder that belongs to a part of the memory in use."""
    return next((pressure for least, pressure in LADDER if share >= least), Pressure.NONE)


def _places(thread: int) -> list[str]:
    """Where a thread is, the innermost place last; no value of any variable."""
    places: list[str] = []
    frame: FrameType | None = sys._current_frames().get(thread)
    while frame is not None and len(places) < _MAX_PLACES:
        code = frame.f_code
        file = PurePath(*PurePath(code.co_filename).parts[-_FILE_PARTS:]).as_posix()
        places.append(f"{file}:{frame.f_lineno} {code.co_qualname}")
        frame = frame.f_back
    return places[::-1]
