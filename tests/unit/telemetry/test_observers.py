"""The observers as app builds them: what is off costs nothing, what hangs holds up nobody."""

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.telemetry.facts_of_a_call import call, failed, succeeded, tell
from turnout_server.core.call import Call
from turnout_server.core.watch import Observer, Watch
from turnout_server.telemetry.observers import TelemetrySettings, build_observers, run_within


@pytest.fixture
def log_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def hung() -> Iterator[str]:
    """A collector that takes connections and says nothing, ever."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_without_an_address_no_telemetry_library_is_even_imported() -> None:
    done = run_python(
        """
        import sys
        from tests.unit.telemetry.facts_of_a_call import call, succeeded, tell
        from turnout_server.telemetry.observers import TelemetrySettings, build_observers
        observers = build_observers(TelemetrySettings())
        tell(observers.all, call(), succeeded())
        loaded = {name.partition(".")[0] for name in sys.modules}
        assert not loaded & {"opentelemetry", "prometheus_client", "grpc"}, loaded
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert '"event":"call"' in done.stdout


# In processes of their own: the senders that are left behind would log into later tests.


@pytest.mark.parametrize("collector", ["hung", "closed"])
def test_a_collector_that_hangs_or_is_down_holds_up_no_call_and_no_end(
    hung: str, collector: str
) -> None:
    endpoint = hung if collector == "hung" else "http://127.0.0.1:9"
    before = time.monotonic()
    done = run_python(
        f"""
        import asyncio, time
        from tests.unit.telemetry.facts_of_a_call import call, failed, succeeded, tell
        from turnout_server.telemetry.observers import TelemetrySettings, build_observers
        observers = build_observers(TelemetrySettings(otlp_endpoint="{endpoint}"))
        before = time.monotonic()
        for number in range(2000):
            tell(observers.all, call(str(number)), failed(1), succeeded(2))
        # 6,000 spans are more than wait at most: a call that waited for room would do so for 10 s.
        assert time.monotonic() - before < 8
        before = time.monotonic()
        asyncio.run(observers.shutdown())
        assert time.monotonic() - before < 3.2
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count('"event":"call"') == 2000
    assert time.monotonic() - before < 20


async def test_the_port_shows_metrics_and_probes(log_fd: int) -> None:
    observers = build_observers(TelemetrySettings(metrics_listen="127.0.0.1:0", log_fd=log_fd))
    observers.add_gauge("turnout.config.stale", "Whether the files could not be used", lambda: 1)
    port = await observers.start(ready=lambda: False, live=lambda: True)
    tell(observers.all, call(), failed(1), succeeded(2))
    metrics = await get(port, "/metrics")
    for wanted in (
        'rpc_server_call_duration_seconds_count{rpc_method="turnout.v1.ChatService/Chat"',
        'turnout_attempts_total{kind="overloaded",model="m-1",outcome="failed",provider="acme"} 1',
        "turnout_calls_in_flight{",
        'turnout_cost_usd_total{model="m-1",provider="acme",tenant="default"} 0.005',
        "turnout_config_stale 1.0",
        "turnout_log_lines_dropped_total 0.0",
        "gen_ai_client_token_usage_sum{",
        "gen_ai_server_time_to_first_token_seconds_bucket{",
    ):
        assert wanted in metrics, metrics
    assert "503" in await get(port, "/readyz")
    assert "200" in await get(port, "/healthz")
    await observers.shutdown()
    with pytest.raises(ConnectionRefusedError):
        await get(port, "/metrics")


async def get(port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_an_observer_that_fails_is_logged_once_and_counted(
    log_fd: int, tmp_path: Path
) -> None:
    class Broken(Observer):
        def accepted(self, call: Call) -> None:
            raise ValueError("canary")

    observers = build_observers(TelemetrySettings(log_fd=log_fd))
    for _ in range(3):
        watch = Watch(call(), [Broken(), *observers.all], observers.on_error)
        watch.accepted()
        watch.ended("OK")
    await observers.shutdown()
    lines = (tmp_path / "log").read_text().splitlines()
    assert observers.on_error.counts == {"Broken": 3}
    assert [line for line in lines if '"observer":"Broken"' in line][1:] == []
    assert len(lines) == 4
    assert "canary" not in "".join(lines)


async def test_works_are_done_side_by_side_and_left_behind_when_late() -> None:
    before = time.monotonic()
    assert await run_within(5, lambda: time.sleep(0.2), lambda: time.sleep(0.2))
    assert not await run_within(0.1, lambda: time.sleep(1))
    assert time.monotonic() - before < 0.9
