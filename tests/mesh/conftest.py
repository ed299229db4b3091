"""Envoy in front of gateways, and the four clients' programs, built once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.clients.programs import BUILDERS, Command
from tests.mesh.gateways import GatewayProcess, gateway


@pytest.fixture
def one_gateway() -> Iterator[GatewayProcess]:
    with gateway() as running:
        yield running


@pytest.fixture(scope="session", params=BUILDERS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """A client's program that streams: bench/clients."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    return BUILDERS[request.param](folder)
