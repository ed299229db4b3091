"""The endpoint `local`: two model servers of our own behind one name."""

from collections.abc import AsyncGenerator
from dataclasses import replace

from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse

from turnout_server.core.target import Attempt, Endpoint
from turnout_server.providers.openai_chat.client import Client
from turnout_server.providers.provider import ChatEvent, EmbedShard, Vectors


class LocalProvider:
    """Implements Provider over llama.cpp's servers: one holds the chat model, one the embedder."""

    def __init__(self, endpoint: Endpoint, *, chat_url: str, embed_url: str) -> None:
        self._chat = Client(replace(endpoint, base_url=chat_url))
        self._embed = Client(replace(endpoint, base_url=embed_url))

    def chat(self, request: ChatRequest, attempt: Attempt) -> AsyncGenerator[ChatEvent, None]:
        """See Provider.chat."""
        return self._chat.chat(request, attempt)

    async def complete(self, request: ChatRequest, attempt: Attempt) -> ChatResponse:
        """See Provider.complete."""
        return await self._chat.complete(request, attempt)

    async def embed(self, shard: EmbedShard, attempt: Attempt) -> Vectors:
        """See Provider.embed."""
        return await self._embed.embed(shard, attempt)

    async def aclose(self) -> None:
        """See Provider.aclose. The processes are the supervisors' to stop."""
        await self._chat.aclose()
        await self._embed.aclose()
