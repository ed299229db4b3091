"""The only place that reads a clock, so that tests can pass one of their own."""

import time
from collections.abc import Callable
from dataclasses import dataclass

Monotonic = Callable[[], float]
"""Seconds that never go back; their zero means nothing."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Two clocks in seconds: `monotonic` decides, `wall` is shown or compared to dates."""

    monotonic: Monotonic = time.monotonic
    wall: Callable[[], float] = time.time


SYSTEM_CLOCK = Clock()
