"""Which fault is shown by which test: `python -m tests.fault.rows [--check]`.

Tests say it by their mark `row`, and `tests.fault.catalogue` what each row is and why one is not
shown. From both docs/faults.md is written.
"""

import argparse
import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.fault.catalogue import ELSEWHERE, PENDING, REMARKS, SECTIONS

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "faults.md"

_HEAD = """# Faults, and the tests that show them

<!-- Written by `python -m tests.fault.rows` from the marks of the tests and their catalogue. -->

Each row is something that goes wrong in life. Its tests drive a whole gateway over real sockets,
and after each of them one fixture asserts what must hold after every fault: one status for each
call; upstream requests, places, tasks and descriptors back at their baseline; every call and
attempt booked once and every span ended; no canary out of prompt, key or upstream text in any log,
span, metric or status; memory within a bound and no lag of the event loop above 250 ms; and the
next normal request succeeds. `make test-faults` runs them.
"""


def marked() -> dict[int, list[str]]:
    """The tests that show each row, by their marks."""
    shown: dict[int, list[str]] = defaultdict(list)
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        for test in _tests_of(file):
            for row in _rows_of(test):
                shown[row].append(f"fault/{file.name}::{test.name}")
    return shown


def problems() -> Iterator[str]:
    """Rows that are told of twice or not at all, and tests that are not there."""
    shown = marked()
    rows = {row for section in SECTIONS.values() for row in section}
    for row in sorted(rows):
        told = row in shown or row in ELSEWHERE
        if told == (row in PENDING):
            yield f"row {row} must be shown by a test, or say in PENDING why it is not"
    for row in sorted(shown.keys() - rows):
        yield f"row {row} is marked by a test and in no section"
    for tests in ELSEWHERE.values():
        for test in tests:
            path, _, name = test.partition("::")
            if name not in {one.name for one in _tests_of(TESTS / path)}:
                yield f"no test {test}"


def page() -> str:
    """The text of docs/faults.md."""
    shown = marked()
    lines = [_HEAD]
    for title, rows in SECTIONS.items():
        lines += [f"## {title}\n", "| row | what goes wrong | shown by |", "|---|---|---|"]
        for row, what in rows.items():
            tests = [*shown[row], *ELSEWHERE.get(row, ())]
            told = "<br>".join(f"`{test}`" for test in tests) or f"**not yet**: {PENDING[row]}"
            remark = f"<br>{REMARKS[row]}" if row in REMARKS else ""
            lines.append(f"| {row} | {what} | {told}{remark} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _tests_of(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
            "test"
        ):
            yield node


def _rows_of(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[int]:
    for decorator in test.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.row":
            yield from (ast.literal_eval(argument) for argument in decorator.args)


def main(*, check: bool) -> int:
    """Write the page, or say what is wrong with the one there is."""
    wrong = [*problems()]
    if check and (not PAGE.exists() or PAGE.read_text("utf-8") != page()):
        wrong.append(f"{PAGE.name} is not what the tests say: python -m tests.fault.rows")
    for problem in wrong:
        print(problem, file=sys.stderr)
    if not wrong and not check:
        PAGE.write_text(page(), "utf-8")
    return int(bool(wrong))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="change nothing")
    sys.exit(main(check=arguments.parse_args().check))
