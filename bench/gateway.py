"""The gateway as it is served, on a free port that it prints."""

import sys
from pathlib import Path

import uvloop

from turnout_server.app.serve import run, telemetry_of
from turnout_server.app.settings import read_settings
from turnout_server.app.wiring import Gateway
from turnout_server.telemetry.observers import build_observers


async def _say_port(gateway: Gateway) -> None:
    print(gateway.port, flush=True)


def main(file: Path) -> None:
    """Serve until terminated."""
    settings = read_settings(file)
    uvloop.run(run(settings, file, _say_port, build_observers(telemetry_of(settings))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
