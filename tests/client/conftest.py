"""One scripted server for all tests of the clients."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tests.client.smoke_case import SMOKE


@pytest.fixture(scope="session")
def smoke_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of a running clients/smoke/server.py, or those that SMOKE_SERVER names."""
    if given := os.environ.get("SMOKE_SERVER"):
        yield json.loads(Path(given).read_text("utf-8"))
        return
    port_file: Path = tmp_path_factory.mktemp("smoke") / "ready.json"
    command = [sys.executable, str(SMOKE / "server.py"), "--port-file", str(port_file)]
    with subprocess.Popen([*command, "--with-parent"], stdin=subprocess.PIPE) as server:
        while not port_file.exists():
            assert server.poll() is None, "the smoke server did not start"
            time.sleep(0.02)
        yield json.loads(port_file.read_text("utf-8"))
        assert server.stdin is not None
        server.stdin.close()


@contextmanager
def trace_of(case: dict[str, Any]) -> Iterator[None]:
    """Make the case's trace the current one."""
    headers = {"traceparent": case["traceparent"]} if "traceparent" in case else {}
    token = context.attach(TraceContextTextMapPropagator().extract(headers))
    try:
        yield
    finally:
        context.detach(token)
