"""All generated pages by their file's name under docs/."""

from dataclasses import dataclass

from turnout_server.app.config.schema import json_schema
from turnout_server.app.docs.config_page import config_page
from turnout_server.app.docs.errors_page import errors_page
from turnout_server.app.docs.providers_page import providers_page


@dataclass(frozen=True, slots=True)
class Page:
    """One generated file: its name under docs/ and everything that stands in it."""

    name: str
    text: str


def pages() -> list[Page]:
    """Every generated file; the same code always gives the same bytes."""
    return [
        Page("config.md", config_page()),
        Page("config.schema.json", json_schema()),
        Page("errors.md", errors_page()),
        Page("providers.md", providers_page()),
    ]
