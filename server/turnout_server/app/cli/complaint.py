"""What goes to stderr when a command cannot do what it was asked."""

import sys


class Complaint(Exception):
    """A command cannot go on; its text is one line that ends with what to do."""

    def __init__(self, text: str, *, exit_status: int) -> None:
        super().__init__(text)
        self.exit_status = exit_status


def complain(text: str) -> None:
    """Write one line to stderr."""
    print(f"turnout: {' '.join(text.split())}", file=sys.stderr)
