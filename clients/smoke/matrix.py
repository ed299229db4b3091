"""Makes docs/clients.md of reports, and shows what they hold: a case that was not run is not green.

python clients/smoke/matrix.py FOLDER

`make clients-page` makes the reports: SERVER-CLIENT.json by run.py, compat.xml by pytest,
cost.json by bench.clients.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]

from run import SERVERS  # noqa: E402

from clients import CLIENTS  # noqa: E402

PAGE = ROOT / "docs" / "clients.md"
TITLES = {"python": "Python", "go": "Go", "java": "Java", "node": "TypeScript"}
PACKAGES = {
    "python": "`turnout-client`",
    "go": "`github.com/turnout-dev/turnout/clients/go`",
    "java": "`dev.turnout:turnout-client`",
    "node": "`@turnout/client`",
}
PASSED, FAILED, IMPOSSIBLE, NOT_RUN = "✓", "✗", "·", "?"
Rows = Iterable[Iterable[object]]


class Reports:
    """What the runs left in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def pair(self, server: str, client: str) -> dict[str, Any]:
        """What run.py saw of a client on a server."""
        return self._json(f"{server}-{client}.json") or {"versions": {}, "passed": {}}

    def cost(self) -> dict[str, Any] | None:
        """What bench.clients measured."""
        return self._json("cost.json")

    def compatibility(self) -> dict[str, bool]:
        """Whether each test of tests/compat passed, by its name."""
        file = self._folder / "compat.xml"
        if not file.exists():
            return {}
        tests = ET.parse(file).iter("testcase")  # noqa: S314  written by our own tests
        return {test.get("name", ""): not len(test) for test in tests}

    def _json(self, name: str) -> Any:
        file = self._folder / name
        return json.loads(file.read_text("utf-8")) if file.exists() else None


def table(head: Iterable[object], rows: Rows) -> str:
    """A table in Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def lines_to_print(client: str) -> int:
    """Lines of the README's first program, from its first import to its last print."""
    readme = (ROOT / "clients" / client / "README.md").read_text("utf-8")
    block = readme.partition("## Stream an answer")[2].partition("```")[2].partition("```")[0]
    lines = [line for line in block.splitlines()[1:] if line.strip()]
    prints = [i for i, line in enumerate(lines) if re.search(r"[pP]rint|stdout\.write", line)]
    return prints[-1] + 1


def clients_table(reports: Reports) -> str:
    """The clients, their packages, and what they were tested with."""

    def versions(client: str) -> str:
        told = reports.pair("server", client)["versions"].items()
        return ", ".join(f"{name} {number}" for name, number in told) or NOT_RUN

    return table(
        ("client", "package", "lines to stream text", "tested with"),
        (
            (f"[{TITLES[client]}](../clients/{client}/README.md)", PACKAGES[client],
             lines_to_print(client), versions(client))
            for client in CLIENTS
        ),
    )  # fmt: skip


def mark(reports: Reports, case: dict[str, Any], server: str, client: str) -> str:
    """What came of a case."""
    if server != "server" and "cannot" in case["gateway"]:
        return IMPOSSIBLE
    passed = reports.pair(server, client)["passed"].get(case["name"])
    return NOT_RUN if passed is None else PASSED if passed else FAILED


def matrix(reports: Reports, cases: list[dict[str, Any]]) -> str:
    """Every case by every client, with a mark for each server."""
    rows = (
        (
            f"`{case['name']}`",
            *(" ".join(mark(reports, case, server, client) for server in SERVERS)
              for client in CLIENTS),
        )
        for case in cases
    )  # fmt: skip
    return table(("case", *TITLES.values()), rows)


def impossible(cases: list[dict[str, Any]]) -> Iterator[str]:
    """The cases that only the scripted server serves, and why."""
    for case in cases:
        if "cannot" in case["gateway"]:
            yield f"- `{case['name']}`: {case['gateway']['cannot']}."


def compatibility(reports: Reports) -> str:
    """Callers by servers, of the contract last released, of today's and of a later one."""
    results = reports.compatibility()

    def said(*tests: str) -> str:
        if any(test not in results for test in tests):
            return NOT_RUN
        return PASSED if all(results[test] for test in tests) else FAILED

    def served(contract: str) -> str:
        return said(f"test_callers_of_another_contract_are_served[{contract}]")

    def on_released(client: str) -> str:
        test = "test_every_smoke_case_passes_on_a_server_with_released_stubs"
        return said(f"{test}[{client}]")

    today = {
        client: mark_all(reports.pair("gateway", client)["passed"].values()) for client in CLIENTS
    }
    return table(
        ("caller", "server with the released stubs", "today's server"),
        (
            ("released stubs", "", served("baseline")),
            *(
                (f"today's {TITLES[client]} client", on_released(client), today[client])
                for client in CLIENTS
            ),
            ("stubs of a later v1, with fields, an event and a method more", "", served("next")),
        ),
    )


def mark_all(passed: Iterable[bool]) -> str:
    """One mark for many results."""
    results = list(passed)
    return NOT_RUN if not results else PASSED if all(results) else FAILED


def cost(reports: Reports) -> str:
    """CPU and memory of each client."""
    told = reports.cost()
    if told is None:
        return "Not measured."
    options = told["options"]
    rows = []
    for client, figures in told["clients"].items():
        start, whole = figures["start"], figures["all"]
        each_ms = 1000 * (whole["cpu_s"] - start["cpu_s"]) / (options["streams"] - 1)
        rows.append(
            (
                TITLES[client],
                f"{whole['cpu_s']:.1f} s",
                f"{start['cpu_s']:.1f} s",
                f"{each_ms:.1f} ms",
                f"{1000 * each_ms / options['tokens']:.0f} µs",
                f"{whole['max_rss_mib']:.0f} MiB",
            )
        )
    head = ("client", "CPU in all", "of it to start", "CPU a stream", "a token", "memory at most")
    return (
        f"{options['streams']:,} streams of {options['tokens']} tokens, one each"
        f" {options['gap_ms']} ms, {options['at_once']} at once, over a real gateway with its"
        f" scripted provider.\n\n{table(head, rows)}"
    )


def page(reports: Reports) -> str:
    """The whole page."""
    cases = json.loads((HERE / "cases.json").read_text("utf-8"))["cases"]
    return (
        (HERE / "clients_page.md.in")
        .read_text("utf-8")
        .format(
            clients=clients_table(reports),
            cases=len(cases),
            served=sum("cannot" not in case["gateway"] for case in cases),
            matrix=matrix(reports, cases),
            impossible="\n".join(impossible(cases)),
            compatibility=compatibility(reports),
            cost=cost(reports),
        )
    )


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(Reports(Path(sys.argv[1]))), "utf-8")


if __name__ == "__main__":
    main()
