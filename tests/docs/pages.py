"""What the pages for people hold: code blocks, links, headings, commands."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_INLINE_CODE = re.compile(r"`[^`\n]*`")
_MAKE = re.compile(r"(?:^|`)make ((?:[a-z-]+ ?)+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `language` is empty where none is named."""

    language: str
    text: str


def pages() -> list[Path]:
    """Every page that is committed, or would be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    files = (REPOSITORY / name for name in listed.stdout.splitlines())
    return sorted(file for file in files if file.is_file())


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(*found) for found in _BLOCK.findall(page.read_text("utf-8"))]


def links(page: Path) -> Iterator[str]:
    """Where the page's links lead, other than to the web."""
    prose = _INLINE_CODE.sub("", _BLOCK.sub("", page.read_text("utf-8")))
    return (link for link in _LINK.findall(prose) if "://" not in link)


def anchors(page: Path) -> set[str]:
    """What a link may name after `#`, made from the headings as GitHub makes it."""
    headings = _HEADING.findall(_BLOCK.sub("", page.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def make_targets(page: Path) -> set[str]:
    """Targets of make that the page tells to run, in its blocks or as inline code."""
    text = page.read_text("utf-8")
    return {target for found in _MAKE.findall(text) for target in found.split()}
