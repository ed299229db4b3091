"""Prices and context windows from genai-prices' tables, which came with the package."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from turnout_server.core.clock import SYSTEM_CLOCK, Clock
from turnout_server.core.target import Price


@dataclass(frozen=True, slots=True)
class Listing:
    """What the tables say of one model; None where they are silent."""

    context_window: int | None = None
    price: Price | None = None


NOT_LISTED = Listing()


def find_listing(provider: str, model: str, clock: Clock = SYSTEM_CLOCK) -> Listing:
    """What `provider`, by its name in genai-prices, lists for a model; NOT_LISTED if nothing.

    Long prompts may cost more upstream: the price is that of the first tier. A price that changes
    by the hour counts at its dearest, so that no budget is overdrawn.
    """
    # Two tenths of a second of import, which a server without listed providers never pays.
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    providers = get_snapshot().providers
    listed = find_provider_by_id(providers, provider) if provider else None
    info = listed.find_model(model, all_providers=providers) if listed else None
    if info is None:
        return NOT_LISTED
    prices = [p for rates in _current(info.prices, clock) if (p := _price(rates)) is not None]
    dearest = max(prices, key=lambda price: price.input + price.output, default=None)
    return Listing(info.context_window, dearest)


def _current(prices: Any, clock: Clock) -> Iterator[Any]:
    """The rates that hold today; several where they depend on the hour."""
    if not isinstance(prices, list):
        yield prices
        return
    now = datetime.fromtimestamp(clock.wall(), UTC)
    for conditional in reversed(prices):  # in these tables the last that holds wins
        constraint = conditional.constraint
        if hasattr(constraint, "start_time"):
            yield conditional.prices
        elif constraint is None or constraint.active(now):
            yield conditional.prices
            return


def _price(rates: Any) -> Price | None:
    """Token prices, or None when they are not the whole of what a call costs."""
    input_price = _micro_usd(rates.input_mtok)
    if input_price is None or rates.requests_kcount is not None:
        return None
    return Price(
        input=input_price,
        output=_micro_usd(rates.output_mtok) or 0,
        cache_read=_micro_usd(rates.cache_read_mtok),
        cache_write=_micro_usd(rates.cache_write_mtok),
    )


def _micro_usd(usd_per_million: Any) -> int | None:
    amount = getattr(usd_per_million, "base", usd_per_million)
    return None if amount is None else int((Decimal(amount) * 1_000_000).to_integral_value())
