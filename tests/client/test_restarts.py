"""What a reader sees when the gateway starts an answer over."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.client.smoke_case import CASES, chat_request
from turnout_client import Answer, AsyncClient, Client, Restarted

RESTARTED = chat_request(
    next(case for case in CASES if case["name"] == "restart_voids_what_came_before")
)


@pytest.fixture
def client(smoke_server: dict[str, str]) -> Iterator[Client]:
    with Client(smoke_server["address"], api_key=smoke_server["api_key"]) as client:
        yield client


def test_plain_text_iteration_says_that_what_was_read_is_void(client: Client) -> None:
    stream = client.chat(RESTARTED)
    assert next(stream) == "One, tw"
    with pytest.raises(Restarted) as restarted:
        next(stream)
    assert restarted.value.partial is not None
    assert restarted.value.partial.text == "One, tw"


def test_iterating_on_after_a_restart_gives_the_whole_new_answer(client: Client) -> None:
    stream = client.chat(RESTARTED)
    with pytest.raises(Restarted):
        list(stream)
    assert list(stream) == ["1, ", "2, 3."]
    assert stream.answer.finish_reason == "STOP"


async def test_the_asynchronous_reader_does_the_same(smoke_server: dict[str, Any]) -> None:
    address, api_key = smoke_server["address"], smoke_server["api_key"]
    async with AsyncClient(address, api_key=api_key) as client:
        stream = client.chat(RESTARTED)
        assert await anext(stream) == "One, tw"
        with pytest.raises(Restarted):
            await anext(stream)
        assert [text async for text in stream] == ["1, ", "2, 3."]


def test_on_restart_is_told_what_is_void_and_iteration_goes_on(client: Client) -> None:
    voided: list[Answer] = []
    assert list(client.chat(RESTARTED, on_restart=voided.append)) == ["One, tw", "1, ", "2, 3."]
    assert [answer.text for answer in voided] == ["One, tw"]
    assert voided[0].tool_calls[0].id == "old"


def test_snapshots_never_show_two_generations_at_once(client: Client) -> None:
    texts = [answer.text for answer in client.chat(RESTARTED).snapshots()]
    assert texts == ["", "One, tw", "One, tw", "1, ", "1, 2, 3.", "1, 2, 3."]


def test_collecting_after_reading_some_text_gives_the_last_generation(client: Client) -> None:
    stream = client.chat(RESTARTED)
    next(stream)
    assert stream.collect().text == "1, 2, 3."
