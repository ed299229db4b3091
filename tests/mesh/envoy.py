"""A real Envoy before servers of this machine, by the configuration that deploy/envoy shows."""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ENVOY = Path(sys.executable).parent / "envoy"
CONFIG = Path(__file__).resolve().parents[2] / "deploy" / "envoy" / "turnout.yaml"
HOST = "127.0.0.1"
STARTS_WITHIN_S = 30.0
Change = Callable[[dict[str, Any], dict[str, Any]], None]
"""Alters what a test needs otherwise: it is given the route and the cluster."""


@dataclass(frozen=True, slots=True)
class Envoy:
    """A running Envoy: where calls go in, and where it tells of itself."""

    address: str
    admin: str

    def healthy(self) -> list[str]:
        """The addresses of the servers that pass their health checks."""
        statuses = self._hosts()
        return [_address(host) for host in statuses if _is_healthy(host)]

    def calls_by_server(self) -> dict[str, int]:
        """How many calls went to each server."""
        return {
            _address(host): int(stat.get("value", 0))
            for host in self._hosts()
            for stat in host["stats"]
            if stat["name"] == "rq_total"
        }

    def statistic(self, name: str) -> int:
        """One of its counters or gauges, such as `cluster.turnout.upstream_rq_retry`."""
        with urllib.request.urlopen(f"{self.admin}/stats?filter=^{name}$&format=json") as response:
            found: list[dict[str, Any]] = json.load(response)["stats"]
        return sum(int(one["value"]) for one in found)

    def _hosts(self) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.admin}/clusters?format=json") as response:
            (cluster,) = json.load(response)["cluster_statuses"]
        hosts: list[dict[str, Any]] = cluster.get("host_statuses", [])
        return hosts


def _address(host: dict[str, Any]) -> str:
    socket = host["address"]["socket_address"]
    return f"{socket['address']}:{socket['port_value']}"


def _is_healthy(host: dict[str, Any]) -> bool:
    status = host["health_status"]
    return status.get("eds_health_status") == "HEALTHY" and not any(
        flag.startswith("failed") for flag in status
    )


@contextmanager
def envoy_before(servers: Sequence[str], change: Change = lambda *_: None) -> Iterator[Envoy]:
    """Run Envoy in front of the servers, given as `host:port`, until the block is left."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config, admin_file = folder / "envoy.yaml", folder / "admin.txt"
        config.write_text(json.dumps(_config(servers, change)))
        process = subprocess.Popen(
            [str(ENVOY), "--config-path", config, "--admin-address-path", admin_file,
             "--use-dynamic-base-id", "--concurrency", "1",
             "--log-level", "error"],
        )  # fmt: skip
        try:
            envoy = _when_listening(process, admin_file)
            _until(lambda: len(envoy.healthy()) == len(servers), "its servers are not healthy")
            yield envoy
        finally:
            process.terminate()
            process.wait()


def _config(servers: Sequence[str], change: Change) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text("utf-8"))
    resources = config["static_resources"]
    (listener,), (cluster,) = resources["listeners"], resources["clusters"]
    for address in (config["admin"]["address"], listener["address"]):
        address["socket_address"] = {"address": HOST, "port_value": 0}
    cluster["type"] = "STATIC"
    cluster["load_assignment"]["endpoints"] = [
        {"lb_endpoints": [{"endpoint": {"address": _socket(server)}} for server in servers]}
    ]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    (host,) = manager["route_config"]["virtual_hosts"]
    change(host["routes"][0]["route"], cluster)
    return config


def _socket(server: str) -> dict[str, Any]:
    host, _, port = server.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}


def _when_listening(process: "subprocess.Popen[bytes]", admin_file: Path) -> Envoy:
    listeners: list[dict[str, Any]] = []

    def listens() -> bool:
        assert process.poll() is None, "Envoy did not start"
        with suppress(OSError, ValueError):
            url = f"http://{admin_file.read_text().strip()}/listeners?format=json"
            with urllib.request.urlopen(url) as response:
                listeners[:] = json.load(response).get("listener_statuses", [])
        return bool(listeners)

    _until(listens, "Envoy does not listen")
    local = listeners[0]["local_address"]["socket_address"]
    return Envoy(f"{HOST}:{local['port_value']}", f"http://{admin_file.read_text().strip()}")


def _until(true: Callable[[], bool], otherwise: str) -> None:
    ends = time.monotonic() + STARTS_WITHIN_S
    while not true():
        assert time.monotonic() < ends, otherwise
        time.sleep(0.05)
