"""Who may call, and what, through the port: API keys and tokens (certificates: test_tls)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from turnout.v1.chat_service_pb2 import ProviderParameters
from turnout.v1.model_service_pb2 import GetModelRequest, ListModelsRequest
from turnout.v1.model_service_pb2_grpc import ModelServiceStub
from turnout.v1.routing_pb2 import RoutingOptions

from tests.rpc.serving import (
    TWO_PROVIDERS,
    Failed,
    Serving,
    chat,
    failed,
    kept_running,
    serve,
    text_of,
)
from turnout_server.core.call import Priority
from turnout_server.core.clock import SYSTEM_CLOCK
from turnout_server.core.target import Secret
from turnout_server.rpc.api_keys import NewKey, new_key
from turnout_server.rpc.auth import REFUSED

PEPPER = "canary-pepper"
ALIASES = "models: {small: {targets: [first/say:yes]}, large: {targets: [second/say:yes]}}\n"


def entry(key: NewKey, tenant: str = "acme", **rules: Any) -> dict[str, Any]:
    return {"id": key.id, "hmac": key.digest.hex(), "tenant": tenant, **rules}


def key() -> NewKey:
    return new_key(Secret(PEPPER))


def bearer(key: NewKey, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key.text}"), *more)


@asynccontextmanager
async def guarded(
    folder: Path, *entries: dict[str, Any], auth: str = "", config: str = TWO_PROVIDERS + ALIASES
) -> AsyncIterator[Serving]:
    """A gateway with these API keys in its file."""
    file = folder / "keys.json"
    file.write_text(json.dumps({"keys": entries}))
    section = f"api_keys_file: {file}, api_keys_pepper: {{env: PEPPER}}, {auth}"
    text = f"{config}auth: {{{section}}}\n"
    async with serve(folder, text, environ={"PEPPER": PEPPER}) as serving:
        yield serving


async def test_a_key_names_its_tenant(tmp_path: Path) -> None:
    mine = key()
    async with guarded(tmp_path, entry(mine)) as serving:
        assert text_of(await serving.ask(chat("small"), metadata=bearer(mine))) == "yes"
        (record,) = serving.seen.accepted_calls
    assert (record.identity.tenant, record.identity.subject) == ("acme", mine.id)


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", ""),),
        (("authorization", "Bearer"),),
        (("authorization", "Basic dDp0"),),
        (("authorization", "Bearer turnout_0123456789abcdef.secret"),),
        (("authorization", "Bearer ' OR '1'='1"),),
        (("x-tenant-id", "acme"),),
        (("x-forwarded-client-cert", "URI=spiffe://mesh/acme"),),
    ],
    ids=repr,
)
async def test_without_valid_credentials_nothing_is_decoded_and_all_are_told_the_same(
    tmp_path: Path, metadata: tuple[tuple[str, str], ...]
) -> None:
    async with guarded(tmp_path, entry(key())) as serving:
        raw = serving.channel.unary_stream("/turnout.v1.ChatService/Chat")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            [_ async for _ in raw(b"\xff no message", metadata=metadata)]
        told = failed(refused.value)
        assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
        assert (told.message, told.pushback_ms) == (REFUSED, -1)
        assert serving.seen.accepted_calls == []


async def test_a_right_key_sent_twice_is_as_good_as_none(tmp_path: Path) -> None:
    mine = key()
    async with guarded(tmp_path, entry(mine)) as serving:
        told = await serving.ask(chat("small"), metadata=bearer(mine) + bearer(mine))
    assert isinstance(told, Failed)
    assert told.code is grpc.StatusCode.UNAUTHENTICATED


async def test_every_service_is_closed_but_health(tmp_path: Path) -> None:
    async with guarded(tmp_path, entry(key())) as serving:
        health = await HealthStub(serving.channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as models:
            await ModelServiceStub(serving.channel).ListModels(ListModelsRequest())
        assert models.value.code() is grpc.StatusCode.UNAUTHENTICATED
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = ServerReflectionStub(serving.channel).ServerReflectionInfo(iter([request]))
        with pytest.raises(grpc.aio.AioRpcError) as reflection:
            [_ async for _ in call]
        assert reflection.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_forbidden_model_or_method_reaches_no_provider(tmp_path: Path) -> None:
    mine = key()
    rules = entry(mine, models=["small"], methods=["Chat"])
    async with guarded(tmp_path, rules) as serving:
        metadata = bearer(mine)
        fallback = chat("small", routing=RoutingOptions(fallback_models=["large"]))
        for request in (chat("large"), chat("second/say:no"), chat("no-such"), fallback):
            told = await serving.ask(request, metadata=metadata)
            assert isinstance(told, Failed)
            assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "FORBIDDEN")
        with pytest.raises(grpc.aio.AioRpcError) as method:
            await serving.chat.CompleteChat(chat("small"), metadata=metadata)
        assert failed(method.value).reason == "FORBIDDEN"
        assert serving.seen.attempts == []
        listed = await ModelServiceStub(serving.channel).ListModels(
            ListModelsRequest(), metadata=metadata
        )
        assert [model.name for model in listed.models] == ["small"]
        for name in ("large", "no-such"):
            named = GetModelRequest(name=name)
            with pytest.raises(grpc.aio.AioRpcError) as look_up:
                await ModelServiceStub(serving.channel).GetModel(named, metadata=metadata)
            assert failed(look_up.value).reason == "FORBIDDEN"


async def test_a_tenants_rules_hold_for_all_of_its_keys(tmp_path: Path) -> None:
    mine, other = key(), key()
    auth = "tenants: {acme: {models: [small]}, default: {models: []}}"
    async with guarded(tmp_path, entry(mine), entry(other, "other"), auth=auth) as serving:
        assert text_of(await serving.ask(chat("small"), metadata=bearer(mine))) == "yes"
        for request, metadata in ((chat("large"), bearer(mine)), (chat("small"), bearer(other))):
            told = await serving.ask(request, metadata=metadata)
            assert isinstance(told, Failed)
            assert told.reason == "FORBIDDEN"


async def test_more_output_than_a_key_may_ask_for_names_the_field(tmp_path: Path) -> None:
    mine = key()
    async with guarded(tmp_path, entry(mine, max_output_tokens=100)) as serving:
        metadata = bearer(mine)
        parameters = ProviderParameters(provider="first", json='{"max_tokens": 9000}')
        for request, field in (
            (chat("small", max_output_tokens=101), "max_output_tokens"),
            (chat("small", provider_parameters=[parameters]), "provider_parameters[0].json"),
        ):
            told = await serving.ask(request, metadata=metadata)
            assert isinstance(told, Failed)
            assert told.reason == "INVALID_REQUEST"
            assert [each.field for each in told.bad_request.field_violations] == [field]
        assert serving.seen.attempts == []
        for request in (chat("small", max_output_tokens=100), chat("small")):
            assert text_of(await serving.ask(request, metadata=metadata)) == "yes"


async def test_a_batch_key_cannot_make_its_calls_interactive(tmp_path: Path) -> None:
    batch, free = key(), key()
    async with guarded(tmp_path, entry(batch, priority="batch"), entry(free)) as serving:
        for metadata in (
            bearer(batch, ("x-priority", "interactive")),
            bearer(free, ("x-priority", "batch")),
            bearer(free),
        ):
            await serving.ask(chat("small"), metadata=metadata)
        priorities = [call.priority for call in serving.seen.accepted_calls]
    assert priorities == [Priority.BATCH, Priority.BATCH, Priority.INTERACTIVE]


async def test_the_tenant_header_counts_for_keys_that_may_act_for_others(tmp_path: Path) -> None:
    plain, some, any_tenant = key(), key(), key()
    async with guarded(
        tmp_path,
        entry(plain),
        entry(some, "proxy", may_act_for=["acme", "beta"]),
        entry(any_tenant, "proxy", may_act_for=["*"]),
    ) as serving:
        for mine, named in ((plain, "beta"), (some, "beta"), (any_tenant, "gamma")):
            await serving.ask(chat("small"), metadata=bearer(mine, ("x-tenant-id", named)))
        assert [call.identity.tenant for call in serving.seen.accepted_calls] == [
            "acme",
            "beta",
            "gamma",
        ]
        for header in (
            (("x-tenant-id", "gamma"),),
            (("x-tenant-id", ""),),
            (("x-tenant-id", "acme"), ("x-tenant-id", "beta")),
        ):
            told = await serving.ask(chat("small"), metadata=bearer(some, *header))
            assert isinstance(told, Failed)
            assert told.code is grpc.StatusCode.UNAUTHENTICATED


async def test_a_metadata_bomb_is_refused_before_anything(tmp_path: Path) -> None:
    async with guarded(tmp_path, entry(key())) as serving:
        bomb = tuple((f"x-{number}", "v" * 20) for number in range(2000))
        told = await serving.ask(chat("small"), metadata=bomb)
        assert isinstance(told, Failed)
        assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await HealthStub(serving.channel).Check(health_pb2.HealthCheckRequest())


async def test_a_key_counts_from_the_moment_its_file_says_so(tmp_path: Path) -> None:
    old, new = key(), key()
    async with guarded(tmp_path, entry(old)) as serving, kept_running(serving.gateway):
        stream = serving.chat.Chat(chat("first/say:a|hang"), metadata=bearer(old))
        await stream.read()
        (tmp_path / "keys.json").write_text(json.dumps({"keys": [entry(new)]}))
        assert serving.gateway.reloader is not None
        assert (await serving.gateway.reloader.reload()).changed
        assert text_of(await serving.ask(chat("small"), metadata=bearer(new))) == "yes"
        assert isinstance(await serving.ask(chat("small"), metadata=bearer(old)), Failed)
        (tmp_path / "keys.json").write_text('{"keys": [{"id": "x"}]}')
        assert "keys[0].hmac: is missing" in (await serving.gateway.reloader.reload()).error
        assert text_of(await serving.ask(chat("small"), metadata=bearer(new))) == "yes"
        # A stream that began under the old key goes on.
        assert not stream.done()
        stream.cancel()
        await serving.idle()


ISSUER_KEY = ed25519.Ed25519PrivateKey.generate()


def token(**claims: Any) -> str:
    now = int(SYSTEM_CLOCK.wall())
    body = {"iss": "https://id.example", "aud": "turnout", "exp": now + 60, "org": "acme"}
    return jwt.encode(body | claims, ISSUER_KEY, "EdDSA", headers={"kid": "k"})


async def test_an_issuers_token_beside_api_keys(tmp_path: Path) -> None:
    by_name: Any = jwt.get_algorithm_by_name("EdDSA")
    public = by_name.to_jwk(ISSUER_KEY.public_key(), as_dict=True)
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps({"keys": [{**public, "kid": "k"}]}))
    mine = key()
    auth = (
        f"jwt: {{jwks: file://{file}, issuer: 'https://id.example', audience: turnout,"
        " tenant_claim: org}"
    )
    async with guarded(tmp_path, entry(mine, "beta"), auth=auth) as serving:
        for text in (token(), mine.text):
            metadata = (("authorization", f"bearer {text}"),)
            assert text_of(await serving.ask(chat("small"), metadata=metadata)) == "yes"
        assert [call.identity.tenant for call in serving.seen.accepted_calls] == ["acme", "beta"]
        for text in (token(aud="other"), token()[:-6] + "AAAAAA", token(exp=1)):
            told = await serving.ask(chat("small"), metadata=(("authorization", f"Bearer {text}"),))
            assert isinstance(told, Failed)
            assert told.message == REFUSED


async def test_a_bug_in_auth_is_masked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard stands before auth: what auth lets slip is nobody's to read."""
    mine = key()
    async with guarded(tmp_path, entry(mine)) as serving:
        monkeypatch.setattr(serving.gateway._auth, "_rules", None)
        told = await serving.ask(chat("small"), metadata=bearer(mine))
        with pytest.raises(grpc.aio.AioRpcError) as unary:
            await serving.chat.CompleteChat(chat("small"), metadata=bearer(mine))
        assert isinstance(told, Failed)
        for failure in (told, failed(unary.value)):
            assert (failure.code, failure.message) == (grpc.StatusCode.INTERNAL, "internal error")
