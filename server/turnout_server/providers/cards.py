"""What is known of a model at a provider: from models.toml, the row, and the price tables."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.resources import files
from typing import Any

from turnout_server.core.target import Endpoint, ModelCard, Price
from turnout_server.providers.catalogue import (
    Capabilities,
    Catalogue,
    CatalogueError,
    capability,
    did_you_mean,
)
from turnout_server.providers.prices import find_listing

_CARDS_KEPT = 4096
"""Callers may name any model of an endpoint, so what we remember of names is bounded."""


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """One entry of models.toml: models of like names and abilities."""

    match: tuple[str, ...]
    capabilities: Capabilities
    rows: tuple[str, ...] = ()
    context_window: int | None = None
    max_output_tokens: int | None = None
    embedding_dimensions: tuple[int, ...] = ()
    max_embed_inputs: int | None = None
    price: Price | None = None

    def fits(self, row: str, model: str) -> bool:
        """Whether a model at a row of the catalogue is one of these."""
        name = model.lower().rpartition("/")[2]
        return (not self.rows or row in self.rows) and any(
            fnmatchcase(name, pattern) for pattern in self.match
        )


class Cards:
    """Finds model cards; asking again for the same one is cheap."""

    def __init__(self, catalogue: Catalogue, families: Sequence[ModelFamily]) -> None:
        self._catalogue = catalogue
        self._families = families
        self._find = lru_cache(maxsize=_CARDS_KEPT)(self._look_up)

    def card_of(self, endpoint: Endpoint, model: str) -> ModelCard:
        """The card of a model at an endpoint.

        A model that nobody told us of gets all its row can carry, with `known` False: its provider
        has the last word.
        """
        return self._find(endpoint.row, model)

    def _look_up(self, row_name: str, model: str) -> ModelCard:
        row = self._catalogue.rows[row_name]
        listing = find_listing(row.prices, model)
        family = next((one for one in self._families if one.fits(row_name, model)), None)
        if family is None:
            return ModelCard(
                model=model,
                capabilities=row.capabilities,
                context_window=listing.context_window,
                price=listing.price,
                known=False,
            )
        return ModelCard(
            model=model,
            capabilities=family.capabilities & row.capabilities,
            context_window=family.context_window or listing.context_window,
            max_output_tokens=family.max_output_tokens,
            price=family.price or listing.price,
            embedding_dimensions=family.embedding_dimensions,
            max_embed_inputs=family.max_embed_inputs,
        )


def load(catalogue: Catalogue) -> Cards:
    """The cards that came with this package."""
    text = files("turnout_server.providers").joinpath("models.toml").read_text("utf-8")
    return Cards(catalogue, parse(text))


def parse(text: str) -> list[ModelFamily]:
    """Read families from TOML; raises CatalogueError at the first that says something unknown."""
    document = tomllib.loads(text)
    if stray := document.keys() - {"model"}:
        raise CatalogueError(f"models: only [[model]] stands here, not {', '.join(sorted(stray))}")
    return [_family(table) for table in document.get("model", [])]


_KEYS = tuple(field.name for field in fields(ModelFamily))


def _family(table: Mapping[str, Any]) -> ModelFamily:
    where = f"model {table.get('match')}"
    for key in table.keys() - set(_KEYS):
        raise CatalogueError(f"{where}: unknown key '{key}'{did_you_mean(key, _KEYS)}")
    if not table.get("match") or "capabilities" not in table:
        raise CatalogueError(f"{where}: match and capabilities must be named")
    try:
        return ModelFamily(
            match=tuple(table["match"]),
            rows=tuple(table.get("rows", ())),
            capabilities=frozenset(capability(name) for name in table["capabilities"]),
            context_window=table.get("context_window"),
            max_output_tokens=table.get("max_output_tokens"),
            embedding_dimensions=tuple(table.get("embedding_dimensions", ())),
            max_embed_inputs=table.get("max_embed_inputs"),
            price=_price(table["price"]) if "price" in table else None,
        )
    except CatalogueError as error:
        raise CatalogueError(f"{where}: {error}") from None


def _price(usd_per_million: Mapping[str, float]) -> Price:
    names = [field.name for field in fields(Price)]
    for key in usd_per_million.keys() - set(names):
        raise CatalogueError(f"price: unknown key '{key}'{did_you_mean(key, names)}")
    if not {"input", "output"} <= usd_per_million.keys():
        raise CatalogueError("price: input and output must both be named")
    return Price(
        **{key: int(Decimal(str(usd)) * 1_000_000) for key, usd in usd_per_million.items()}
    )
