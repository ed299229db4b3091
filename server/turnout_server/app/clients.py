"""The provider clients of each configuration in turn, and the embedded models behind `local`."""

import asyncio
from collections.abc import Mapping

import structlog

from turnout_server.app.embedded import Embedded, ModelUrls
from turnout_server.app.settings import Settings
from turnout_server.core.target import Endpoint
from turnout_server.providers.catalogue import LOCAL
from turnout_server.providers.local.provider import LocalProvider
from turnout_server.providers.provider import Provider
from turnout_server.providers.registry import Registry, make_client

_log = structlog.get_logger(__name__)


def uses_local(settings: Settings) -> bool:
    """Whether some endpoint stands for the embedded models."""
    return any(endpoint.row == LOCAL for endpoint in settings.routes.endpoints.values())


class Clients:
    """Owns every client. `models` says where the embedded models answer, if the parent runs them;
    otherwise they are started when an endpoint needs them.
    """

    def __init__(self, models: ModelUrls | None = None) -> None:
        self.embedded: Embedded | None = None
        self._models = models
        self._registry = Registry(self._make)

    async def make(self, settings: Settings) -> Mapping[str, Provider]:
        """A client for each endpoint, kept from before where the two agree.

        Loads SDKs, off the event loop, and starts the embedded models where they are new: raises
        ModelFileError or LocalModelUnavailable.
        """
        if self._models is None and uses_local(settings):
            embedded = Embedded()
            try:
                await embedded.start()
            except BaseException:
                await embedded.stop()
                raise
            self.embedded, self._models = embedded, embedded.urls
        return await asyncio.to_thread(self._make_all, settings)

    async def retire(self, settings: Settings, over: asyncio.Event) -> None:
        """Close the clients that these settings do not use, once `over` says nobody else does."""
        retired = self._registry.retire(settings.routes.endpoints.values())
        try:
            if retired:
                await over.wait()
        finally:
            for client in retired:
                try:
                    await client.aclose()
                except Exception as error:  # noqa: BLE001  it serves nobody: no reason to die
                    _log.warning("a client was not closed in order", exc_info=error)

    async def aclose(self) -> None:
        """Close every client and end the embedded models."""
        await self._registry.aclose()
        if self.embedded is not None:
            await self.embedded.stop()

    def _make_all(self, settings: Settings) -> Mapping[str, Provider]:
        endpoints = settings.routes.endpoints
        return {name: self._registry.provider(each) for name, each in endpoints.items()}

    def _make(self, endpoint: Endpoint) -> Provider:
        if endpoint.row != LOCAL:
            return make_client(endpoint)
        assert self._models is not None
        return LocalProvider(endpoint, chat_url=self._models.chat, embed_url=self._models.embed)
