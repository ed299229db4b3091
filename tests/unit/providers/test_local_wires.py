"""What the embedded models' server really says, on the wires that our adapters decode."""

import array
import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.unit.providers.local_setup import supervised
from turnout_server.providers.local import models

HI = {"messages": [{"role": "user", "content": "Say hi"}], "max_tokens": 4}


@pytest.fixture(scope="module")
async def chat() -> AsyncIterator[aiohttp.ClientSession]:
    async for http in _client(models.CHAT):
        yield http


@pytest.fixture(scope="module")
async def embed() -> AsyncIterator[aiohttp.ClientSession]:
    async for http in _client(models.EMBED):
        yield http


async def test_openai_stream_ends_with_finish_then_usage_then_done(
    chat: aiohttp.ClientSession,
) -> None:
    body = HI | {"stream": True, "stream_options": {"include_usage": True}}
    status, content = await _post(chat, "/v1/chat/completions", body)
    *lines, done = _data(content)
    chunks = [json.loads(line) for line in lines]
    assert (status, done) == (200, b"[DONE]")
    # What the first chunk holds is the model server's business: the role alone, or text already.
    assert all("delta" in chunk["choices"][0] for chunk in chunks[:-1])
    assert chunks[-2]["choices"][0]["finish_reason"] in {"length", "stop"}
    assert chunks[-1]["choices"] == []
    assert 1 <= chunks[-1]["usage"]["completion_tokens"] <= 4
    assert {chunk["model"] for chunk in chunks} == {models.CHAT.name}


async def test_openai_answer_in_one_piece_has_usage(chat: aiohttp.ClientSession) -> None:
    status, content = await _post(chat, "/v1/chat/completions", HI)
    answer = json.loads(content)
    assert status == 200
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["prompt_tokens"] > 0


async def test_anthropic_stream_has_every_lifecycle_event(chat: aiohttp.ClientSession) -> None:
    _, content = await _post(chat, "/v1/messages", HI | {"model": "any", "stream": True})
    events = [json.loads(line) for line in _data(content)]
    kinds = [event["type"] for event in events]
    deltas = kinds.count("content_block_delta")
    # A model that has nothing to say opens no block.
    block = ("content_block_start", *["content_block_delta"] * deltas, "content_block_stop")
    assert kinds[0] == "message_start"
    assert kinds[1:-2] in (list(block), [])
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert events[-2]["delta"]["stop_reason"] in {"max_tokens", "end_turn"}
    assert events[-2]["usage"]["output_tokens"] >= 1


async def test_anthropic_answer_in_one_piece_has_usage(chat: aiohttp.ClientSession) -> None:
    status, content = await _post(chat, "/v1/messages", HI | {"model": "any"})
    answer = json.loads(content)
    assert (status, answer["type"], answer["role"]) == (200, "message", "assistant")
    assert answer["content"][0]["text"]
    assert answer["usage"]["input_tokens"] + answer["usage"]["cache_read_input_tokens"] > 0


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_prompt_beyond_the_context_is_the_callers_fault(
    chat: aiohttp.ClientSession, path: str
) -> None:
    long = {"messages": [{"role": "user", "content": "word " * 3000}], "max_tokens": 1}
    status, content = await _post(chat, path, long | {"model": "any", "stream": True})
    error = json.loads(content)["error"]
    assert (status, error["type"]) == (400, "exceed_context_size_error")
    assert error["n_ctx"] == models.CHAT.context_tokens


async def test_answers_are_written_side_by_side(chat: aiohttp.ClientSession) -> None:
    body = {"messages": [{"role": "user", "content": "Tell a story"}], "max_tokens": 2000}
    endless = body | {"stream": True, "ignore_eos": True}
    async with chat.post("/v1/chat/completions", json=endless) as first:
        await first.content.readline()
        status, _ = await _post(chat, "/v1/chat/completions", HI)
        assert status == 200
        assert not first.content.at_eof()


@pytest.mark.parametrize("stream", [True, False])
async def test_caller_that_leaves_frees_its_place(stream: bool) -> None:
    async for http in _client(models.CHAT, parallel=1):
        body = {"messages": [{"role": "user", "content": "Tell a story"}], "max_tokens": 2000}
        endless = body | {"stream": stream, "ignore_eos": True}
        left = asyncio.create_task(_post(http, "/v1/chat/completions", endless))
        await asyncio.sleep(0.2)
        left.cancel()
        await asyncio.wait([left])
        # The only place would be taken for 40 s more if the first answer were still written.
        async with asyncio.timeout(15):
            status, _ = await _post(http, "/v1/chat/completions", HI)
        assert status == 200


async def test_alike_sentences_have_alike_vectors(embed: aiohttp.ClientSession) -> None:
    texts = ["A man is eating food.", "Someone eats a meal.", "The stock market fell."]
    status, content = await _post(embed, "/v1/embeddings", {"input": texts})
    vectors = [item["embedding"] for item in json.loads(content)["data"]]
    assert status == 200
    assert [len(vector) for vector in vectors] == [384, 384, 384]
    assert _similarity(vectors[0], vectors[0]) == pytest.approx(1.0, abs=1e-5)
    assert _similarity(vectors[0], vectors[1]) > 0.7
    assert abs(_similarity(vectors[0], vectors[2])) < 0.2


async def test_base64_vectors_equal_those_in_json(embed: aiohttp.ClientSession) -> None:
    body = {"input": "A man is eating food."}
    _, plain = await _post(embed, "/v1/embeddings", body)
    _, packed = await _post(embed, "/v1/embeddings", body | {"encoding_format": "base64"})
    vector = array.array("f", base64.b64decode(json.loads(packed)["data"][0]["embedding"]))
    assert vector.tolist() == pytest.approx(json.loads(plain)["data"][0]["embedding"], abs=1e-6)


@pytest.mark.parametrize("words", [520, 60_000])
async def test_text_beyond_the_context_is_the_callers_fault(
    embed: aiohttp.ClientSession, words: int
) -> None:
    status, content = await _post(embed, "/v1/embeddings", {"input": "word " * words})
    error = json.loads(content)["error"]
    assert (status, error["type"]) == (400, "exceed_context_size_error")


async def _client(model: models.ModelFile, **options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with supervised(model, **options) as supervisor:
        await supervisor.wait_ready(30)
        # llama.cpp hangs up after a stream without announcing it: a connection kept for the next
        # request may be dead by then.
        fresh = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(supervisor.origin, connector=fresh) as http:
            yield http


async def _post(http: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
    async with http.post(path, json=body) as response:
        return response.status, await response.read()


def _data(content: bytes) -> list[bytes]:
    return [line[6:] for line in content.splitlines() if line.startswith(b"data: ")]


def _similarity(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))
