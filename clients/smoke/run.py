"""Runs every client's smoke cases against every server, each run against a fresh one.

python clients/smoke/run.py [SERVER …] [--clients NAME …] [--reports FOLDER]

server: scripted by cases.json; gateway: Turnout itself; envoy: Turnout behind a real Envoy. With
--reports each pair leaves FOLDER/SERVER-CLIENT.json, from which matrix.py makes docs/clients.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from clients import CLIENTS, Client, Passed, run_cases, versions  # noqa: E402
from tests.mesh.envoy import envoy_before  # noqa: E402

SERVERS = ("server", "gateway", "envoy")
STARTS_WITHIN_S = 60.0


@contextmanager
def running(server: str, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Start a server; gives the file that says where it is, and the table of its cases."""
    ready = folder / "ready.json"
    script = HERE / ("server.py" if server == "server" else "gateway.py")
    command = [sys.executable, str(script), "--port-file", str(ready), "--with-parent"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        ends = time.monotonic() + STARTS_WITHIN_S
        while not ready.exists():
            assert process.poll() is None, f"the {server} did not start"
            assert time.monotonic() < ends, f"the {server} took too long to start"
            time.sleep(0.05)
        told = json.loads(ready.read_text("utf-8"))
        cases = Path(told.get("cases", HERE / "cases.json"))
        if server == "envoy":
            with envoy_before([told["address"]]) as envoy:
                ready.write_text(json.dumps({**told, "address": envoy.address}), "utf-8")
                yield ready, cases
        else:
            yield ready, cases
        assert process.stdin is not None
        process.stdin.close()


def run(client: Client, server: str) -> Passed:
    """All runs of a client against servers of one kind; a case must pass in each."""
    passed: Passed = {}
    for command in client.runs:
        with tempfile.TemporaryDirectory() as folder, running(server, Path(folder)) as (at, cases):
            for name, well in run_cases(client, command, at, cases).items():
                passed[name] = well and passed.get(name, True)
    return passed


def main() -> int:
    """Run what is asked for; the exit status is 1 when a case failed."""
    parser = argparse.ArgumentParser(description="Run the smoke cases of the clients.")
    parser.add_argument("servers", nargs="*", metavar="SERVER", help=f"of {', '.join(SERVERS)}")
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    parser.add_argument("--reports", type=Path)
    given = parser.parse_args()
    if unknown := set(given.servers) - set(SERVERS):
        parser.error(f"no such server: {', '.join(unknown)}")
    all_passed = True
    for server in given.servers or SERVERS:
        for name in given.clients:
            client, began = CLIENTS[name], time.monotonic()
            passed = run(client, server)
            failed = sorted(case for case, well in passed.items() if not well)
            all_passed = all_passed and not failed
            took_s = time.monotonic() - began
            how = f"failed: {', '.join(failed)}" if failed else "passed"
            print(f"{server:<8} {name:<7} {len(passed)} cases {how} ({took_s:.0f} s)", flush=True)
            if given.reports:
                given.reports.mkdir(parents=True, exist_ok=True)
                report = {"versions": versions(client), "passed": passed}
                file = given.reports / f"{server}-{name}.json"
                file.write_text(json.dumps(report, indent=1), "utf-8")
    return 0 if all_passed else 1


if __name__ == "__main__":
    sys.exit(main())
