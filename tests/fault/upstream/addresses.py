"""Addresses at which nobody answers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


def closed_port() -> int:
    """A port of 127.0.0.1 that refuses connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def black_hole(*, callers: int = 8) -> AsyncIterator[int]:
    """A port of 127.0.0.1 on which connecting neither succeeds nor fails.

    The listener's backlog is full of callers nobody accepts, so the kernel drops further SYNs.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [_begin_connecting(address) for _ in range(callers)]
        try:
            await asyncio.sleep(0.05)
            yield address[1]
        finally:
            for caller in waiting:
                caller.close()


def _begin_connecting(address: tuple[str, int]) -> socket.socket:
    caller = socket.socket()
    caller.setblocking(False)
    caller.connect_ex(address)
    return caller
