"""The gateway as it is served, on a free port that it prints."""

import sys
from pathlib import Path

import uvloop

from turnout_server.app.serve import run
from turnout_server.app.settings import read_settings
from turnout_server.app.wiring import Gateway


async def _say_port(gateway: Gateway) -> None:
    print(gateway.port, flush=True)


def main(file: Path) -> None:
    """Serve until terminated."""
    uvloop.run(run(read_settings(file), file, _say_port))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
