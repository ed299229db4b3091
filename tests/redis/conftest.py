"""Redis servers: one for all tests that leave it whole, and one for each that breaks it."""

from collections.abc import AsyncIterator

import pytest

from tests.redis.server import RedisServer


@pytest.fixture(scope="session")
async def shared_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisServer]:
    async with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def redis_server(shared_server: RedisServer) -> RedisServer:
    """Whole and empty."""
    await shared_server.do("FLUSHALL")
    return shared_server


@pytest.fixture
async def own_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisServer]:
    """To be broken."""
    async with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server
