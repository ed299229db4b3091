"""Thinking that arrives inside the text, between <think> and </think> at its beginning."""

_OPEN = "<think>"
_CLOSE = "</think>"


class ThinkTags:
    """Splits one answer's text; a tag may be cut anywhere between deltas."""

    __slots__ = ("_held", "_state")

    def __init__(self) -> None:
        self._state = "before"
        self._held = ""

    def split(self, text: str) -> tuple[str, str]:
        """Take the next text; returns what is thinking in it, then what is text."""
        if self._state == "after":
            return "", text
        if self._state == "closed":
            return "", self._after(text)
        text = self._held + text
        self._held = ""
        if self._state == "before":
            begun = text.lstrip()
            if len(begun) < len(_OPEN) and _OPEN.startswith(begun):
                self._held = text
                return "", ""
            if not begun.startswith(_OPEN):
                self._state = "after"
                return "", text
            self._state = "inside"
            text = begun.removeprefix(_OPEN)
        return self._inside(text)

    def rest(self) -> tuple[str, str]:
        """At the end of the answer: what was held back in case a tag followed."""
        held, self._held = self._held, ""
        return (held, "") if self._state == "inside" else ("", held)

    def _inside(self, text: str) -> tuple[str, str]:
        thinking, tag, after = text.partition(_CLOSE)
        if tag:
            self._state = "closed"
            return thinking, self._after(after)
        for size in range(min(len(_CLOSE) - 1, len(text)), 0, -1):
            if _CLOSE.startswith(text[-size:]):
                self._held = text[-size:]
                return text[:-size], ""
        return text, ""

    def _after(self, text: str) -> str:
        # The blank lines below the closing tag belong to neither side.
        text = text.lstrip("\n")
        if text:
            self._state = "after"
        return text
