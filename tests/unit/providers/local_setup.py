"""Runs the embedded default's real models for tests; fetched once, into the ordinary cache."""

import contextlib
import os
from asyncio import TaskGroup
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from turnout_server.providers.local.models import ModelFile, fetch
from turnout_server.providers.local.supervisor import Supervisor


def models_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("TURNOUT_MODELS_DIR") or Path(cache, "turnout", "models"))


@contextlib.asynccontextmanager
async def supervised(model: ModelFile, **options: Any) -> AsyncIterator[Supervisor]:
    fetch(model, models_folder())
    supervisor = Supervisor(model, models_folder(), **options)
    async with TaskGroup() as tasks:
        try:
            await supervisor.start()
            tasks.create_task(supervisor.run())
            yield supervisor
        finally:
            await supervisor.stop()
