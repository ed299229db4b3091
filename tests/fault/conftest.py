"""Fixtures of the fault suite: a stage, whose invariants are asserted after each test."""

import gc
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.fault.stage import WIRES, Stage, open_stage

OpenStage = Callable[..., Awaitable[Stage]]


class Figures:
    """What tests measured and do not judge; shown at the end of the run."""

    lines: ClassVar[list[str]] = []

    def add(self, line: str) -> None:
        self.lines.append(line)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "row(*numbers): rows of docs/faults.md that a test shows")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if Figures.lines:
        terminalreporter.section("figures")
        for line in Figures.lines:
            terminalreporter.write_line(line)


@pytest.fixture
def figures() -> Figures:
    return Figures()


@pytest.fixture(scope="session")
def stages() -> Iterator[int]:
    """Counts the stages of the session."""
    return itertools.count(1)


@pytest.fixture
def little_to_collect(stages: Iterator[int]) -> None:
    """Keep what earlier tests have left out of the collector's way.

    A collection looks at every object there is: those of hundreds of tests hold the loop for
    longer than the invariants allow, and are no server's.
    """
    if next(stages) % 50 == 0:
        gc.unfreeze()
        gc.collect()
    gc.freeze()


@pytest.fixture
async def set_stage(tmp_path: Path, little_to_collect: None) -> AsyncIterator[OpenStage]:
    """Makes a stage with a configuration of the test's own."""
    async with AsyncExitStack() as stack:

        async def set_one(**config: Any) -> Stage:
            return await stack.enter_async_context(open_stage(tmp_path, **config))

        yield set_one


@pytest.fixture
async def stage(set_stage: OpenStage) -> Stage:
    """The plain stage."""
    return await set_stage()


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    """Each provider of the stage that goes wrong: one for each wire."""
    return str(request.param)
