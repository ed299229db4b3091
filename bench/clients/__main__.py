"""`python -m bench.clients`: what streams cost the program that reads them, in each language.

Whole processes over a real gateway with its scripted provider; CPU (user and system) and the
largest resident set are the kernel's account of the finished process. A first run of one stream
shows what starting costs. Trust ratios within one run.
"""

import argparse
import json
import os
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.__main__ import process
from bench.clients.programs import BUILDERS, Command, told

TOKENS, GAP_MS = 256, 10
MODEL = f"scripted/tokens:{TOKENS}@{GAP_MS}"
CONFIG = """
server: {listen: "127.0.0.1:0", max_in_flight: 5000}
providers: {scripted: {keys: []}}
models: {}
usage: {url: "off"}
telemetry: {log_level: error}
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one program took."""

    cpu_s: float
    max_rss_mib: float
    wall_s: float


def cost(command: Command, address: str, streams: int, at_once: int) -> Cost:
    """Run a program to its end; all of its streams must have ended well."""
    before = os.times()
    child = subprocess.Popen(
        [*command, address, MODEL, str(streams), str(at_once)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    output = child.stdout.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, output
    assert told(output)["ended"] == {"OK": streams}, output
    return Cost(
        cpu_s=used.ru_utime + used.ru_stime,
        max_rss_mib=used.ru_maxrss / 1024,
        wall_s=os.times().elapsed - before.elapsed,
    )


def main() -> None:
    """Run every program in turn and print one table."""
    options = argparse.ArgumentParser(prog="python -m bench.clients")
    options.add_argument("--streams", type=int, default=1000)
    options.add_argument("--at-once", type=int, default=64)
    options.add_argument("--json", type=Path, help="write the figures there as well")
    given = options.parse_args()
    figures = {}
    print(f"{given.streams} streams of {TOKENS} tokens, {given.at_once} at once\n")
    print(f"{'client':<8} {'CPU s':>7} {'of it to start':>15} {'ms a stream':>12} {'MiB':>6}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "bench.yaml"
        file.write_text(CONFIG)
        with process("-m", "bench.gateway", str(file)) as (_, port):
            address = f"127.0.0.1:{port}"
            for client, build in BUILDERS.items():
                (folder / client).mkdir()
                command = build(folder / client)
                start = cost(command, address, 1, 1)
                all_streams = cost(command, address, given.streams, given.at_once)
                figures[client] = {"start": asdict(start), "all": asdict(all_streams)}
                each_ms = 1000 * (all_streams.cpu_s - start.cpu_s) / max(1, given.streams - 1)
                print(
                    f"{client:<8} {all_streams.cpu_s:>7.2f} {start.cpu_s:>15.2f}"
                    f" {each_ms:>12.2f} {all_streams.max_rss_mib:>6.0f}",
                    flush=True,
                )
    if given.json:
        given.json.write_text(json.dumps({"options": _options(given), "clients": figures}))


def _options(given: argparse.Namespace) -> dict[str, int]:
    return {"streams": given.streams, "at_once": given.at_once, "tokens": TOKENS, "gap_ms": GAP_MS}


if __name__ == "__main__":
    main()
