"""The client against a real server: what it sends, what it refuses and how it hangs up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse

from tests.fault.upstream import FaultServer, answer
from tests.unit.providers.anthropic_setup import HELLO, attempt, responses, target
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.receipt import Receipt
from turnout_server.core.target import Attempt, Target
from turnout_server.providers.anthropic_messages import Client
from turnout_server.providers.provider import ChatEvent, EmbedShard

REQUEST = ChatRequest(messages=[HELLO])
TEXT = "".join(answer(12))


@pytest.fixture
async def upstream() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


@pytest.fixture
async def client(upstream: FaultServer) -> AsyncIterator[Client]:
    client = Client(to(upstream).endpoint)
    yield client
    await client.aclose()


def to(upstream: FaultServer, script: str = "ok") -> Target:
    return target(f"fault:{script}", base_url=upstream.base_url)


async def streamed(client: Client, attempt: Attempt) -> list[ChatEvent]:
    return [event async for event in client.chat(REQUEST, attempt)]


async def test_a_stream_and_an_answer_in_one_piece_say_the_same(
    upstream: FaultServer, client: Client
) -> None:
    events = await streamed(client, attempt(to(upstream)))
    unary = await client.complete(REQUEST, attempt(to(upstream)))
    assert isinstance(events[0], Receipt)
    assert "".join(e.text_delta for e in responses(events)) == TEXT
    assert responses(events)[-1].finish.message == unary.finish.message
    assert unary.finish.message.parts[0].text == TEXT
    assert [request.is_streamed for request in upstream.requests] == [True, False]


async def test_the_key_of_the_attempt_goes_into_the_sdks_header(
    upstream: FaultServer, client: Client
) -> None:
    for secret in ("first-key", "second-key"):
        await client.complete(REQUEST, attempt(to(upstream), secret=secret))
    await client.complete(REQUEST, attempt(to(upstream), secret=None))
    sent = [request.headers.get("authorization") for request in upstream.requests]
    assert sent == ["Bearer first-key", "Bearer second-key", None]


async def test_a_row_may_want_the_key_in_a_header_of_its_own(upstream: FaultServer) -> None:
    endpoint = target(base_url=upstream.base_url, options={"auth": "x-api-key"}).endpoint
    client = Client(endpoint)
    await client.complete(REQUEST, attempt(to(upstream), secret="own-key"))
    await client.aclose()
    headers = upstream.requests[0].headers
    assert headers["x-api-key"] == "own-key"
    assert "authorization" not in headers


async def test_the_environment_reaches_no_request(
    upstream: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FaultServer() as trap:
        for name in ("ANTHROPIC_BASE_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, trap.base_url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "canary")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "canary")
        monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-canary: canary")
        endpoint = target(base_url=upstream.base_url, headers={"x-row": "own"}).endpoint
        client = Client(endpoint)
        await client.complete(REQUEST, attempt(to(upstream), secret=None))
        await client.aclose()
        assert not trap.requests
    headers = upstream.requests[0].headers
    assert "canary" not in str(headers)
    assert headers["x-row"] == "own"


async def test_no_trace_of_ours_is_sent_and_identity_is_asked_for(
    upstream: FaultServer, client: Client
) -> None:
    await client.complete(REQUEST, attempt(to(upstream)))
    headers = upstream.requests[0].headers
    assert headers["accept-encoding"] == "identity"
    assert headers["anthropic-version"]
    assert headers["content-type"] == "application/json"
    assert "traceparent" not in headers


async def test_a_redirect_is_never_followed(upstream: FaultServer, client: Client) -> None:
    async with FaultServer() as other:
        script = f"redirect~to={other.base_url}"
        with pytest.raises(ProviderFailure) as caught:
            await streamed(client, attempt(to(upstream, script)))
        assert caught.value.kind is FailureKind.ERROR
        assert not other.requests


@pytest.mark.parametrize("script", ["gzip", "html200", "json200", "empty200", "nodone", "badutf8"])
async def test_what_is_no_answer_is_a_failure_streamed_or_not(
    upstream: FaultServer, client: Client, script: str
) -> None:
    for ask in (streamed, client_completes):
        with pytest.raises(ProviderFailure):
            await ask(client, attempt(to(upstream, script)))


async def client_completes(client: Client, attempt: Attempt) -> ChatResponse:
    return await client.complete(REQUEST, attempt)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("401", FailureKind.AUTH),
        ("404", FailureKind.MODEL_NOT_FOUND),
        ("413", FailureKind.TOO_LARGE),
        ("429", FailureKind.RATE_LIMITED),
        ("credit_too_low", FailureKind.QUOTA),
        ("context_length", FailureKind.CONTEXT_LENGTH),
        ("prompt_blocked", FailureKind.PROMPT_BLOCKED),
        ("500", FailureKind.ERROR),
        ("529", FailureKind.OVERLOADED),
        ("html502", FailureKind.ERROR),
    ],
)
async def test_refusals_are_asked_once_and_classified(
    upstream: FaultServer, client: Client, script: str, kind: FailureKind
) -> None:
    with pytest.raises(ProviderFailure) as caught:
        await streamed(client, attempt(to(upstream, script)))
    assert caught.value.kind is kind
    assert len(upstream.requests) == 1


async def test_retry_after_reaches_the_failure(upstream: FaultServer, client: Client) -> None:
    with pytest.raises(ProviderFailure) as caught:
        await client.complete(REQUEST, attempt(to(upstream, "429~after_s=7")))
    assert caught.value.retry_after_s == 7


async def test_output_before_a_cut_is_given_and_then_the_failure(
    upstream: FaultServer, client: Client
) -> None:
    events = client.chat(REQUEST, attempt(to(upstream, "rst~at=3~gap_ms=20")))
    text = ""
    failure = None
    try:
        async for event in events:
            text += event.text_delta if isinstance(event, ChatResponse) else ""
    except ProviderFailure as error:
        failure = error
    assert text == "".join(answer(3))
    assert failure is not None
    assert failure.kind is FailureKind.ERROR


async def test_closing_the_stream_hangs_up_at_once(upstream: FaultServer, client: Client) -> None:
    async with aclosing(client.chat(REQUEST, attempt(to(upstream, "hangmid")))) as events:
        async for event in events:
            if isinstance(event, ChatResponse):
                break
    await upstream.wait_until_idle(within_s=1)
    assert upstream.requests[0].outcome == "client_gone"


async def test_a_cancelled_answer_in_one_piece_hangs_up_too(
    upstream: FaultServer, client: Client
) -> None:
    asking = asyncio.create_task(client.complete(REQUEST, attempt(to(upstream, "hang"))))
    await upstream.wait_for_requests(1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await upstream.wait_until_idle(within_s=1)


async def test_a_finished_stream_gives_its_connection_back(
    upstream: FaultServer, client: Client
) -> None:
    for _ in range(3):
        async with aclosing(client.chat(REQUEST, attempt(to(upstream)))) as events:
            async for event in events:
                if isinstance(event, ChatResponse) and event.HasField("finish"):
                    break
    assert upstream.connections_accepted == 1


async def test_this_wire_has_no_embeddings(upstream: FaultServer, client: Client) -> None:
    with pytest.raises(ProviderFailure) as caught:
        await client.embed(EmbedShard(["x"]), attempt(to(upstream)))
    assert caught.value.kind is FailureKind.CAPABILITY
    assert not upstream.requests
