"""Server-sent events out of raw bytes: sans I/O, the same for every way the bytes may be cut.

Rules from the WHATWG HTML standard, section 9.2 (event streams), with a cap on a line and an event.
"""

from typing import NamedTuple

from turnout_server.core.failure import FailureKind, ProviderFailure

MAX_EVENT_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"


class SseEvent(NamedTuple):
    """One event: its `event:` field (empty when absent) and its data lines joined by newlines."""

    name: bytes
    data: bytes


class SseDecoder:
    """Feed it reads in order; it gives back the events that each read completed.

    An event that the stream ends inside is never given: the standard discards it, and so a stream
    cut there lacks its terminal event, which is how the wire's decoder notices.
    """

    __slots__ = ("_data", "_name", "_partial", "_partial_bytes", "_size", "_skip_lf", "_started")

    def __init__(self) -> None:
        self._partial: list[bytes] = []
        self._partial_bytes = 0
        self._data: list[bytes] = []
        self._size = 0
        self._name = b""
        self._skip_lf = False
        self._started = False

    def feed(self, read: bytes) -> list[SseEvent]:
        """Take one read of any length; a line or event over 1 MiB raises ProviderFailure."""
        if self._skip_lf and read:
            # The last read ended in CR: a LF that follows belongs to the same line end.
            self._skip_lf = False
            if read[0] == 0x0A:
                read = read[1:]
        if b"\n" not in read and b"\r" not in read:
            self._hold(read)
            return []
        if self._partial:
            self._partial.append(read)
            read = b"".join(self._partial)
            self._partial.clear()
            self._partial_bytes = 0
        if not self._started:
            self._started = True
            read = read.removeprefix(_BOM)
        lines = read.splitlines()
        last = read[-1]
        if last == 0x0D:
            self._skip_lf = True
        elif last != 0x0A:
            self._hold(lines.pop())
        return self._events(lines)

    def _hold(self, piece: bytes) -> None:
        self._partial_bytes += len(piece)
        if self._partial_bytes > MAX_EVENT_BYTES:
            raise ProviderFailure(FailureKind.ERROR, "a line of the event stream passes 1 MiB")
        self._partial.append(piece)

    def _events(self, lines: list[bytes]) -> list[SseEvent]:
        events: list[SseEvent] = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(SseEvent(self._name, b"\n".join(self._data)))
                    self._data.clear()
                    self._size = 0
                self._name = b""
            elif line.startswith(b"data:"):
                self._size += len(line)
                if self._size > MAX_EVENT_BYTES:
                    raise ProviderFailure(FailureKind.ERROR, "an event passes 1 MiB")
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line.startswith(b"event:"):
                self._name = line[6:].removeprefix(b" ")
            elif line == b"data":
                self._data.append(b"")
            elif line == b"event":
                self._name = b""
        return events
