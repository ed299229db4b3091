"""Whatever the pages point to is there: files, headings, targets of make, packages of the code."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.pages import REPOSITORY, anchors, blocks, links, make_targets, pages
from turnout_server.app.settings import read_settings
from turnout_server.providers import catalogue
from turnout_server.providers.registry import check_options

PAGES = [pytest.param(page, id=str(page.relative_to(REPOSITORY))) for page in pages()]
SERVER = REPOSITORY / "server/turnout_server"
_SOURCE = re.compile(r"`((?:app|rpc|dispatch|policy|store|providers|core|telemetry)/[\w/*]+\.py)`")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", PAGES)
def test_targets_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert make_targets(page) <= targets


@pytest.mark.parametrize("page", PAGES)
def test_source_files_exist(page: Path) -> None:
    named = _SOURCE.findall(page.read_text("utf-8"))
    assert not [path for path in named if not list(SERVER.glob(path))]


def test_every_decision_is_listed() -> None:
    folder = REPOSITORY / "docs/adr"
    listed = set(links(folder / "README.md"))
    assert listed == {page.name for page in folder.glob("0*.md")}


def test_the_row_that_contributing_shows_can_be_used() -> None:
    (row,) = [b.text for b in blocks(REPOSITORY / "CONTRIBUTING.md") if b.language == "toml"]
    (parsed,) = catalogue.parse(row).rows.values()
    check_options(parsed.wire, parsed.options)
    assert len([line for line in row.splitlines() if "=" in line]) <= 6


@pytest.mark.parametrize("name", ["README.md", "docs/config.md"])
def test_the_configuration_shown_is_one(name: str, tmp_path: Path) -> None:
    shown = [b.text for b in blocks(REPOSITORY / name) if b.language == "yaml"]
    assert shown
    for text in shown:
        file = tmp_path / "turnout.yaml"
        file.write_text(text)
        assert read_settings(file, {}, read_secrets=False).routes.aliases


def test_the_changelog_counts_the_rows() -> None:
    count = len(tomllib.loads((SERVER / "providers/catalogue.toml").read_text("utf-8")))
    assert f"{count} rows of a catalogue" in (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
