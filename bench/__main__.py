"""`make bench`: a table of what one streamed call costs the server, in CPU.

Every figure is the server process's own CPU time (user and system) over a batch of streams, taken
between two reads of the kernel's account. Short answers and long ones give a line: its slope is the
cost of a token, its intercept the cost of a request. Trust ratios within one run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

SHORT, LONG = 16, 256
CONFIG = """
server: {{listen: "127.0.0.1:0", max_in_flight: 5000}}
providers: {{bench: {{row: openai_compatible, base_url: "http://127.0.0.1:{port}/v1", keys: []}}}}
models: {{}}
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one batch cost the server, and what its callers saw."""

    cpu_us: float
    streams: int
    messages: int
    first_p50_ms: float
    first_p99_ms: float


@contextmanager
def process(*arguments: str) -> Iterator[tuple[psutil.Process, str]]:
    """A child on the bench's second core, and the port that it printed."""
    child = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        line = child.stdout.readline().strip()
        yield psutil.Process(child.pid), line.rpartition(" ")[2]
    finally:
        child.terminate()
        child.wait()


def batch(server: psutil.Process, port: str, model: str, *, streams: int, at_once: int) -> Batch:
    """Run the callers once and charge the server's CPU to them."""
    before = server.cpu_times()
    callers = subprocess.run(
        [sys.executable, "-m", "bench.load", port, model, str(streams), str(at_once)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    after = server.cpu_times()
    seen = json.loads(callers.stdout)
    cpu_s = after.user + after.system - before.user - before.system
    return Batch(
        cpu_us=1e6 * cpu_s,
        streams=streams,
        messages=seen["messages"],
        first_p50_ms=seen["first_p50_ms"],
        first_p99_ms=seen["first_p99_ms"],
    )


def measure(label: str, server: psutil.Process, port: str, model: str, *, quick: bool) -> None:
    """Print one server's lines: at flood and at a token each 10 ms."""
    for pace, gap_ms, streams, at_once in (("flood", 0, 400, 8), ("10 ms", 10, 96, 32)):
        count = streams // 4 if quick else streams
        # The first batch pays for imports and connections; it is not counted.
        batch(server, port, model.format(SHORT, gap_ms), streams=at_once * 2, at_once=at_once)
        short = batch(server, port, model.format(SHORT, gap_ms), streams=count, at_once=at_once)
        long = batch(server, port, model.format(LONG, gap_ms), streams=count, at_once=at_once)
        per_short, per_long = short.cpu_us / count, long.cpu_us / count
        token_us = (per_long - per_short) / (LONG - SHORT)
        request_us = per_short - SHORT * token_us
        print(
            f"{label:<12} {pace:<6} {request_us:>9.0f} {token_us:>9.1f}"
            f" {long.messages / long.streams:>10.1f}"
            f" {long.first_p50_ms:>9.1f} {long.first_p99_ms:>9.1f}",
            flush=True,
        )


def main() -> None:
    """Run every server in turn and print one table."""
    options = argparse.ArgumentParser(prog="python -m bench")
    options.add_argument("--quick", action="store_true", help="a quarter of the streams")
    quick = options.parse_args().quick
    print(f"{LONG}-token answers; CPU of the server process in µs; {os.cpu_count()} cores\n")
    print(
        f"{'server':<12} {'pace':<6} {'a request':>9} {'a token':>9}"
        f" {'messages':>10} {'first p50':>9} {'first p99':>9}"
    )
    with process("-m", "bench.bare") as (server, port):
        measure("bare grpc", server, port, "tokens:{}@{}", quick=quick)
    with process("-m", "bench.upstream") as (_, upstream), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.yaml"
        file.write_text(CONFIG.format(port=upstream))
        with process("-m", "bench.gateway", str(file)) as (server, port):
            measure("turnout", server, port, "bench/tokens:{}@{}", quick=quick)


if __name__ == "__main__":
    main()
