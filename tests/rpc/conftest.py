from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.rpc.serving import Serving, serve


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    """A gateway with two scripted providers, `first` and `second`."""
    async with serve(tmp_path) as running:
        yield running
        await running.idle()
