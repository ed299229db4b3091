"""The guarded transport against a real socket: faults 1-13, 24-28, 53 and the facts A1-A6."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
import trustme

from tests.unit.providers.raw_upstream import (
    Answer,
    RawUpstream,
    hanging,
    head,
    raw,
    serve,
    stream,
    whole,
)
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.target import Endpoint, Timeouts
from turnout_server.providers import upstream as guarded


@asynccontextmanager
async def client_of(seen: RawUpstream, **options: object) -> AsyncIterator[httpx2.AsyncClient]:
    async with guarded.http_client(seen.endpoint(), **options) as client:  # type: ignore[arg-type]
        yield client


async def post(client: httpx2.AsyncClient, address: str) -> httpx2.Response:
    request = client.build_request("POST", address + "/chat/completions", content=b'{"a": 1}')
    return await client.send(request, stream=True)


async def read(client: httpx2.AsyncClient, address: str) -> bytes:
    answer = await post(client, address)
    body = guarded.body_of(answer)
    try:
        return await body.read_all()
    finally:
        await body.aclose()


async def failure_of(answer: Answer) -> ProviderFailure:
    async with serve(answer) as seen, client_of(seen) as client:
        with pytest.raises(ProviderFailure) as caught:
            await read(client, seen.address)
        return caught.value


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
async def test_no_connection_is_unreachable(host: str) -> None:
    address = f"http://{host}:{unused_port()}/v1"
    async with guarded.http_client(Endpoint("e", "e", "w", address)) as client:
        with pytest.raises(ProviderFailure) as caught:
            await read(client, address)
    assert caught.value.kind is FailureKind.UNREACHABLE


async def test_a_connect_that_nobody_answers_is_given_up() -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    endpoint = Endpoint("e", "e", "w", address, timeouts=Timeouts(connect_s=0.1))
    try:
        async with guarded.http_client(endpoint) as client:
            with pytest.raises(ProviderFailure) as caught:
                await read(client, address)
    finally:
        for sock in [listener, *fillers]:
            sock.close()
    assert caught.value.kind is FailureKind.UNREACHABLE


@pytest.mark.parametrize("fault", ["unknown authority", "wrong name"])
async def test_a_bad_certificate_is_unreachable(fault: str) -> None:
    authority, other = trustme.CA(), trustme.CA()
    name = "other.example" if fault == "wrong name" else "localhost"
    trusted = other if fault == "unknown authority" else authority
    server, client = _contexts(authority, name, trusted)
    async with (
        serve(raw(whole(b"{}")), tls=server) as seen,
        client_of(seen, tls=client) as http,
    ):
        with pytest.raises(ProviderFailure) as caught:
            await read(http, seen.address)
    assert caught.value.kind is FailureKind.UNREACHABLE
    assert seen.requests == []


async def test_a_trusted_certificate_is_spoken_to() -> None:
    authority = trustme.CA()
    server, client = _contexts(authority, "localhost", authority)
    async with serve(raw(whole(b"{}")), tls=server) as seen, client_of(seen, tls=client) as http:
        assert await read(http, seen.address) == b"{}"


def _contexts(
    authority: trustme.CA, name: str, trusted: trustme.CA
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusted.configure_trust(client)
    return server, client


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(raw(b"not HTTP at all\r\n\r\n", close=True), id="garbage"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nx: " + b"y" * (1 << 20)), id="big-header"),
        pytest.param(raw(close=True), id="closed-unanswered"),
        pytest.param(raw(b"HTTP/1.1 200", close=True), id="cut-in-the-head"),
        pytest.param(raw(head(content_length="10") + b"half", close=True), id="cut-body"),
        pytest.param(
            raw(head(transfer_encoding="chunked") + b"5\r\nab", close=True), id="cut-chunk"
        ),
        pytest.param(
            raw(head(transfer_encoding="chunked") + b"zz\r\nab\r\n", close=True), id="bad-chunk"
        ),
    ],
)
async def test_a_broken_answer_is_an_error(answer: Answer) -> None:
    failure = await failure_of(answer)
    assert failure.kind is FailureKind.ERROR
    assert not failure.fresh_connection


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd", "deflate, gzip"])
async def test_a_compressed_answer_is_refused_before_it_is_read(encoding: str) -> None:
    bomb = gzip.compress(b"\0" * (1 << 20))
    failure = await failure_of(raw(whole(bomb, content_encoding=encoding)))
    assert failure.kind is FailureKind.ERROR
    assert "compressed" in failure.detail


async def test_a_compressed_error_keeps_its_status() -> None:
    bomb = gzip.compress(b"\0" * (1 << 20))
    async with (
        serve(raw(whole(bomb, 503, content_encoding="gzip"))) as seen,
        client_of(seen) as client,
    ):
        answer = await post(client, seen.address)
    assert answer.status_code == 503
    assert answer.content == b""


async def test_an_endless_body_is_cut_at_the_limit() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(head())
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with serve(endless) as seen, client_of(seen) as client:
        body = guarded.body_of(await post(client, seen.address))
        with pytest.raises(ProviderFailure, match="passes 200000 bytes"):
            await body.read_all(limit_bytes=200_000)
        await body.aclose()
        await seen.hung_up.wait()


async def test_an_error_body_is_read_to_a_limit() -> None:
    async with serve(raw(whole(b"y" * 500_000, 500))) as seen, client_of(seen) as client:
        answer = await post(client, seen.address)
        assert len(answer.content) == guarded.MAX_ERROR_BODY_BYTES


async def test_an_error_body_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "ERROR_BODY_WAIT_S", 0.05)
    async with (
        serve(hanging(head(500, content_length="10") + b"half")) as seen,
        client_of(seen) as client,
    ):
        answer = await post(client, seen.address)
        assert (answer.status_code, answer.content) == (500, b"half")


async def test_a_redirect_is_not_followed() -> None:
    async with serve(raw(whole(b"{}"))) as trap, client_of(trap) as client:
        moved = raw(whole(b"", 307, location=trap.address + "/chat/completions"))
        async with serve(moved) as seen:
            answer = await post(client, seen.address)
        assert answer.status_code == 307
        assert trap.requests == []


async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve(raw(whole(b"trap"))) as trap, serve(raw(whole(b"{}"))) as seen:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, trap.address)
        async with client_of(seen) as client:
            assert await read(client, seen.address) == b"{}"
        assert trap.requests == []


async def test_cookies_are_not_kept() -> None:
    async with serve(raw(whole(b"{}", set_cookie="session=abc"))) as seen, client_of(seen) as http:
        await read(http, seen.address)
        await read(http, seen.address)
    assert "cookie" not in "".join(seen.requests).lower()


async def test_a_connection_is_used_again() -> None:
    async with serve(raw(whole(b"{}"))) as seen, client_of(seen) as client:
        for _ in range(3):
            assert await read(client, seen.address) == b"{}"
    assert (len(seen.requests), seen.connections) == (3, 1)


async def test_a_reused_connection_that_died_asks_for_a_fresh_one() -> None:
    async def once(writer: asyncio.StreamWriter) -> None:
        if len(seen.requests) == 1:
            writer.write(whole(b"{}"))
        else:
            writer.close()

    async with serve(once) as seen, client_of(seen) as client:
        await read(client, seen.address)
        with pytest.raises(ProviderFailure) as caught:
            await read(client, seen.address)
    assert caught.value.kind is FailureKind.ERROR
    assert caught.value.fresh_connection


@pytest.mark.parametrize("pause_s", [0, 0.02])
async def test_bytes_after_an_answer_never_reach_the_next(pause_s: float) -> None:
    async def poisoned(writer: asyncio.StreamWriter) -> None:
        if len(seen.requests) == 1:
            writer.write(whole(b"first"))
            await asyncio.sleep(pause_s)
            writer.write(whole(b"poison"))
        else:
            writer.write(whole(b"second"))

    async with serve(poisoned) as seen, client_of(seen) as client:
        assert await read(client, seen.address) == b"first"
        await asyncio.sleep(0.05)
        assert await read(client, seen.address) == b"second"


async def test_a_full_pool_fails_within_its_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded, "POOL_WAIT_S", 0.05)
    async with serve(hanging(head())) as seen, client_of(seen, max_connections=2) as client:
        held = [await post(client, seen.address) for _ in range(2)]
        with pytest.raises(ProviderFailure) as caught:
            await post(client, seen.address)
        assert caught.value.kind is FailureKind.OVERLOADED
        for answer in held:
            await guarded.body_of(answer).aclose()
        free = await post(client, seen.address)
        await guarded.body_of(free).aclose()


async def test_a_large_body_is_sent_whole() -> None:
    content = b"x" * (3 << 20)
    async with serve(raw(whole(b"{}"))) as seen, client_of(seen) as client:
        request = client.build_request("POST", seen.address, content=content)
        answer = await client.send(request, stream=True)
        assert await guarded.body_of(answer).read_all() == b"{}"
    assert f"content-length: {len(content)}\r\n" in seen.requests[0].lower()
    assert "chunked" not in seen.requests[0]


@pytest.mark.parametrize("secure", [False, True])
async def test_closing_a_body_hangs_up_at_once(*, secure: bool) -> None:
    authority = trustme.CA()
    server, trust = _contexts(authority, "localhost", authority)
    async with (
        serve(hanging(head(), b"begun"), tls=server if secure else None) as seen,
        client_of(seen, tls=trust) as client,
    ):
        body = guarded.body_of(await post(client, seen.address))
        assert await body.read() == b"begun"
        await body.aclose()
        await asyncio.wait_for(seen.hung_up.wait(), 1)
        assert seen.open_connections == 0


async def test_cancelling_before_the_head_hangs_up_and_frees_the_slot() -> None:
    async with serve(hanging()) as seen, client_of(seen, max_connections=1) as client:
        waiting = asyncio.create_task(post(client, seen.address))
        while not seen.requests:
            await asyncio.sleep(0.001)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait_for(seen.hung_up.wait(), 1)
        seen.answer = raw(whole(b"{}"))
        assert await read(client, seen.address) == b"{}"


@pytest.mark.parametrize(
    ("content_type", "good"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream; charset=utf-8", True),
        ("text/html", False),
        ("application/json", False),
        ("", False),
    ],
)
async def test_only_an_event_stream_is_one(content_type: str, *, good: bool) -> None:
    response = httpx2.Response(200, headers={"content-type": content_type})
    if good:
        guarded.require_event_stream(response)
    else:
        with pytest.raises(ProviderFailure):
            guarded.require_event_stream(response)


async def test_a_drained_stream_gives_its_connection_back() -> None:
    async with serve(raw(stream(b"[DONE]"))) as seen, client_of(seen) as client:
        for _ in range(2):
            body = guarded.body_of(await post(client, seen.address))
            await body.read()
            await body.drain()
            await body.aclose()
    assert seen.connections == 1


def test_a_wrapped_failure_is_found() -> None:
    inner = ProviderFailure(FailureKind.UNREACHABLE)
    outer = RuntimeError("an SDK's own")
    outer.__cause__ = inner
    assert guarded.failure_within(outer) is inner
    assert guarded.failure_within(RuntimeError()) is None
