"""The command line of both servers: say where we are, serve, and end with whoever started us."""

import argparse
import asyncio
import json
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

Ready = dict[str, str]
"""What a client's tests need to know: README.md, "Start the server"."""


async def serve(
    describe: str, open_server: Callable[[Path], AbstractAsyncContextManager[Ready]]
) -> None:
    """Run the server until it is told to end; `open_server` is given the port file's path."""
    parser = argparse.ArgumentParser(description=describe)
    parser.add_argument("--port-file", type=Path, required=True, help="where to say the addresses")
    parser.add_argument(
        "--with-parent", action="store_true", help="end when standard input is closed"
    )
    given = parser.parse_args()
    stop = _ending(with_parent=given.with_parent)
    async with open_server(given.port_file) as ready:
        written = given.port_file.with_suffix(".part")
        written.write_text(json.dumps(ready), "utf-8")
        written.replace(given.port_file)  # whoever waits for the file finds it whole
        await stop.wait()


def _ending(*, with_parent: bool) -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if with_parent:

        def watch_parent() -> None:
            sys.stdin.buffer.read()
            loop.call_soon_threadsafe(stop.set)

        threading.Thread(target=watch_parent, daemon=True).start()
    return stop
