"""What happened lately: counts over a sliding window in fixed memory."""


class RollingCount:
    """How often something happened within the last `window_s` seconds.

    Time is cut into `slices`; the oldest leaves as a whole, so the total covers at most the window
    and at least the window less one slice. `now` is monotonic seconds everywhere.
    """

    __slots__ = ("_counts", "_newest", "_slice_s", "_total")

    def __init__(self, window_s: float, slices: int = 10) -> None:
        self._slice_s = window_s / slices
        self._counts = [0] * slices
        self._newest = 0
        self._total = 0

    def add(self, now: float, amount: int = 1) -> None:
        """Counts `amount` at `now`."""
        self._advance(now)
        self._counts[self._newest % len(self._counts)] += amount
        self._total += amount

    def correct(self, now: float, *, counted_at: float, amount: int) -> None:
        """Adds `amount` to the slice of an earlier count, unless that has left the window."""
        self._advance(now)
        age = self._newest - int(counted_at // self._slice_s)
        if 0 <= age < len(self._counts):
            self._counts[(self._newest - age) % len(self._counts)] += amount
            self._total += amount

    def total(self, now: float) -> int:
        """The sum over the window that ends at `now`."""
        self._advance(now)
        return self._total

    def clear(self) -> None:
        """Forgets everything."""
        self._counts = [0] * len(self._counts)
        self._total = 0

    def _advance(self, now: float) -> None:
        newest = int(now // self._slice_s)
        if newest <= self._newest:
            return
        size = len(self._counts)
        for passed in range(1, min(newest - self._newest, size) + 1):
            index = (self._newest + passed) % size
            self._total -= self._counts[index]
            self._counts[index] = 0
        self._newest = newest
