"""ModelService and AdminService: what there is, how it is doing, and operators' switches."""

import base64
from pathlib import Path
from typing import Any

import grpc
import pytest
from turnout.admin.v1.admin_service_pb2 import ResetCircuitRequest, SetProviderEnabledRequest
from turnout.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from turnout.v1.model_service_pb2 import (
    Capability,
    CircuitState,
    GetModelRequest,
    ListModelsRequest,
    ListProvidersRequest,
    WatchProvidersRequest,
)
from turnout.v1.model_service_pb2_grpc import ModelServiceStub

from tests.rpc.serving import TWO_PROVIDERS, Failed, Serving, chat, serve, text_of
from turnout_server.core.target import Endpoint, ModelCard, Price, Target
from turnout_server.policy.routes import Alias
from turnout_server.rpc.models import model_of

MANY = (
    TWO_PROVIDERS
    + "models:\n"
    + "".join(f"  alias-{i:02}: {{targets: [first/say:{i}]}}\n" for i in range(25))
)


def models(serving: Serving) -> Any:
    return ModelServiceStub(serving.channel)


async def test_models_are_listed_page_by_page(tmp_path: Path) -> None:
    async with serve(tmp_path, MANY) as serving:
        names: list[str] = []
        token = ""
        for _ in range(3):
            request = ListModelsRequest(page_size=10, page_token=token)
            page = await models(serving).ListModels(request)
            names += [model.name for model in page.models]
            token = page.next_page_token
        assert names == [f"alias-{i:02}" for i in range(25)]
        assert token == ""


@pytest.mark.parametrize("token", ["?", base64.urlsafe_b64encode(b"-5").decode()])
async def test_page_token_of_another_service_is_refused(serving: Serving, token: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="page_token"):
        await models(serving).ListModels(ListModelsRequest(page_token=token))


def test_what_a_cache_gives_for_nothing_is_shown_at_no_price() -> None:
    endpoint = Endpoint("e", "row", "wire", "http://x")
    price = Price(input=5, output=9, cache_read=0)
    target = Target(endpoint, ModelCard("m", frozenset(), price=price))
    shown = model_of(Alias("a", (target,))).targets[0].price
    assert shown.cache_read_micro_usd_per_million == 0
    assert shown.cache_write_micro_usd_per_million == 5


async def test_a_model_can_be_named_directly(serving: Serving) -> None:
    model = (await models(serving).GetModel(GetModelRequest(name="first/say:hi"))).model
    assert model.targets[0].provider == "first"
    assert Capability.CAPABILITY_CHAT in model.capabilities


async def test_unknown_model_is_not_found(serving: Serving) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await models(serving).GetModel(GetModelRequest(name="nope"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_providers_show_an_open_circuit_and_its_next_probe(serving: Serving) -> None:
    for _ in range(5):
        await serving.ask(chat("first/fail:ERROR"))
    listed = await models(serving).ListProviders(ListProvidersRequest())
    first = next(p for p in listed.providers if p.provider == "first")
    assert first.state == CircuitState.CIRCUIT_STATE_OPEN
    assert first.next_probe_time.seconds > first.last_failure_time.seconds > 0
    assert (first.error_rate, first.in_flight) == (1.0, 0)


async def test_watchers_hear_of_changes(serving: Serving) -> None:
    call = models(serving).WatchProviders(WatchProvidersRequest())
    assert [p.provider for p in (await call.read()).providers] == ["first", "second"]
    await serving.ask(chat("second/say:hi"))
    assert [p.provider for p in (await call.read()).providers] == ["second"]
    call.cancel()


async def test_admin_takes_a_provider_out_and_puts_it_back(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/admin"
    async with (
        serve(tmp_path, TWO_PROVIDERS, admin_listen=address) as serving,
        grpc.aio.insecure_channel(address) as channel,
    ):
        admin: Any = AdminServiceStub(channel)
        answer = await admin.SetProviderEnabled(
            SetProviderEnabledRequest(provider="first", enabled=False)
        )
        assert answer.provider.state == CircuitState.CIRCUIT_STATE_DISABLED
        assert isinstance(await serving.ask(chat("first/say:hi")), Failed)
        await admin.SetProviderEnabled(SetProviderEnabledRequest(provider="first", enabled=True))
        assert text_of(await serving.ask(chat("first/say:hi"))) == "hi"


async def test_admin_resets_circuits(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/admin"
    async with serve(tmp_path, TWO_PROVIDERS, admin_listen=address) as serving:
        for _ in range(5):
            await serving.ask(chat("first/fail:ERROR"))
        async with grpc.aio.insecure_channel(address) as channel:
            admin: Any = AdminServiceStub(channel)
            answer = await admin.ResetCircuit(ResetCircuitRequest(provider="first"))
            assert answer.circuits_reset == 1
            assert answer.provider.state == CircuitState.CIRCUIT_STATE_CLOSED
            with pytest.raises(grpc.aio.AioRpcError, match="not configured"):
                await admin.ResetCircuit(ResetCircuitRequest(provider="third"))
