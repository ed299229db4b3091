"""TLS on the port: who is let in by certificate, what is not TLS, and certificates that change."""

import asyncio
import datetime as dt
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from turnout.v1.embed_service_pb2 import EmbedStreamRequest
from turnout.v1.embed_service_pb2_grpc import EmbedServiceStub

from tests.rpc.certificates import (
    Pair,
    channel_credentials,
    client_pair,
    server_pair,
    write_tls,
)
from tests.rpc.serving import (
    TWO_PROVIDERS,
    Failed,
    Serving,
    channel_to,
    chat,
    failed,
    kept_running,
    serve,
    text_of,
)
from turnout_server.app.config.problem import ConfigError
from turnout_server.rpc import server as rpc_server

AUTHORITY = trustme.CA()
STRANGER = trustme.CA()
MTLS = (
    "auth: {mtls: {trust_domain: mesh, tenants: {'spiffe://mesh/acme/app': acme},"
    " trusted_peers: ['spiffe://mesh/sidecar']}}\n"
)


def of(*uris: str, authority: trustme.CA = AUTHORITY) -> grpc.ChannelCredentials:
    return channel_credentials(AUTHORITY, client_pair(authority, uris=uris))


@asynccontextmanager
async def meshed(folder: Path, client: Any = None) -> AsyncIterator[Serving]:
    """A gateway that knows callers by certificate, and one such caller."""
    tls = write_tls(folder / "tls", server_pair(AUTHORITY), AUTHORITY)
    credentials = client or of("spiffe://mesh/acme/app")
    async with serve(folder, TWO_PROVIDERS + MTLS, credentials=credentials, tls=tls) as serving:
        yield serving


async def test_a_certificate_names_the_tenant(tmp_path: Path) -> None:
    async with meshed(tmp_path) as serving:
        assert text_of(await serving.ask(chat("first/say:hi"))) == "hi"
        answer = await serving.chat.CompleteChat(chat("first/say:hi"))
        assert answer.text == "hi"
        told = [call.identity for call in serving.seen.accepted_calls]
    assert [(one.tenant, one.subject) for one in told] == [("acme", "spiffe://mesh/acme/app")] * 2


@pytest.mark.parametrize(
    "uris",
    [
        (),
        ("spiffe://mesh/acme/app2",),
        ("spiffe://mesh/acme",),
        ("spiffe://other/acme/app",),
        ("spiffe://mesh.evil/acme/app",),
        ("spiffe://mesh/acme/app?x",),
        ("SPIFFE://mesh/acme/app",),
        ("spiffe://mesh/acme/app", "spiffe://mesh/other"),
    ],
    ids=repr,
)
async def test_an_id_must_match_to_the_letter_and_be_the_only_one(
    tmp_path: Path, uris: tuple[str, ...]
) -> None:
    async with meshed(tmp_path, of(*uris)) as serving:
        raw = serving.channel.unary_stream("/turnout.v1.ChatService/Chat")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            [_ async for _ in raw(b"\xff no message")]
        assert failed(refused.value).reason == "UNAUTHENTICATED"
        options = EmbedServiceStub(serving.channel).EmbedStream(iter([EmbedStreamRequest()]))
        with pytest.raises(grpc.aio.AioRpcError) as stream:
            [_ async for _ in options]
        assert stream.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_dns_name_that_looks_like_an_id_is_none(tmp_path: Path) -> None:
    pair = client_pair(AUTHORITY, dns=("spiffe://mesh/acme/app",))
    async with meshed(tmp_path, channel_credentials(AUTHORITY, pair)) as serving:
        told = await serving.ask(chat("first/say:hi"))
    assert isinstance(told, Failed)
    assert told.reason == "UNAUTHENTICATED"


async def test_an_unreadable_message_of_a_known_caller_is_invalid(tmp_path: Path) -> None:
    async with meshed(tmp_path) as serving:
        raw = serving.channel.unary_stream("/turnout.v1.ChatService/Chat")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            [_ async for _ in raw(b"\xff no message")]
    assert failed(refused.value).reason == "INVALID_REQUEST"


async def test_a_wrong_bearer_is_not_saved_by_a_right_certificate(tmp_path: Path) -> None:
    async with meshed(tmp_path) as serving:
        metadata = (("authorization", "Bearer x"),)
        told = await serving.ask(chat("first/say:hi"), metadata=metadata)
    assert isinstance(told, Failed)
    assert told.reason == "UNAUTHENTICATED"


async def test_only_a_trusted_peer_names_the_tenant(tmp_path: Path) -> None:
    header = (("x-tenant-id", "beta"), ("x-forwarded-client-cert", "URI=spiffe://mesh/other"))
    async with meshed(tmp_path) as serving:
        await serving.ask(chat("first/say:hi"), metadata=header)
        async with channel_to(serving.gateway, of("spiffe://mesh/sidecar")) as channel:
            sidecar = Serving(serving.gateway, channel, serving.seen)
            await sidecar.ask(chat("first/say:hi"), metadata=header)
            nobody = await sidecar.ask(chat("first/say:hi"))
        assert [one.identity.tenant for one in serving.seen.accepted_calls] == ["acme", "beta"]
    assert isinstance(nobody, Failed)
    assert nobody.reason == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    "credentials",
    [
        channel_credentials(AUTHORITY),
        of("spiffe://mesh/acme/app", authority=STRANGER),
        channel_credentials(STRANGER, client_pair(AUTHORITY)),
        None,
    ],
    ids=["no certificate", "a stranger's certificate", "distrusts the server", "plain text"],
)
async def test_without_mutual_trust_there_is_no_connection(
    tmp_path: Path, credentials: grpc.ChannelCredentials | None
) -> None:
    async with meshed(tmp_path) as serving, channel_to(serving.gateway, credentials) as channel:
        caller = Serving(serving.gateway, channel, serving.seen)
        told = await caller.ask(chat("first/say:hi"), timeout=5)
        assert isinstance(told, Failed)
        assert told.code is grpc.StatusCode.UNAVAILABLE
        assert serving.seen.accepted_calls == []


def handshake(port: int, **versions: ssl.TLSVersion) -> str | None:
    context = ssl.create_default_context(cadata=AUTHORITY.cert_pem.bytes().decode())
    context.set_alpn_protocols(["h2"])
    context.set_ciphers("ALL:@SECLEVEL=0")
    for name, version in versions.items():
        setattr(context, name, version)
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return secure.version()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_nothing_older_than_tls_1_2_is_spoken(tmp_path: Path) -> None:
    tls = write_tls(tmp_path / "tls", server_pair(AUTHORITY))
    async with serve(tmp_path, tls=tls) as serving:
        port = serving.gateway.port
        assert await asyncio.to_thread(handshake, port) == "TLSv1.3"
        older = {"maximum_version": ssl.TLSVersion.TLSv1_2}
        assert await asyncio.to_thread(lambda: handshake(port, **older)) == "TLSv1.2"
        oldest = {
            "minimum_version": ssl.TLSVersion.TLSv1,
            "maximum_version": ssl.TLSVersion.TLSv1_1,
        }
        with pytest.raises((ssl.SSLError, OSError)):
            await asyncio.to_thread(lambda: handshake(port, **oldest))


async def serial_of(port: int) -> bytes | None:
    context = ssl.create_default_context(cadata=AUTHORITY.cert_pem.bytes().decode())
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    shown: ssl.SSLObject = writer.get_extra_info("ssl_object")
    writer.close()
    return shown.getpeercert(binary_form=True)


def der(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.cert_pem.decode().split("-----END")[0] + END)


END = "-----END CERTIFICATE-----\n"


async def test_new_connections_see_a_rotated_certificate_and_old_ones_go_on(
    tmp_path: Path,
) -> None:
    old, new = server_pair(AUTHORITY), server_pair(AUTHORITY)
    tls = write_tls(tmp_path / "tls", old)
    credentials = channel_credentials(AUTHORITY)
    async with (
        serve(tmp_path, credentials=credentials, tls=tls) as serving,
        kept_running(serving.gateway),
    ):
        reloader, port = serving.gateway.reloader, serving.gateway.port
        assert reloader is not None
        assert await serial_of(port) == der(old)
        stream = aiter(serving.chat.Chat(chat("first/say:a|wait:300|say:b")))
        await anext(stream)
        (tmp_path / "tls" / "cert.pem").write_bytes(new.cert_pem)
        assert "not the key of the certificate" in (await reloader.reload()).error
        assert await serial_of(port) == der(old)
        (tmp_path / "tls" / "key.pem").write_bytes(new.key_pem)
        assert (await reloader.reload()).changed
        assert await serial_of(port) == der(new)
        assert [event async for event in stream][-1].HasField("finish")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("cert.pem", b"no certificate", "holds no certificates in PEM"),
        ("key.pem", b"no key", "holds no private key in PEM, or one behind a password"),
        ("ca.pem", b"no certificate", "holds no certificates in PEM"),
        ("key.pem", server_pair(STRANGER).key_pem, "is not the key of the certificate in"),
    ],
)
async def test_files_that_do_not_fit_are_refused_with_their_line(
    tmp_path: Path, file: str, content: bytes, message: str
) -> None:
    tls = write_tls(tmp_path / "tls", server_pair(AUTHORITY), AUTHORITY)
    (tmp_path / "tls" / file).write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        async with serve(tmp_path, tls=tls):
            pass
    assert message in str(refused.value)
    assert "turnout.yaml:1: server.tls." in str(refused.value)


async def test_certificates_for_callers_need_an_authority(tmp_path: Path) -> None:
    tls = write_tls(tmp_path / "tls", server_pair(AUTHORITY))
    with pytest.raises(ConfigError, match=r"auth.mtls: needs server.tls.client_ca_file"):
        async with serve(tmp_path, TWO_PROVIDERS + MTLS, tls=tls):
            pass


@pytest.mark.parametrize(("days", "told"), [(8, ""), (6, "expires soon"), (-1, "has expired")])
async def test_a_certificate_near_its_end_is_told_of(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], days: int, told: str
) -> None:
    end = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    begin = end - dt.timedelta(days=30)
    pair = server_pair(AUTHORITY, not_before=begin, not_after=end)
    async with (
        serve(tmp_path, tls=write_tls(tmp_path / "tls", pair)) as serving,
        kept_running(serving.gateway),
    ):
        await asyncio.sleep(0.01)
    shown = "".join(capfd.readouterr())
    assert told in shown
    assert ("the certificate" in shown) is bool(told)


async def closed_within(port: int, sent: bytes, wait_s: float) -> bool:
    """Whether the server closes a connection on which this was said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        async with asyncio.timeout(wait_s):
            while await reader.read(4096):
                pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    finally:
        writer.close()
    return True


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_half_a_greeting_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secure: bool
) -> None:
    """Ten seconds in earnest; one here."""
    options = dict(rpc_server.OPTIONS)
    assert options["grpc.server_handshake_timeout_ms"] == 10_000
    options["grpc.server_handshake_timeout_ms"] = 1000
    monkeypatch.setattr(rpc_server, "OPTIONS", tuple(options.items()))
    tls = {"tls": write_tls(tmp_path / "tls", server_pair(AUTHORITY))} if secure else {}
    credentials = channel_credentials(AUTHORITY) if secure else None
    async with serve(tmp_path, credentials=credentials, **tls) as serving:
        half = b"\x16\x03\x01" if secure else b"PRI * HT"
        port = serving.gateway.port
        closed = await asyncio.gather(*(closed_within(port, half, 5) for _ in range(50)))
        assert all(closed)
        assert text_of(await serving.ask(chat("first/say:hi"))) == "hi"


async def test_what_is_not_grpc_is_closed_and_harms_nobody(tmp_path: Path) -> None:
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200
    async with serve(tmp_path) as serving:
        for sent in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", hello, b"\0" * 64):
            assert await closed_within(serving.gateway.port, sent, 5)
        assert text_of(await serving.ask(chat("first/say:hi"))) == "hi"
    tls = write_tls(tmp_path / "tls", server_pair(AUTHORITY))
    credentials = channel_credentials(AUTHORITY)
    async with serve(tmp_path, credentials=credentials, tls=tls) as serving:
        assert await closed_within(serving.gateway.port, b"GET / HTTP/1.1\r\n\r\n", 5)
        assert text_of(await serving.ask(chat("first/say:hi"))) == "hi"
