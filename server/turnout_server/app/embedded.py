"""The embedded models of one process: two children, started, watched and stopped with it."""

import asyncio
import os
from pathlib import Path

from turnout_server.core.target import Endpoint
from turnout_server.providers.local import models
from turnout_server.providers.local.provider import LocalProvider
from turnout_server.providers.local.supervisor import Supervisor

READY_TIMEOUT_S = 60.0


def models_folder() -> Path:
    """Where the model files are kept: TURNOUT_MODELS_DIR, else the user's cache."""
    named = os.environ.get("TURNOUT_MODELS_DIR")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "turnout" / "models"


class Embedded:
    """Owns the children. `start`, then `run` in a task of its own, then `stop`."""

    def __init__(self) -> None:
        folder = models_folder()
        self._chat = Supervisor(models.CHAT, folder)
        self._embed = Supervisor(models.EMBED, folder)

    def provider(self, endpoint: Endpoint) -> LocalProvider:
        """The client of both children, for the endpoint that stands for them."""
        return LocalProvider(endpoint, chat_url=self._chat.base_url, embed_url=self._embed.base_url)

    async def start(self) -> None:
        """Start both; raises ModelFileError or LocalModelUnavailable with one line to show."""
        for supervisor in (self._chat, self._embed):
            await supervisor.start()

    async def run(self) -> None:
        """Keep both alive until stopped."""
        await asyncio.gather(self._chat.run(), self._embed.run())

    async def wait_ready(self) -> None:
        """Return once both answer."""
        for supervisor in (self._chat, self._embed):
            await supervisor.wait_ready(READY_TIMEOUT_S)

    async def stop(self) -> None:
        """End both; also after a `start` that failed."""
        for supervisor in (self._chat, self._embed):
            await supervisor.stop()
