"""An issuer's published keys: over https, kept while it is down, and not asked too often."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import jwt
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ed25519

from turnout_server.rpc.jwks import REFETCH_EVERY_S, PublishedKeys, fetch_document


def key_set(*key_ids: str) -> bytes:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    key: dict[str, Any] = jwt.get_algorithm_by_name("EdDSA").to_jwk(public, as_dict=True)
    return json.dumps({"keys": [{**key, "kid": key_id} for key_id in key_ids]}).encode()


class Issuer:
    """What an address answers, and how often it was asked."""

    def __init__(self, *key_ids: str) -> None:
        self.document: bytes | Exception = key_set(*key_ids)
        self.fetches = 0
        self.now = 1000.0

    def fetch(self, url: str) -> bytes:
        assert url == "https://issuer/keys"
        self.fetches += 1
        if isinstance(self.document, Exception):
            raise self.document
        return self.document

    def keys(self) -> PublishedKeys:
        return PublishedKeys("https://issuer/keys", fetch=self.fetch, monotonic=lambda: self.now)


async def test_keys_are_fetched_when_first_needed_once_for_all_who_wait() -> None:
    issuer = Issuer("a", "b")
    keys = issuer.keys()
    found = await asyncio.gather(*(keys.find("a") for _ in range(20)))
    assert all(found)
    assert (await keys.find("b")) is not None
    assert issuer.fetches == 1


async def test_an_unknown_key_id_has_them_fetched_anew_but_not_at_every_call() -> None:
    issuer = Issuer("a")
    keys = issuer.keys()
    await keys.find("a")
    issuer.document = key_set("a", "new")
    assert await keys.find("new") is None
    for number in range(100):
        await keys.find(f"unknown-{number}")
    assert issuer.fetches == 1
    issuer.now += REFETCH_EVERY_S
    assert await keys.find("new") is not None
    assert issuer.fetches == 2


async def test_changed_keys_void_what_earlier_ones_have_proved() -> None:
    issuer = Issuer("a")
    keys = issuer.keys()
    await keys.find("a")
    before = keys.generation
    issuer.now += REFETCH_EVERY_S
    await keys.find("unknown")
    assert keys.generation == before
    issuer.now += REFETCH_EVERY_S
    issuer.document = key_set("b")
    await keys.find("b")
    assert keys.generation > before
    assert await keys.find("a") is None


async def settled(keys: PublishedKeys) -> None:
    while keys._fetching is not None:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("trouble", [OSError("down"), b"<html>", b"{}"], ids=repr)
async def test_known_keys_hold_for_a_day_while_the_issuer_is_down(
    trouble: bytes | Exception,
) -> None:
    issuer = Issuer("a")
    keys = issuer.keys()
    await keys.find("a")
    issuer.document = trouble
    for _ in range(23):
        issuer.now += 3600
        assert await keys.find("a") is not None
        await settled(keys)
    assert issuer.fetches == 24
    issuer.now += 3601
    assert await keys.find("a") is None
    issuer.document = key_set("a")
    issuer.now += REFETCH_EVERY_S
    assert await keys.find("a") is not None


async def test_nobody_waits_for_a_refresh_of_keys_that_are_known() -> None:
    issuer = Issuer("a")
    keys = issuer.keys()
    await keys.find("a")
    issuer.now += 3600
    assert await keys.find("a") is not None
    assert keys._fetching is not None
    await settled(keys)
    assert issuer.fetches == 2


async def test_an_issuer_that_is_down_from_the_start_is_asked_seldom() -> None:
    issuer = Issuer("a")
    issuer.document = OSError("down")
    keys = issuer.keys()
    for _ in range(50):
        assert await keys.find("a") is None
    assert issuer.fetches == 1


class Site:
    """An https server that answers every request with one prepared response."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.response = b""
        self.port = 0
        self._context = context

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.response)
        writer.close()


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    async with Site(context) as running:
        yield running


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


async def test_a_document_comes_over_https_from_a_trusted_server(site: Site) -> None:
    site.response = ok(b"{}")
    url = f"https://localhost:{site.port}/keys"
    assert await asyncio.to_thread(fetch_document, url) == b"{}"
    with pytest.raises(OSError, match="certificate"):
        await asyncio.to_thread(fetch_document, f"https://127.0.0.1:{site.port}/keys")


async def test_redirects_errors_and_floods_are_no_key_sets(site: Site) -> None:
    moved = b"HTTP/1.1 302 Found\r\nLocation: https://localhost:%d/x\r\n\r\n" % site.port
    for response in (moved, b"HTTP/1.1 500 No\r\n\r\n", ok(b"x" * (2 << 20))):
        site.response = response
        with pytest.raises(OSError, match=r"302|500|too long"):
            await asyncio.to_thread(fetch_document, f"https://localhost:{site.port}/keys")
