from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.redis.conftest import own_server, redis_server, shared_server
from tests.rpc.serving import Serving, serve

__all__ = ["own_server", "redis_server", "serving", "shared_server"]


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    """A gateway with two scripted providers, `first` and `second`."""
    async with serve(tmp_path) as running:
        yield running
        await running.idle()
