"""Whether and when a silent attempt of this call gets a rival."""

from collections.abc import Callable

from turnout_server.core.target import Target
from turnout_server.dispatch.acquire import Rivals
from turnout_server.policy.health import Health
from turnout_server.policy.hedge import HedgeSettings, Hedging
from turnout_server.policy.targets import Ranking


class HedgeBook:
    """The hedging budget of each alias. One for the process."""

    def __init__(self, health: Health, monotonic: Callable[[], float]) -> None:
        self._health = health
        self._monotonic = monotonic
        self._books: dict[tuple[bool, str, float], Hedging] = {}

    def rivals(self, ranking: Ranking, *, asked: bool) -> Rivals | None:
        """When the first target's silence is long enough for a second to start, if ever.

        `asked` is the request's own wish. None where hedging is off, has nobody to ask, or knows
        too little of the first target to tell slow from usual.
        """
        hedge = ranking.alias.hedge
        if not (asked or hedge.enabled) or len(ranking.targets) < 2:
            return None
        first, second = ranking.targets[:2]
        now = self._monotonic()
        book = self._book(ranking)
        book.record_call(now)
        delay_s = hedge.after_s
        if delay_s is None:
            delay_s = book.delay_s(now, self._health.first_outputs(first))
        if delay_s is None:
            return None
        return Rivals(delay_s, lambda: self._admit(book, second))

    def _book(self, ranking: Ranking) -> Hedging:
        """Callers may name any model of a provider: those share the provider's budget."""
        alias = ranking.alias
        name = ranking.targets[0].provider if alias.direct else alias.name
        key = (alias.direct, name, alias.hedge.budget)
        book = self._books.get(key)
        if book is None:
            book = self._books[key] = Hedging(HedgeSettings(budget=alias.hedge.budget))
        return book

    def _admit(self, book: Hedging, rival: Target) -> bool:
        now = self._monotonic()
        return book.admit(now, throttling=self._health.throttling(rival, now))
