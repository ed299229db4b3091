"""The sink of log lines on real descriptors that do not take what they are given."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from turnout_server.telemetry.sink import LineSink


def notice(lines: int) -> bytes:
    return b"lost %d\n" % lines


class Pipe:
    """A pipe of one page, as small as the kernel makes them, and the sinks that write to it."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        self._sinks: list[LineSink] = []

    def sink(self, **kwargs: int) -> LineSink:
        self._sinks.append(LineSink(self.writer, notice, **kwargs))
        return self._sinks[-1]

    def read_while_closing(self, sink: LineSink) -> list[bytes]:
        read: list[bytes] = []
        reading = threading.Thread(target=lambda: read.append(read_until_end(self.reader)))
        reading.start()
        sink.close(10)
        os.close(self.writer)
        reading.join(10)
        return read[0].splitlines()

    def close(self) -> None:
        """Lets every writing thread go before its descriptor's number is somebody else's."""
        for fd in (self.reader, self.writer):
            with suppress(OSError):
                os.close(fd)
            for sink in self._sinks:
                sink.close(5)
                sink._thread.join(5)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    opened = Pipe()
    yield opened
    opened.close()


def read_until_end(reader: int) -> bytes:
    data = b""
    while more := os.read(reader, 1 << 16):
        data += more
    return data


def test_lines_come_in_order(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        sink = LineSink(file.fileno(), notice)
        for number in range(1000):
            sink.write(b"%d\n" % number)
        sink.close()
    written = (tmp_path / "log").read_bytes().split()
    assert [int(line) for line in written] == list(range(1000))
    assert sink.dropped == 0


def test_a_full_pipe_drops_and_counts_but_never_blocks(pipe: Pipe) -> None:
    sink = pipe.sink(most_lines=100)

    def write() -> None:
        for _ in range(5000):
            sink.write(b"x" * 99 + b"\n")

    # Daemon: were it blocked, the test would fail and not hang.
    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    writing.join(10)
    assert not writing.is_alive()
    assert sink.dropped >= 5000 - 100 - 2 * (65_536 // 100)


def test_a_pipe_that_flows_again_tells_how_many_lines_were_lost(pipe: Pipe) -> None:
    sink = pipe.sink(most_lines=10)
    for _ in range(5000):
        sink.write(b"x" * 99 + b"\n")
    lines = pipe.read_while_closing(sink)
    lost = [int(line.split()[1]) for line in lines if line.startswith(b"lost")]
    assert sum(lost) == sink.dropped > 0
    assert len(lines) - len(lost) + sink.dropped == 5000


def test_the_end_waits_for_a_stuck_pipe_no_longer_than_it_may(pipe: Pipe) -> None:
    sink = pipe.sink()
    for _ in range(5000):
        sink.write(b"x" * 99 + b"\n")
    before = time.monotonic()
    sink.close(0.2)
    assert time.monotonic() - before < 2
    sink.write(b"late\n")
    assert sink.dropped > 0


def test_a_full_disk_drops_and_counts() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    sink = LineSink(fd, notice)
    for _ in range(50):
        sink.write(b"line\n")
    sink.close()
    os.close(fd)
    assert sink.dropped == 50


def test_a_reader_that_left_drops_and_counts(pipe: Pipe) -> None:
    os.close(pipe.reader)
    sink = pipe.sink()
    sink.write(b"line\n")
    sink.close()
    assert sink.dropped == 1


def test_a_pipe_that_others_made_non_blocking_loses_nothing(pipe: Pipe) -> None:
    os.set_blocking(pipe.writer, False)
    sink = pipe.sink()
    for _ in range(2000):
        sink.write(b"x" * 99 + b"\n")
    lines = pipe.read_while_closing(sink)
    assert (len(lines), sink.dropped) == (2000, 0)
