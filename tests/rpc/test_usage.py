"""What the ledger tells through the port: by model, method, provider, code, label and time."""

from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from turnout.v1.embed_service_pb2 import EmbedRequest
from turnout.v1.embed_service_pb2_grpc import EmbedServiceStub
from turnout.v1.routing_pb2 import CacheMode, CacheOptions, RoutingOptions
from turnout.v1.usage_service_pb2 import QueryUsageRequest, UsageDimension, UsageRow
from turnout.v1.usage_service_pb2_grpc import UsageServiceStub

from tests.rpc.serving import TWO_PROVIDERS, Serving, chat, kept_running, serve
from tests.rpc.tenants import PEPPER, TOKEN_NANO_USD, Metadata, auth, priced, tenant
from turnout_server.app.settings import read_settings
from turnout_server.app.wiring import Gateway
from turnout_server.store.ledger_file import LedgerUnavailable

TIME, METHOD = UsageDimension.USAGE_DIMENSION_TIME, UsageDimension.USAGE_DIMENSION_METHOD
MODEL, CODE = UsageDimension.USAGE_DIMENSION_MODEL, UsageDimension.USAGE_DIMENSION_CODE
PROVIDER, LABEL = UsageDimension.USAGE_DIMENSION_PROVIDER, UsageDimension.USAGE_DIMENSION_LABEL
ON = CacheOptions(mode=CacheMode.CACHE_MODE_READ_WRITE)
SAY = "first/say:yes"


async def usage(
    serving: Serving, *dimensions: Any, metadata: Metadata = (), **fields: Any
) -> dict[tuple[str, ...], UsageRow]:
    stub: Any = UsageServiceStub(serving.channel)
    request = QueryUsageRequest(dimensions=dimensions, **fields)
    response = await stub.QueryUsage(request, metadata=metadata)
    return {tuple(row.dimension_values): row for row in response.rows}


async def test_calls_are_told_by_every_dimension(tmp_path: Path) -> None:
    async with serve(tmp_path, adapt=priced) as serving, kept_running(serving.gateway):
        for label in ("red", "red", "blue"):
            await serving.ask(chat(SAY, cache=ON, labels={"team": label}))
        fall_back = RoutingOptions(fallback_models=["second/say:no"])
        await serving.ask(chat("first/fail:AUTH", routing=fall_back))
        await serving.ask(chat("first/fail:AUTH"))
        await serving.chat.CompleteChat(chat("second/say:no"))
        embed: Any = EmbedServiceStub(serving.channel)
        await embed.Embed(EmbedRequest(model="first/say:v", texts=["a", "b", "b"], cache=ON))

        (whole,) = (await usage(serving)).values()
        assert (whole.requests, whole.failures) == (7, 1)
        assert (whole.fallbacks, whole.fallback_successes) == (1, 1)
        assert (whole.cache_hits, whole.cache_misses) == (2, 4)
        assert (whole.embed_inputs, whole.embed_upstream_calls) == (3, 1)
        assert whole.saved_nano_usd == 2 * 2 * TOKEN_NANO_USD
        records = serving.seen.calls
        assert whole.usage.cost_nano_usd == sum(r.usage.cost_nano_usd for r in records)
        assert whole.usage.input_tokens == sum(r.usage.input_tokens for r in records)
        assert whole.p95_duration.ToNanoseconds() > 0

        by_method = await usage(serving, METHOD)
        assert {key[0]: row.requests for key, row in by_method.items()} == {
            "Chat": 5,
            "CompleteChat": 1,
            "Embed": 1,
        }
        by_label = await usage(serving, LABEL, label_key="team")
        assert {key[0]: row.requests for key, row in by_label.items()} == {"blue": 1, "red": 2}
        by_model = await usage(serving, MODEL, PROVIDER, CODE)
        assert by_model[SAY, "first", "OK"].cache_hits == 2
        assert by_model["first/fail:AUTH", "second", "OK"].fallbacks == 1
        assert by_model["first/fail:AUTH", "", "INTERNAL"].failures == 1
        by_time = await usage(serving, TIME, bucket=Duration(seconds=3600))
        assert sum(row.requests for row in by_time.values()) == 7


async def test_a_tenant_sees_its_own_calls_and_no_others(tmp_path: Path) -> None:
    config, environ = TWO_PROVIDERS + auth(tmp_path), {"PEPPER": PEPPER}
    async with serve(tmp_path, config, environ=environ) as serving:
        for name, count in (("acme", 3), ("beta", 1)):
            for _ in range(count):
                await serving.ask(chat(SAY), metadata=tenant(name))
        for name, count in (("acme", 3), ("beta", 1), ("gamma", 0)):
            rows = await usage(serving, MODEL, metadata=tenant(name))
            assert sum(row.requests for row in rows.values()) == count


async def test_a_cost_that_nobody_knows_is_not_zero(serving: Serving) -> None:
    await serving.ask(chat(SAY))
    (row,) = (await usage(serving)).values()
    assert not row.usage.HasField("cost_nano_usd")
    assert row.usage.output_tokens == 1


async def test_records_outlive_the_process(tmp_path: Path) -> None:
    for count in (1, 2):
        async with serve(tmp_path) as serving:
            await serving.ask(chat(SAY))
            (row,) = (await usage(serving)).values()
            assert row.requests == count


async def test_where_no_usage_is_kept_the_query_is_unimplemented(tmp_path: Path) -> None:
    file = tmp_path / "turnout.yaml"
    file.write_text('server: {listen: "127.0.0.1:0"}\nusage: {url: off}\n' + TWO_PROVIDERS)
    gateway = Gateway(read_settings(file, {}))
    await gateway.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel:
        stub: Any = UsageServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.QueryUsage(QueryUsageRequest())
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    await gateway.stop(lame_duck_s=0)


async def test_a_ledger_that_was_asked_for_must_open_and_the_default_need_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "turnout.yaml"
    file.write_text(f"usage: {{url: 'sqlite:///{tmp_path}/nowhere/u.db'}}\n{TWO_PROVIDERS}")
    with pytest.raises(LedgerUnavailable):
        Gateway(read_settings(file, {}))
    file.write_text(TWO_PROVIDERS)
    (tmp_path / "turnout-usage.db").mkdir()  # no file can be made of it
    monkeypatch.chdir(tmp_path)
    assert Gateway(read_settings(file, {})).stores.query_usage is None
