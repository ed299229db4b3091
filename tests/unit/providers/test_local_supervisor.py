import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.unit.providers.local_setup import models_folder, supervised
from turnout_server.providers.local import models
from turnout_server.providers.local.supervisor import LocalModelUnavailable, Supervisor

READY_WITHIN_S = 30.0


async def test_child_listens_on_loopback_only_and_on_the_reserved_port() -> None:
    async with supervised(models.EMBED) as supervisor:
        await supervisor.wait_ready(READY_WITHIN_S)
        listening = [
            connection.laddr
            for connection in psutil.Process(supervisor.pid).net_connections()
            if connection.status == psutil.CONN_LISTEN
        ]
        assert [f"http://{address.ip}:{address.port}" for address in listening] == [
            supervisor.origin
        ]
        assert supervisor.origin.startswith("http://127.0.0.1:")
        assert supervisor.base_url == f"{supervisor.origin}/v1"


async def test_child_refuses_then_answers_503_while_loading_then_200() -> None:
    seen = []
    async with supervised(models.CHAT) as supervisor, aiohttp.ClientSession() as http:
        while not supervisor.is_ready:
            seen.append(await _health(http, supervisor))
            await asyncio.sleep(0.01)
        assert await _health(http, supervisor) == 200
    assert [status for status in (None, 503) if status in seen] == [None, 503]


async def test_killed_child_is_restarted_at_the_same_address() -> None:
    async with supervised(models.EMBED) as supervisor, aiohttp.ClientSession() as http:
        await supervisor.wait_ready(READY_WITHIN_S)
        first, address = supervisor.pid, supervisor.origin
        assert first is not None
        os.kill(first, signal.SIGKILL)
        while supervisor.is_ready:
            await asyncio.sleep(0.01)
        await supervisor.wait_ready(READY_WITHIN_S)
        assert supervisor.restarts == 1
        assert supervisor.pid != first
        assert supervisor.origin == address
        assert await _health(http, supervisor) == 200


async def test_restart_says_which_model_died_and_how(caplog: pytest.LogCaptureFixture) -> None:
    async with supervised(models.EMBED) as supervisor:
        await supervisor.wait_ready(READY_WITHIN_S)
        assert supervisor.pid is not None
        os.kill(supervisor.pid, signal.SIGKILL)
        while not caplog.messages:
            await asyncio.sleep(0.01)
    assert caplog.messages == [
        "local model all-minilm-l6-v2 ended with status -9: no output: restarting in 0.2 s"
    ]


async def test_stop_leaves_no_process_and_no_listener() -> None:
    async with supervised(models.EMBED) as supervisor, aiohttp.ClientSession() as http:
        await supervisor.wait_ready(READY_WITHIN_S)
        pid = supervisor.pid
        await supervisor.stop()
        assert pid is not None
        assert not psutil.pid_exists(pid)
        assert supervisor.pid is None
        assert not supervisor.is_ready
        assert await _health(http, supervisor) is None


async def test_stop_while_loading_leaves_no_process() -> None:
    async with supervised(models.CHAT) as supervisor:
        pid = supervisor.pid
        await supervisor.stop()
        assert pid is not None
        assert not psutil.pid_exists(pid)


async def test_child_deaf_to_sigterm_is_killed_after_the_bound() -> None:
    async with supervised(models.EMBED, kill_after_s=0.2) as supervisor:
        await supervisor.wait_ready(READY_WITHIN_S)
        pid = supervisor.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await supervisor.stop()
        assert not psutil.pid_exists(pid)


async def test_cancelled_run_ends_the_child() -> None:
    supervisor = Supervisor(models.EMBED, models_folder())
    await supervisor.start()
    running = asyncio.create_task(supervisor.run())
    await supervisor.wait_ready(READY_WITHIN_S)
    pid = supervisor.pid
    running.cancel()
    await asyncio.wait([running])
    assert pid is not None
    assert not psutil.pid_exists(pid)
    await supervisor.stop()


async def test_child_does_not_outlive_a_killed_parent() -> None:
    program = (
        "import asyncio, pathlib, sys\n"
        "from turnout_server.providers.local import models, supervisor\n"
        "async def main():\n"
        "    local = supervisor.Supervisor(models.EMBED, pathlib.Path(sys.argv[1]))\n"
        "    await local.start()\n"
        "    print(local.pid, flush=True)\n"
        "    await local.run()\n"
        "asyncio.run(main())\n"
    )
    models.fetch(models.EMBED, models_folder())
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(models_folder())),
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert parent.stdout is not None
    child = psutil.Process(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(child.wait, READY_WITHIN_S)
    assert not child.is_running()


async def test_child_gets_no_keys_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-the-child")
    async with supervised(models.EMBED) as supervisor:
        await supervisor.wait_ready(READY_WITHIN_S)
        assert "OPENAI_API_KEY" not in psutil.Process(supervisor.pid).environ()


async def test_start_refuses_a_damaged_file_before_any_process(tmp_path: Path) -> None:
    (tmp_path / models.EMBED.file_name).write_bytes(b"damaged")
    supervisor = Supervisor(models.EMBED, tmp_path)
    with pytest.raises(models.ModelFileDamaged):
        await supervisor.start()
    assert supervisor.pid is None
    await supervisor.stop()


async def test_model_that_never_loads_is_explained_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / models.EMBED.file_name
    path.write_bytes(b"GGUF but not really a model")
    model = replace(models.EMBED, sha256=models._digest(path))
    supervisor = Supervisor(model, tmp_path)
    await supervisor.start()
    running = asyncio.create_task(supervisor.run())
    while not supervisor.restarts:
        await asyncio.sleep(0.01)
    with pytest.raises(LocalModelUnavailable) as caught:
        await supervisor.wait_ready(0.01)
    await supervisor.stop()
    await running
    assert str(caught.value).startswith("local model all-minilm-l6-v2 was not ready within 0.01 s")
    assert "\n" not in str(caught.value)


async def _health(http: aiohttp.ClientSession, supervisor: Supervisor) -> int | None:
    try:
        async with http.get(f"{supervisor.origin}/health") as response:
            return response.status
    except aiohttp.ClientConnectionError:
        return None
