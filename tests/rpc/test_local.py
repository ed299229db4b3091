"""Real upstreams that nobody here wrote: llama.cpp's own server, through both wires."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from turnout.v1.chat_service_pb2 import ChatRequest, FinishReason, StreamOptions
from turnout.v1.embed_service_pb2 import EmbedRequest
from turnout.v1.embed_service_pb2_grpc import EmbedServiceStub

from tests.rpc.serving import Failed, Serving, chat, serve, text_of
from tests.unit.providers.local_setup import supervised
from turnout_server.app.cli.embed import cosine
from turnout_server.providers.local import models

CONFIG = """
providers:
  by-openai: {{row: openai_compatible, base_url: "{chat}/v1", keys: []}}
  by-anthropic: {{row: anthropic_compatible, base_url: "{chat}", keys: []}}
  embedder: {{row: openai_compatible, base_url: "{embed}/v1", keys: []}}
"""
WIRES = ("by-openai", "by-anthropic")


@pytest.fixture(scope="module")
async def real(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serving]:
    folder: Path = tmp_path_factory.mktemp("local")
    async with supervised(models.CHAT) as chat_model, supervised(models.EMBED) as embed_model:
        for model in (chat_model, embed_model):
            await model.wait_ready(60)
        config = CONFIG.format(chat=chat_model.origin, embed=embed_model.origin)
        async with serve(folder, config) as serving:
            yield serving


def ask(wire: str, **fields: object) -> ChatRequest:
    request = chat(f"{wire}/{models.CHAT.name}", max_output_tokens=24, **fields)
    request.messages[0].text = "Name three colours."
    return request


@pytest.mark.parametrize("wire", WIRES)
async def test_real_tokens_stream_and_are_counted(real: Serving, wire: str) -> None:
    events = await real.ask(ask(wire, stream=StreamOptions(final_message=True)))
    assert not isinstance(events, Failed)
    finish = events[-1].finish
    assert len([event for event in events if event.text_delta]) > 3
    assert text_of(events) == finish.message.parts[0].text
    assert finish.usage.input_tokens > 0
    assert 0 < finish.usage.output_tokens <= 24
    assert not finish.usage.estimated
    assert finish.reason in (FinishReason.FINISH_REASON_STOP, FinishReason.FINISH_REASON_MAX_TOKENS)


@pytest.mark.parametrize("wire", WIRES)
async def test_the_same_at_once(real: Serving, wire: str) -> None:
    answer = await real.chat.CompleteChat(ask(wire))
    assert answer.text.strip()
    assert 0 < answer.finish.usage.output_tokens <= 24


@pytest.mark.parametrize("wire", WIRES)
async def test_a_prompt_longer_than_the_window_is_told_as_such(real: Serving, wire: str) -> None:
    request = ask(wire)
    request.messages[0].text = "word " * 6000
    told = await real.ask(request)
    assert isinstance(told, Failed)
    assert told.reason == "CONTEXT_LENGTH_EXCEEDED"


@pytest.mark.parametrize("wire", WIRES)
async def test_streams_one_after_another_survive_closed_connections(
    real: Serving, wire: str
) -> None:
    """llama.cpp closes the connection after each stream while it promises to keep it."""
    for _ in range(10):
        assert not isinstance(await real.ask(ask(wire)), Failed)


async def test_real_embeddings_know_what_is_alike(real: Serving) -> None:
    texts = ["a cat sleeps", "a kitten naps", "the invoice is due"]
    request = EmbedRequest(model=f"embedder/{models.EMBED.name}", texts=texts)
    response = await EmbedServiceStub(real.channel).Embed(request)
    cat, kitten, invoice = ([*embedding.values] for embedding in response.embeddings)
    assert cosine(cat, kitten) > 0.5 > cosine(cat, invoice)
