"""Puts the stubs, which live elsewhere in the repository, into the distributions."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class OutsideFiles(BuildHookInterface[Any]):
    """The stubs of turnout.v1, from generated/python or, in an unpacked sdist, from beside this."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the files; an editable install finds the stubs by path instead."""
        if version == "editable":
            return
        here = Path(self.root)
        stubs = here / "turnout"
        if not stubs.exists():
            stubs = here.parents[1] / "generated" / "python" / "turnout"
        included = build_data["force_include"]
        included[str(stubs / "v1")] = "turnout/v1"
        included[str(stubs / "py.typed")] = "turnout/py.typed"
