"""A circuit breaker: stops calling what fails, and asks again with one probe at a time.

    CLOSED --5 failures in a row, or half of at least 20 within 10 s--> OPEN
    OPEN --30 s x times opened, at most 300 s, up to 10 % jitter--> HALF_OPEN
    HALF_OPEN --the one probe succeeds--> CLOSED      --it fails--> OPEN
              --it ends without a verdict, or never ends--> HALF_OPEN with a free probe

The growing hold is that of Envoy's outlier detection (ejection time x number of ejections, forgiven
one by one while healthy). The states are derived from `now`, so nothing needs a timer. Published
breakers let every waiting call through at half-open; here a probe is a permit, and there is one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from math import inf

from turnout_server.policy.window import RollingCount


class CircuitState(Enum):
    """What the breaker does with the next call."""

    CLOSED = auto()
    HALF_OPEN = auto()
    OPEN = auto()


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When a circuit opens and for how long.

    For `settle_s` after a probe closed it, only a run of `min_calls` failures opens it again, so
    that a target failing half of its calls does not flap. `forced_gap_s` is the least time between
    probes that `Breaker.admit_probe` forces. A probe lapses after `probe_lapse_s`.
    """

    consecutive: int = 5
    failure_ratio: float = 0.5
    min_calls: int = 20
    window_s: float = 10.0
    open_s: float = 30.0
    open_cap_s: float = 300.0
    jitter: float = 0.1
    settle_s: float = 5.0
    probe_lapse_s: float = 120.0
    forced_gap_s: float = 1.0


@dataclass(frozen=True, slots=True)
class LastFailure:
    """When (monotonic seconds) something last failed, and what the caller of `fail` named it."""

    at: float
    cause: str


class Permit:
    """Leave to make one call. The first verdict counts, later ones do nothing.

    A verdict is also ignored when the circuit has changed since the permit was given: it speaks of
    a time that was judged already.
    """

    __slots__ = ("_breaker", "_epoch", "probe")

    def __init__(self, breaker: "Breaker", epoch: int, *, probe: bool) -> None:
        self._breaker: Breaker | None = breaker
        self._epoch = epoch
        self.probe = probe

    def succeed(self, now: float) -> None:
        """The call worked; a probe closes the circuit."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker._succeed(self, self._epoch, now)

    def fail(self, now: float, cause: str = "") -> None:
        """The target is to blame; a probe opens the circuit again."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker._fail(self, self._epoch, now, cause)

    def release(self, now: float) -> None:
        """The call tells nothing about the target (429, 4xx, cancelled); a probe is freed."""
        breaker, self._breaker = self._breaker, None
        if breaker is not None:
            breaker._release(self, self._epoch)


class Breaker:
    """The circuit of one target (with one key). `rand` gives floats in [0, 1) for the jitter."""

    __slots__ = (
        "_calls",
        "_closed_at",
        "_epoch",
        "_failures",
        "_open_until",
        "_probe_began",
        "_probe_until",
        "_rand",
        "_run",
        "_settings",
        "_trips",
        "last_failure",
    )

    def __init__(
        self, rand: Callable[[], float], settings: BreakerSettings = BreakerSettings()
    ) -> None:
        self._rand = rand
        self._settings = settings
        self._calls = RollingCount(settings.window_s)
        self._failures = RollingCount(settings.window_s)
        self._epoch = 0
        self._open_until: float | None = None
        self._probe_until = -inf
        self._probe_began = -inf
        self._closed_at = -inf
        self._trips = 0
        self._run = 0
        self.last_failure: LastFailure | None = None

    def admit(self, now: float) -> Permit | None:
        """Leave to call now; None while the circuit is open or its one probe is out.

        The permit must be given back by one of its three verdicts.
        """
        if self._open_until is None:
            return Permit(self, self._epoch, probe=False)
        return self._begin_probe(now) if now >= self._open_until else None

    def admit_probe(self, now: float) -> Permit | None:
        """Like `admit`, but may probe an open circuit: for when every target is out (panic).

        The failure of such a probe changes nothing; its success closes the circuit.
        """
        if self.state(now) is not CircuitState.OPEN:
            return self.admit(now)
        if now < self._probe_began + self._settings.forced_gap_s:
            return None
        return self._begin_probe(now)

    def state(self, now: float) -> CircuitState:
        """The state at `now`."""
        if self._open_until is None:
            return CircuitState.CLOSED
        return CircuitState.OPEN if now < self._open_until else CircuitState.HALF_OPEN

    def retry_at(self, now: float) -> float | None:
        """When the next probe is due; `now` once it is due or out; None while closed."""
        return None if self._open_until is None else max(now, self._open_until)

    def error_rate(self, now: float) -> float:
        """Share of failures among the calls judged within the window; 0.0 without calls."""
        calls = self._calls.total(now)
        return self._failures.total(now) / calls if calls else 0.0

    def open(self, now: float) -> None:
        """Opens the circuit by hand, as though it had tripped."""
        self._trip(now)

    def reset(self) -> None:
        """Closes the circuit by hand and forgets its past, calls under way included."""
        self._trips = 0
        self._probe_began = -inf
        self._close(-inf)

    def _begin_probe(self, now: float) -> Permit | None:
        if now < self._probe_until:
            return None
        self._epoch += 1
        self._probe_began = now
        self._probe_until = now + self._settings.probe_lapse_s
        return Permit(self, self._epoch, probe=True)

    def _succeed(self, permit: Permit, epoch: int, now: float) -> None:
        if epoch != self._epoch:
            return
        self._calls.add(now)
        self._run = 0
        if permit.probe:
            self._close(now)

    def _fail(self, permit: Permit, epoch: int, now: float, cause: str) -> None:
        self.last_failure = LastFailure(now, cause)
        if epoch != self._epoch:
            return
        self._calls.add(now)
        self._failures.add(now)
        self._run += 1
        if permit.probe:
            self._probe_until = -inf
            if self.state(now) is CircuitState.HALF_OPEN:
                self._trip(now)
        elif self._is_broken(now):
            self._trip(now)

    def _release(self, permit: Permit, epoch: int) -> None:
        if permit.probe and epoch == self._epoch:
            self._probe_until = -inf

    def _is_broken(self, now: float) -> bool:
        settings = self._settings
        if now < self._closed_at + settings.settle_s:
            return self._run >= settings.min_calls
        if self._run >= settings.consecutive:
            return True
        calls = self._calls.total(now)
        failures = self._failures.total(now)
        return calls >= settings.min_calls and failures >= settings.failure_ratio * calls

    def _trip(self, now: float) -> None:
        settings = self._settings
        if self._open_until is None:
            healthy_s = now - self._closed_at
            self._trips -= int(min(self._trips, healthy_s / settings.open_s))
        self._trips += 1
        hold_s = min(settings.open_s * self._trips, settings.open_cap_s)
        # Upwards only: instances must not probe together, and none before the promised time.
        self._open_until = now + hold_s * (1 + settings.jitter * self._rand())
        self._probe_until = -inf
        self._epoch += 1

    def _close(self, now: float) -> None:
        self._open_until = None
        self._probe_until = -inf
        self._closed_at = now
        self._run = 0
        self._calls.clear()
        self._failures.clear()
        self._epoch += 1
