from pathlib import Path

from turnout_server.app.docs.pages import pages
from turnout_server.core.failure import RULES
from turnout_server.providers import catalogue

DOCS = Path(__file__).parents[3] / "docs"


def test_committed_pages_are_those_of_the_code() -> None:
    stale = [page.name for page in pages() if (DOCS / page.name).read_text() != page.text]
    assert not stale, "run `make docs`"


def test_pages_are_the_same_every_time() -> None:
    assert pages() == pages()


def test_errors_page_has_every_failure_and_providers_page_every_row() -> None:
    texts = {page.name: page.text for page in pages()}
    for kind in RULES:
        assert f"| {kind.name.lower().replace('_', ' ')} |" in texts["errors.md"]
    for row in catalogue.load().rows:
        assert f"| `{row}` |" in texts["providers.md"]
