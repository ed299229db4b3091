"""The embedded models of one process: two children, started, watched and stopped with it."""

import asyncio
from dataclasses import dataclass

from turnout_server.app.config.environment import models_folder
from turnout_server.providers.local import models
from turnout_server.providers.local.supervisor import Supervisor

READY_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class ModelUrls:
    """Where the embedded models answer, in children of this process or of its parent."""

    chat: str
    embed: str


class Embedded:
    """Owns the children. `start`, then `run` in a task of its own, then `stop`."""

    def __init__(self) -> None:
        folder = models_folder()
        self._chat = Supervisor(models.CHAT, folder)
        self._embed = Supervisor(models.EMBED, folder)

    @property
    def urls(self) -> ModelUrls:
        """Where they answer, for as long as this lives."""
        return ModelUrls(self._chat.base_url, self._embed.base_url)

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
