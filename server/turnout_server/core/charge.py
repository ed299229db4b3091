"""What a call asks of the limits, and what they answer: words that policies and stores share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`limit` units in every `period_s` seconds, of which `burst` (None: all) may come at once."""

    limit: int
    period_s: float
    burst: int | None = None

    @property
    def burst_units(self) -> int:
        """How many units may come at once."""
        return self.limit if self.burst is None else self.burst


@dataclass(frozen=True, slots=True)
class Charge:
    """`cost` units of what `key` may use. The same key under another rate is another bucket."""

    key: str
    rate: Rate
    cost: int


@dataclass(frozen=True, slots=True)
class Seat:
    """One of the `limit` calls that `key` may have under way; one seat of a key for a call."""

    key: str
    limit: int


@dataclass(frozen=True, slots=True)
class Spending:
    """`cost` units of the `limit` that `key` may spend until `ends_wall_s`, and nothing drains.

    The key names the period, so that the next one starts at nothing.
    """

    key: str
    limit: int
    cost: int
    ends_wall_s: float


@dataclass(frozen=True, slots=True)
class Claim:
    """All that one call takes: granted as a whole or not at all.

    `strict` refuses the call when nobody can say what is left, instead of counting locally.
    """

    charges: tuple[Charge, ...] = ()
    seats: tuple[Seat, ...] = ()
    spendings: tuple[Spending, ...] = ()
    strict: bool = False

    def __bool__(self) -> bool:
        return bool(self.charges or self.seats or self.spendings)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing was taken. `key` is what one has to wait for longest.

    `retry_after_s` is None when waiting never helps: the cost is above the burst.
    """

    key: str
    retry_after_s: float | None

    def outlasts(self, other: "Refusal | None") -> bool:
        """Whether this one, and not `other`, is what the caller has to be told."""
        if other is None or self.retry_after_s is None:
            return True
        return other.retry_after_s is not None and self.retry_after_s > other.retry_after_s


@dataclass(frozen=True, slots=True)
class Level:
    """What a limit holds: whole units `used` and `remaining`, and seconds until all is back.

    `remaining` is negative in debt.
    """

    used: int
    remaining: int
    reset_s: float
