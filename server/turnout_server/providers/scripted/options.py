"""What a row may say to the scripted wire."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`dimensions` is the length of its vectors where a request asks for none."""

    dimensions: int = 8
