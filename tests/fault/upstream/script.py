"""What one request is to be answered with: a script's name and its options."""

from collections.abc import Mapping
from dataclasses import dataclass, field

OPTIONS = {
    "after_date_s": "Retry-After as an HTTP date this many seconds ahead",
    "after_ms": "the retry-after-ms header",
    "after_raw": "any text as Retry-After",
    "after_s": "Retry-After in seconds",
    "at": "body frames (text tokens, when streamed) sent before the fault; 0 = before any output",
    "by": "how `cut` ends: rst, close, clean or stall",
    "dim": "dimensions of an embedding when the request names none",
    "every_ms": "pause between the bytes or pings of a slow script",
    "first_ms": "pause between the response head and the first body frame",
    "gap_ms": "pause between body frames",
    "head_ms": "pause before the response head",
    "kib": "size of an oversized header",
    "mib": "size of an oversized body, once decoded",
    "n": "number of choices",
    "overlap": "characters of the prefill that a continuation repeats",
    "ratio": "percentage of failures of `flap`",
    "second": "output tokens of the second usage report",
    "seed": "seed of `flap`",
    "size": "bytes per chunk of `utf8split`",
    "status": "HTTP status of the failure",
    "thinking": "thinking tokens before the text",
    "to": "origin a redirect points to",
    "tokens": "text tokens in the answer",
    "tools": "complete tool calls after the text",
    "when": "moment at which `stale` closes: next (request) or idle",
}


class UnknownScript(ValueError):
    """A test asked for a script or an option that does not exist."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script's name and options, written `name~option=value~option=value`."""

    name: str
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Script":
        """Read `name~option=value…`, with or without the `fault:` a model name begins with."""
        name, *pairs = text.removeprefix("fault:").split("~")
        options = dict(pair.partition("=")[::2] for pair in pairs)
        if unknown := options.keys() - OPTIONS.keys():
            raise UnknownScript(f"{text}: no option {', '.join(sorted(unknown))}")
        return cls(name, options)

    def number(self, option: str, default: int) -> int:
        """An option's whole number."""
        return int(self.options.get(option, default))

    def seconds(self, option_ms: str, default_ms: int = 0) -> float:
        """An option given in milliseconds, in seconds."""
        return self.number(option_ms, default_ms) / 1000

    def text(self, option: str, default: str = "") -> str:
        """An option's text."""
        return self.options.get(option, default)

    def __str__(self) -> str:
        return "~".join([self.name, *(f"{key}={value}" for key, value in self.options.items())])
