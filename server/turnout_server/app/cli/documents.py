"""`turnout docs`: writes the pages that are generated from the code, or checks them."""

import argparse
from pathlib import Path

from turnout_server.app.cli.complaint import Complaint
from turnout_server.app.docs.pages import pages

_REPOSITORY = Path(__file__).parents[4]


def docs(options: argparse.Namespace) -> int:
    """Write every page that differs; with --check, name them and fail."""
    folder = _REPOSITORY / "docs"
    if not (_REPOSITORY / "pyproject.toml").is_file():
        raise Complaint("pages are written into a checkout; run this in one", exit_status=2)
    stale = [page for page in pages() if _text(folder / page.name) != page.text]
    if options.check and stale:
        names = ", ".join(f"docs/{page.name}" for page in stale)
        raise Complaint(f"{names} differ from the code; run turnout docs", exit_status=1)
    for page in stale:
        (folder / page.name).write_text(page.text, "utf-8")
        print(f"docs/{page.name}: written")
    return 0


def _text(file: Path) -> str:
    return file.read_text("utf-8") if file.is_file() else ""
