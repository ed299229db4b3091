"""The few forms of Markdown that the pages are made of."""

from collections.abc import Iterable, Sequence

GENERATED = "<!-- Written by `make docs` from the code: a change here is lost. -->"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table; a `|` in a cell is escaped, a line break becomes a space."""
    lines = [_row(heads), _row(["---"] * len(heads))]
    return [*lines, *(_row([_cell(cell) for cell in row]) for row in rows), ""]


def code(text: str) -> str:
    """Text as code; nothing stays nothing."""
    return f"`{text}`" if text else ""


def page(title: str, lines: Iterable[str]) -> str:
    """A whole page that ends with one line break."""
    return "\n".join([f"# {title}", "", GENERATED, "", *lines]).rstrip() + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
