"""What the library is told to do by itself, and encryption."""

import json
from concurrent import futures

import grpc
import pytest
import trustme
from turnout.v1.model_service_pb2 import GetModelResponse, Model
from turnout.v1.model_service_pb2_grpc import (
    ModelServiceServicer,
    add_ModelServiceServicer_to_server,
)

from turnout_client import Client, Tls, Unavailable
from turnout_client.channel import channel_options, service_config


def test_only_unavailable_is_tried_again() -> None:
    config = json.loads(service_config(max_attempts=4, health_check=False))
    policy = config["methodConfig"][0]["retryPolicy"]
    assert (policy["maxAttempts"], policy["retryableStatusCodes"]) == (4, ["UNAVAILABLE"])
    assert config["loadBalancingConfig"] == [{"round_robin": {}}]
    assert "healthCheckConfig" not in config


def test_one_attempt_is_no_retry_policy() -> None:
    config = json.loads(service_config(max_attempts=1, health_check=True))
    assert "retryPolicy" not in config["methodConfig"][0]
    assert config["healthCheckConfig"] == {"serviceName": ""}


def test_options_of_the_callers_win() -> None:
    options = channel_options(
        max_attempts=4, health_check=False, given=[("grpc.keepalive_time_ms", 60_000)]
    )
    assert dict(options)["grpc.keepalive_time_ms"] == 60_000


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with (
        Client("127.0.0.1:1", max_attempts=1) as client,
        pytest.raises(Unavailable) as failed,
    ):
        client.complete("chat", "Hi")
    assert failed.value.retryable


class Models(ModelServiceServicer):
    def GetModel(self, request, context):  # type: ignore[no-untyped-def]
        return GetModelResponse(model=Model(name=request.name))


def test_both_sides_prove_themselves_with_mutual_tls() -> None:
    authority = trustme.CA()
    server_cert = authority.issue_cert("localhost")
    client_cert = authority.issue_cert("someone@example.org")
    roots = authority.cert_pem.bytes()
    credentials = grpc.ssl_server_credentials(
        [(server_cert.private_key_pem.bytes(), server_cert.cert_chain_pems[0].bytes())],
        root_certificates=roots,
        require_client_auth=True,
    )
    server = grpc.server(futures.ThreadPoolExecutor(2))
    add_ModelServiceServicer_to_server(Models(), server)
    port = server.add_secure_port("localhost:0", credentials)
    server.start()
    own = Tls(roots, client_cert.private_key_pem.bytes(), client_cert.cert_chain_pems[0].bytes())
    try:
        with Client(f"localhost:{port}", tls=own) as client:
            assert client.model("chat").name == "chat"
        stranger = Client(f"localhost:{port}", tls=Tls(roots), max_attempts=1)
        with stranger, pytest.raises(Unavailable):
            stranger.model("chat")
    finally:
        server.stop(None).wait()
