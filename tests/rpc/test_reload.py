"""A configuration that changes under live calls, by file and by the admin port."""

import asyncio
from pathlib import Path

import grpc
import pytest
from turnout.admin.v1.admin_service_pb2 import ReloadConfigRequest
from turnout.admin.v1.admin_service_pb2_grpc import AdminServiceStub
from turnout.v1.model_service_pb2 import ListModelsRequest
from turnout.v1.model_service_pb2_grpc import ModelServiceStub

from tests.rpc.serving import TWO_PROVIDERS, Failed, chat, kept_running, serve, text_of

ONE_PROVIDER = "providers: {second: {row: scripted, keys: []}}\n"


def rewrite(folder: Path, old: str, new: str) -> None:
    file = folder / "turnout.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


async def test_a_provider_taken_away_ends_its_streams_normally_and_is_closed_after(
    tmp_path: Path,
) -> None:
    async with serve(tmp_path) as serving, kept_running(serving.gateway):
        first = serving.provider("first")
        closed = asyncio.Event()
        aclose = first.aclose

        async def closing() -> None:
            await aclose()
            closed.set()

        first.aclose = closing  # type: ignore[method-assign]
        stream = aiter(serving.chat.Chat(chat("first/say:a|wait:200|say:b")))
        await anext(stream)
        rewrite(tmp_path, TWO_PROVIDERS, ONE_PROVIDER)
        assert serving.gateway.reloader is not None
        reloaded = await serving.gateway.reloader.reload()
        assert (reloaded.changed, reloaded.error) == (True, "")
        gone = await serving.ask(chat("first/say:no"))
        assert isinstance(gone, Failed)
        assert gone.reason == "MODEL_NOT_FOUND"
        assert not closed.is_set()
        assert "".join([event.text_delta async for event in stream]) == "b"
        async with asyncio.timeout(2):
            await closed.wait()
        assert text_of(await serving.ask(chat("second/say:yes"))) == "yes"


async def test_calls_meet_no_error_while_the_configuration_changes(tmp_path: Path) -> None:
    async with serve(tmp_path) as serving, kept_running(serving.gateway):
        stop = asyncio.Event()

        async def keep_asking() -> list[str]:
            told = []
            while not stop.is_set():
                told.append(text_of(await serving.ask(chat("second/say:a|wait:5|say:b"))))
            return told

        asking = [asyncio.create_task(keep_asking()) for _ in range(5)]
        assert serving.gateway.reloader is not None
        for number in range(10):
            # Another timeout is another client, so each reload retires one that is in use.
            rewrite(
                tmp_path, "row: scripted", f"timeouts: {{connect: {number + 1}s}}, row: scripted"
            )
            assert (await serving.gateway.reloader.reload()).changed
            rewrite(tmp_path, f"timeouts: {{connect: {number + 1}s}}, ", "")
        stop.set()
        told = [text for texts in await asyncio.gather(*asking) for text in texts]
    assert told
    assert set(told) == {"ab"}


async def test_a_key_that_was_refused_is_used_again_once_it_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("old")
    config = f"providers: {{first: {{row: scripted, keys: [{{file: {tmp_path}/key}}]}}}}\n"
    async with serve(tmp_path, config) as serving, kept_running(serving.gateway):
        told = await serving.ask(chat("first/fail:AUTH"))
        assert isinstance(told, Failed)
        assert isinstance(await serving.ask(chat("first/say:hi")), Failed)
        (tmp_path / "key").write_text("new")
        assert serving.gateway.reloader is not None
        assert (await serving.gateway.reloader.reload()).changed
        assert text_of(await serving.ask(chat("first/say:hi"))) == "hi"


async def test_the_admin_port_reloads_and_serves_nothing_else(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    address = f"127.0.0.1:{unused_tcp_port}"
    async with (
        serve(tmp_path, admin_listen=address) as serving,
        kept_running(serving.gateway),
        grpc.aio.insecure_channel(address) as channel,
    ):
        admin = AdminServiceStub(channel)
        for stub, asked, where in (
            (ModelServiceStub(channel).ListModels, ListModelsRequest(), "admin"),
            (
                AdminServiceStub(serving.channel).ReloadConfig,
                ReloadConfigRequest(),
                "data",
            ),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub(asked)
            assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED, where

        rewrite(tmp_path, TWO_PROVIDERS, ONE_PROVIDER)
        checked = await admin.ReloadConfig(ReloadConfigRequest(validate_only=True))
        assert checked.changed
        assert text_of(await serving.ask(chat("first/say:hi"))) == "hi"
        taken = await admin.ReloadConfig(ReloadConfigRequest())
        assert (taken.changed, taken.version) == (True, checked.version)
        assert isinstance(await serving.ask(chat("first/say:hi")), Failed)
        again = await admin.ReloadConfig(ReloadConfigRequest())
        assert (again.changed, again.version) == (False, taken.version)

        rewrite(tmp_path, '"drain_grace": "1s"', '"drain_grace": "2s"')
        waiting = await admin.ReloadConfig(ReloadConfigRequest())
        assert list(waiting.warnings) == ["server: is read at the start; restart to use it"]

        rewrite(tmp_path, "scripted", "scriptd")
        for validate_only in (True, False):
            with pytest.raises(grpc.aio.AioRpcError) as bad:
                await admin.ReloadConfig(ReloadConfigRequest(validate_only=validate_only))
            assert bad.value.code() is grpc.StatusCode.FAILED_PRECONDITION
            assert "the catalogue has no row 'scriptd'" in (bad.value.details() or "")
        assert text_of(await serving.ask(chat("second/say:yes"))) == "yes"
