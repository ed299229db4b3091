"""Where log lines go: a queue and a thread, so that a stuck pipe or a full disk stops nobody."""

import contextlib
import os
import queue
import select
import threading
from collections.abc import Callable

MOST_LINES = 8192
_BATCH_BYTES = 1 << 16


class LineSink:
    """Writes lines to a file descriptor from a thread of its own; the descriptor stays open.

    `write` never blocks: when more than `most_lines` wait, or the descriptor takes nothing, lines
    are dropped and counted. `notice` makes the line that says how many were, once lines flow again.
    """

    def __init__(
        self, fd: int, notice: Callable[[int], bytes], *, most_lines: int = MOST_LINES
    ) -> None:
        self._fd = fd
        self._notice = notice
        self._most_lines = most_lines
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._dropped = 0
        # Reentrant: a finalizer that runs under the lock may log too.
        self._lock = threading.RLock()
        self._told = 0
        self._torn = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="turnout-log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines that were lost since the start."""
        return self._dropped

    def write(self, line: bytes) -> None:
        """Queue one line, which ends with a line feed. For any thread."""
        if self._closed or self._queue.qsize() >= self._most_lines:
            self._drop(1)
        else:
            self._queue.put(line)

    def close(self, wait_s: float = 1.0) -> None:
        """Write what waits, for at most `wait_s`; what comes later is dropped."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join(wait_s)
        if self._thread.is_alive():
            self._drop(max(0, self._queue.qsize() - 1))

    def _drop(self, lines: int) -> None:
        with self._lock:
            self._dropped += lines

    def _run(self) -> None:
        ended = False
        while not ended:
            lines, ended = self._batch()
            if self._write(b"".join(lines)):
                self._tell()

    def _batch(self) -> tuple[list[bytes], bool]:
        """At least one line, and all that wait up to a size; True with the last ones."""
        lines: list[bytes] = []
        size_bytes = 0
        line = self._queue.get()
        while line is not None:
            lines.append(line)
            size_bytes += len(line)
            if size_bytes >= _BATCH_BYTES:
                return lines, False
            try:
                line = self._queue.get_nowait()
            except queue.Empty:
                return lines, False
        return lines, True

    def _tell(self) -> None:
        lost = self._dropped - self._told
        if lost and self._write(self._notice(lost)):
            self._told += lost

    def _write(self, data: bytes) -> bool:
        """Write all of it; False when the descriptor refused, with the unwritten lines counted."""
        if self._torn and data:
            data = b"\n" + data
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                # Somebody else made the shared pipe non-blocking.
                with contextlib.suppress(OSError):
                    poll = select.poll()
                    poll.register(self._fd, select.POLLOUT)
                    poll.poll()
            except OSError:
                written = len(data) - len(rest)
                self._torn = written > 0 and data[written - 1 : written] != b"\n"
                self._drop(bytes(rest).count(b"\n"))
                return False
        self._torn = False
        return True
