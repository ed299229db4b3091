import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from turnout_server.app.reload import Reloader
from turnout_server.app.settings import Settings, read_settings

ENVIRON = {"OPENAI_API_KEY": "x", "GROQ_API_KEY": "y"}


class Running:
    """A reloader at work on a file of its own, and what it took into use."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.taken: list[Settings] = []
        self.first = self.read()
        self.reloader = Reloader(self.first, self.read, self.take, poll_interval_s=0.02)

    async def take(self, settings: Settings) -> None:
        self.taken.append(settings)

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def read(self) -> Settings:
        return read_settings(self.file, ENVIRON)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(file: Path) -> AsyncIterator[Running]:
    one = Running(file)
    task = asyncio.create_task(one.reloader.run())
    try:
        yield one
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "turnout.yaml"
    file.write_text("providers: {openai: {}}\n")
    return file


async def test_a_changed_file_is_taken_into_use_whole(file: Path) -> None:
    async with running(file) as one:
        one.write("providers: {openai: {}, groq: {}}\n")
        await one.until(lambda: bool(one.taken))
    assert list(one.taken[-1].routes.endpoints) == ["openai", "groq"]


@pytest.mark.parametrize(
    "text",
    ["providers: {", "providers: {openai: {row: nobody}}", "servr: {}", "providers: {mistral: {}}"],
    ids=["syntax", "unknown row", "unknown key", "missing secret"],
)
async def test_a_bad_file_changes_nothing_until_it_is_mended(file: Path, text: str) -> None:
    async with running(file) as one:
        one.write(text)
        await one.until(lambda: one.reloader.stale)
        assert one.taken == []
        one.write("providers: {groq: {}}\n")
        await one.until(lambda: not one.reloader.stale)
    assert list(one.taken[-1].routes.endpoints) == ["groq"]


async def test_a_rotated_key_is_picked_up_through_a_swapped_link(tmp_path: Path) -> None:
    for version in ("old", "new"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "key").write_text(f"sk-{version}")
    data = tmp_path / "data"
    data.symlink_to("old")
    file = tmp_path / "turnout.yaml"
    file.write_text(f"providers: {{openai: {{keys: [{{file: {data}/key}}]}}}}\n")
    async with running(file) as one:
        (tmp_path / "next").symlink_to("new")
        (tmp_path / "next").rename(data)
        await one.until(lambda: bool(one.taken))
    assert one.taken[-1].routes.endpoints["openai"].keys[0].secret.reveal() == "sk-new"


async def test_sighup_reloads_what_did_not_change(file: Path) -> None:
    async with running(file) as one:
        await asyncio.sleep(0)  # the reloader installs its handler when it first runs
        os.kill(os.getpid(), signal.SIGHUP)
        await one.until(lambda: bool(one.taken))
    assert one.taken[-1].config == one.first.config
