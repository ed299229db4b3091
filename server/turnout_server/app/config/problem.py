"""What is wrong with a configuration, said so that an operator can mend it.

ConfigError         a configuration that cannot be used: every Problem found in it, at once
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: where (`file:line`, or an environment variable), which key, what to do."""

    where: str
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.path, self.message) if part)


class ConfigError(Exception):
    """A configuration that cannot be used; its text has one line for each problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)
