"""How each client's smoke cases are run, and how its report is read."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parents[2]
Passed = dict[str, bool]
"""Whether a case passed, by its name."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client: its name, the programs whose versions matter, and its runs.

    A run is a command in a folder that writes a report; each gets a server of its own, since what
    some cases ask of a real gateway happens once.
    """

    name: str
    folder: Path
    versions: Mapping[str, Sequence[str]]
    runs: Sequence[tuple[str, ...]]
    read: Callable[[Path, str], Iterator[tuple[str, bool]]]
    report: str = ""
    """Where a run writes its report, in the client's folder; {report} of its command otherwise."""


def _junit(report: Path, _: str) -> Iterator[tuple[str, bool]]:
    for case in ET.parse(report).iter("testcase"):  # noqa: S314  written by our own tests
        yield case.get("name", ""), not any(child.tag in _BAD for child in case)


_BAD = ("failure", "error", "skipped")


def _go_test(_: Path, output: str) -> Iterator[tuple[str, bool]]:
    for line in output.splitlines():
        event = json.loads(line)
        if "/" in event.get("Test", "") and event["Action"] in ("pass", "fail", "skip"):
            yield event["Test"], event["Action"] == "pass"


PYTEST = (sys.executable, "-m", "pytest", "-q", "--junitxml={report}")
CLIENTS = {
    client.name: client
    for client in (
        Client(
            "python",
            ROOT,
            {"Python": (sys.executable, "--version"),
             "grpcio": (sys.executable, "-c", "import grpc; print(grpc.__version__)")},
            [(*PYTEST, f"tests/client/test_smoke_{kind}.py") for kind in ("sync", "async")],
            _junit,
        ),
        Client(
            "go",
            ROOT / "clients" / "go",
            {"Go": ("go", "version"), "grpc-go": ("go", "list", "-m", "google.golang.org/grpc")},
            [("go", "test", "-json", "-count=1", "-run", "^TestSmokeCases$", ".")],
            _go_test,
        ),
        Client(
            "java",
            ROOT / "clients" / "java",
            {"Java": ("java", "--version"),
             "grpc-java": ("grep", "<grpc.version>", "client/pom.xml")},
            [("mvn", "--quiet", "--batch-mode", "test", "-Dtest=SmokeTest",
              "-Dsurefire.failIfNoSpecifiedTests=false")],
            _junit,
            "client/target/surefire-reports/TEST-dev.turnout.client.smoke.SmokeTest.xml",
        ),
        Client(
            "node",
            ROOT / "clients" / "node",
            {"Node.js": ("node", "--version"),
             "grpc-js": ("grep", '"version"', "node_modules/@grpc/grpc-js/package.json")},
            [("npx", "vitest", "run", "--reporter=default", "--reporter=junit",
              "--outputFile.junit={report}", "tests/smoke.test.ts")],
            _junit,
        ),
    )
}  # fmt: skip


def run_cases(client: Client, command: Sequence[str], ready: Path, cases: Path) -> Passed:
    """Run all cases of the table against the server that `ready` names; AssertionError when a
    client did not run each of them, and no other.
    """
    report = client.folder / client.report if client.report else ready.with_name("report.xml")
    report.unlink(missing_ok=True)
    given = {"SMOKE_SERVER": str(ready), "SMOKE_CASES": str(cases)}
    ran = subprocess.run(
        [word.format(report=report) for word in command],
        cwd=client.folder, env=os.environ | given, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    wanted = {case["name"] for case in json.loads(cases.read_text("utf-8"))["cases"]}
    passed: Passed = {}
    for title, well in client.read(report, ran.stdout):
        for name in wanted.intersection(re.findall(r"\w+", title)):
            passed[name] = well and passed.get(name, True)
    assert passed.keys() == wanted, f"{ran.stdout}\nnot run: {sorted(wanted - passed.keys())}"
    if ran.returncode:
        sys.stderr.write(ran.stdout)
    return passed


def versions(client: Client) -> dict[str, str]:
    """The versions of a client's toolchain."""
    found = {}
    for name, command in client.versions.items():
        told = subprocess.run(
            command, cwd=client.folder, capture_output=True, text=True, check=True
        )
        number = re.search(r"\d+\.\d+(\.\d+)?", told.stdout)
        found[name] = number.group() if number else "?"
    return found
