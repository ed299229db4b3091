"""Feels the pulse of the event loop and of the process while a fault is played."""

import asyncio
import os
import time
from contextlib import suppress
from typing import Self

import psutil

_INTERVAL_S = 0.01
_BEATS_PER_MEMORY_READING = 5
_SCHEDSTAT = "/proc/thread-self/schedstat"


class Pulse:
    """Samples loop lag every 10 ms and resident memory every 50 ms; an async context manager.

    It lives on the loop's timers and adds no task, so that those who count tasks do not see it.
    Where the kernel says how long the loop's thread was runnable and got no processor, that time is
    taken off: on a crowded machine it is the neighbours' lag, not the loop's.
    """

    def __init__(self) -> None:
        self.worst_lag_s = 0.0
        self.peak_rss_bytes = 0
        self._process = psutil.Process()
        self._beats = 0
        self._waited_s = 0.0
        self._schedstat: int | None = None
        self._next_beat: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        with suppress(OSError):
            self._schedstat = os.open(_SCHEDSTAT, os.O_RDONLY)
        self.reset()
        self._schedule()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._next_beat is not None:
            self._next_beat.cancel()
        if self._schedstat is not None:
            os.close(self._schedstat)

    def reset(self) -> None:
        """Forget the worst lag and take the memory of now as the peak."""
        self.worst_lag_s = 0.0
        self.peak_rss_bytes = self.rss_bytes()

    def rss_bytes(self) -> int:
        """Resident memory now."""
        return int(self._process.memory_info().rss)

    def _schedule(self) -> None:
        due_s = time.monotonic() + _INTERVAL_S
        self._waited_s = self._without_processor_s()
        self._next_beat = asyncio.get_running_loop().call_later(_INTERVAL_S, self._beat, due_s)

    def _beat(self, due_s: float) -> None:
        lag_s = time.monotonic() - due_s - (self._without_processor_s() - self._waited_s)
        self.worst_lag_s = max(self.worst_lag_s, lag_s)
        self._beats += 1
        if self._beats % _BEATS_PER_MEMORY_READING == 0:
            self.peak_rss_bytes = max(self.peak_rss_bytes, self.rss_bytes())
        self._schedule()

    def _without_processor_s(self) -> float:
        """How long this thread has stood in the run queue, in all."""
        if self._schedstat is None:
            return 0.0
        return int(os.pread(self._schedstat, 96, 0).split()[1]) / 1e9
