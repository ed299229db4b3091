"""What keeps the number of time series finite, whatever callers send."""

from turnout_server.core.target import Target
from turnout_server.telemetry.facts import model_name

OTHER = "other"
MOST_TENANTS = 100
MOST_MODELS = 200


class BoundedLabel:
    """The first `most` values as they are, every later one as `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: set[str] = set()

    def of(self, value: str) -> str:
        """The value to put on a metric."""
        if value in self._seen:
            return value
        if len(self._seen) >= self._most:
            return OTHER
        self._seen.add(value)
        return value


class ModelLabel:
    """Models that have a card, and those that have answered; a name nobody serves is `other`.

    Callers may ask for any `provider/model`: invented names must not use up the bound.
    """

    def __init__(self, most: int = MOST_MODELS) -> None:
        self._bounded = BoundedLabel(most)
        self._answered: set[str] = set()

    def of(self, target: Target, *, answered: bool = False) -> str:
        """The value to put on a metric; `answered` when the target has given output."""
        if target.card.known or target.model in self._answered:
            return self._bounded.of(target.model)
        if not answered:
            return OTHER
        label = self._bounded.of(model_name(target.model))
        if label != OTHER:
            self._answered.add(label)
        return label
