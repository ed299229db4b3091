"""Every smoke case through the synchronous client, over a real port."""

import uuid
from datetime import datetime
from typing import Any

import pytest

from tests.client.conftest import trace_of
from tests.client.smoke_case import (
    CASES,
    USAGE_START,
    Outcome,
    call_options,
    calls_seen,
    chat_request,
    check,
    client_options,
    texts,
)
from turnout_client import Client, TurnoutError
from turnout_client.stream import ChatStream


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_smoke_case_through_the_synchronous_client(
    case: dict[str, Any], smoke_server: dict[str, str]
) -> None:
    request_id = str(uuid.uuid4())
    outcome = Outcome()
    with (
        trace_of(case),
        Client(smoke_server["address"], **client_options(case, smoke_server)) as client,
    ):
        try:
            run(client, case, outcome, call_options(case, request_id))
        except TurnoutError as error:
            outcome.error = error
            outcome.answer = error.partial or outcome.answer
        seen = calls_seen(smoke_server, request_id)
    check(case, outcome, request_id, seen)


def run(client: Client, case: dict[str, Any], outcome: Outcome, options: dict[str, Any]) -> None:
    asked = case["request"]
    match case["method"]:
        case "Chat":
            stream = client.chat(chat_request(case), **options)
            outcome.answer = read(stream, case.get("client", {}).get("cancel_after_deltas"))
        case "CompleteChat":
            outcome.answer = client.complete(chat_request(case), **options)
        case "Embed":
            vectors = client.embed(
                asked["model"], texts(case), dimensions=asked["dimensions"], **options
            )
            outcome.vectors = dict(enumerate(vectors))
        case "EmbedStream":
            embed_all(client, case, outcome, options)
        case "ListModels":
            outcome.names = [model.name for model in client.models(**options)]
        case "GetModel":
            outcome.names = [client.model(asked["name"], **options).name]
        case "ListProviders":
            outcome.names = [status.provider for status in client.providers(**options)]
        case "WatchProviders":
            watch(client, case, outcome, options)
        case "QueryUsage":
            rows = client.usage(datetime.fromisoformat(USAGE_START), by=["model"], **options)
            outcome.names = [row.dimension_values[0] for row in rows]
        case "GetLimits":
            outcome.names = [limit.id for limit in client.limits(**options)]


def read(stream: ChatStream, cancel_after: int | None) -> Any:
    if cancel_after is None:
        return stream.collect()
    for number, _ in enumerate(stream, 1):
        if number == cancel_after:
            stream.cancel()
    return stream.answer


def embed_all(
    client: Client, case: dict[str, Any], outcome: Outcome, options: dict[str, Any]
) -> None:
    asked = case["request"]
    done = client.embed_all(asked["model"], texts(case), dimensions=asked["dimensions"], **options)
    for position, vector, error in done:
        if vector is not None:
            outcome.vectors[position] = vector
        elif error is not None:
            outcome.failed[str(position)] = error.reason
    assert done.summary is not None
    assert done.summary.embedded_items == len(outcome.vectors)


def watch(client: Client, case: dict[str, Any], outcome: Outcome, options: dict[str, Any]) -> None:
    updates = client.watch_providers(**options)
    for number, update in enumerate(updates, 1):
        outcome.names += [status.provider for status in update]
        if number == case["client"]["cancel_after_messages"]:
            updates.close()
