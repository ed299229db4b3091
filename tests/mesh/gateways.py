"""Gateways with scripted providers, each a process of its own that can be killed or stopped."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    """A running `turnout serve`."""

    address: str
    process: "subprocess.Popen[bytes]"

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, within_s: float) -> int:
        """Its exit status."""
        return self.process.wait(within_s)


@contextmanager
def gateway(aliases: Mapping[str, str] = {}) -> Iterator[GatewayProcess]:
    """Start one on a free port; it is killed at the end, if it still runs.

    `aliases` are names of models with the script of each.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "server": {"listen": f"{HOST}:0", "lame_duck": "3s", "drain_grace": "20s"},
            "providers": {"scripted": {"keys": []}},
            "models": {
                name: {"targets": [f"scripted/{script}"]} for name, script in aliases.items()
            },
            "usage": {"url": "off"},
        }
        file = Path(folder) / "turnout.yaml"
        file.write_text(json.dumps(config))
        command = [sys.executable, "-m", "turnout_server", "serve", "--config", str(file)]
        log = Path(folder) / "log"
        with log.open("w") as said, subprocess.Popen(command, stdout=said) as process:
            try:
                yield GatewayProcess(f"{HOST}:{_port(process, log)}", process)
            finally:
                process.kill()


def _port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    while process.poll() is None:
        for line in log.read_text().splitlines():
            if line.endswith("}") and json.loads(line).get("event") == "serving":
                return int(json.loads(line)["port"])
        time.sleep(0.05)
    raise AssertionError(log.read_text())
