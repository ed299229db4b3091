"""Logs into a real pipe or file; what a test configures is undone after it."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from turnout_server.telemetry import logs

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("turnout_server")
    before = (root.handlers[:], root.level, own.level)
    yield
    root.handlers[:], root.level, own.level = before
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Lines]:
    """Configures JSON logs; calling it closes the sink and reads what was written."""
    file = tmp_path / "log"
    fd = os.open(file, os.O_CREAT | os.O_WRONLY)
    sink = logs.configure(level="info", fd=fd)

    def read() -> list[dict[str, Any]]:
        sink.close()
        return [json.loads(line) for line in file.read_text().splitlines()]

    yield read
    sink.close()
    os.close(fd)
