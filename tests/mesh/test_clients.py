"""Every client through a real Envoy: streams end well, or as the failure they are."""

import subprocess
import time
from signal import SIGKILL

from bench.clients.programs import Command, told
from tests.mesh.envoy import envoy_before
from tests.mesh.gateways import GatewayProcess
from turnout_client import Client

LASTS_S = 4
LONG = f"scripted/tokens:{LASTS_S * 20}@50"


def start(program: Command, address: str, model: str) -> "subprocess.Popen[str]":
    command = [*program, address, model, "1", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def result(running: "subprocess.Popen[str]") -> dict[str, object]:
    output, _ = running.communicate(timeout=40)
    assert running.returncode == 0
    return told(output)


def test_a_stream_passes_whole(program: Command, one_gateway: GatewayProcess) -> None:
    with envoy_before([one_gateway.address]) as envoy:
        through = result(start(program, envoy.address, "scripted/tokens:256@1"))
    direct = result(start(program, one_gateway.address, "scripted/tokens:256@1"))

    assert through == direct
    assert through["ended"] == {"OK": 1}


def test_a_back_end_killed_mid_stream_is_a_failure(
    program: Command, one_gateway: GatewayProcess
) -> None:
    with envoy_before([one_gateway.address]) as envoy:
        ended = killed_mid_stream(program, envoy.address, one_gateway)

    assert ended["ended"] == {"STREAM_INTERRUPTED": 1}
    assert ended["characters"], "some output came before"


def test_a_gateway_killed_mid_stream_is_a_failure(
    program: Command, one_gateway: GatewayProcess
) -> None:
    ended = killed_mid_stream(program, one_gateway.address, one_gateway)

    assert ended["ended"] == {"STREAM_INTERRUPTED": 1}
    assert ended["characters"], "some output came before"


def killed_mid_stream(program: Command, address: str, server: GatewayProcess) -> dict[str, object]:
    running = start(program, address, LONG)
    with Client(server.address) as client:
        while not client.providers()[0].in_flight:
            time.sleep(0.05)
    time.sleep(0.5)
    server.signal(SIGKILL)
    return result(running)
