"""A fault server of each test's own."""

from collections.abc import AsyncIterator

import pytest

from tests.fault.upstream import FaultServer

CANARY = "canary-7f3a"


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with FaultServer(canary=CANARY) as running:
        yield running
