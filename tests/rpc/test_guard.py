"""What the outermost interceptor keeps from the wire, and the services every server has."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from tests.rpc.serving import Serving, chat, failed
from turnout_server.rpc.server import OPTIONS

CANARY = "sk-canary-7d1f"
SERVICES = ("", "turnout.v1.ChatService", "turnout.v1.ModelService", "turnout.v1.UsageService")


async def raw_call(serving: Serving, method: str, body: bytes) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await serving.channel.unary_unary(f"/turnout.v1.{method}")(body)
    return caught.value


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"\x0a\x02\xc3\x28", b"\x0a\x7f"])
async def test_unreadable_message_is_an_invalid_argument(serving: Serving, body: bytes) -> None:
    told = failed(await raw_call(serving, "ChatService/CompleteChat", body))
    assert (told.code, told.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert "valid protobuf" in told.message


async def test_unreadable_message_of_a_stream_is_an_invalid_argument(serving: Serving) -> None:
    call = serving.channel.unary_stream("/turnout.v1.ChatService/Chat")(b"\xff\xff")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert failed(caught.value).code == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_bug_tells_the_caller_nothing_but_that_it_is_ours(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise ValueError(f"secret {CANARY} at /srv/app.py")

    monkeypatch.setattr(serving.provider("first"), "chat", explode)
    told = await serving.ask(chat("first/say:hi"))
    assert not isinstance(told, list)
    assert (told.code, told.reason, told.message) == (
        grpc.StatusCode.INTERNAL,
        "INTERNAL",
        "internal error",
    )
    assert CANARY not in repr(told)
    assert [record.code for record in serving.seen.calls] == ["INTERNAL"]


async def test_unknown_methods_are_unimplemented(serving: Serving) -> None:
    assert (await raw_call(serving, "ChatService/Nope", b"")).code() == (
        grpc.StatusCode.UNIMPLEMENTED
    )


async def test_oversized_messages_are_refused_by_the_transport(serving: Serving) -> None:
    error = await raw_call(serving, "ChatService/CompleteChat", b"\x0a" + b"x" * (33 << 20))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("service", SERVICES)
async def test_every_service_is_healthy(serving: Serving, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(serving.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_the_contract_under_both_names(
    serving: Serving, version: str
) -> None:
    call = serving.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    requests = [reflection_pb2.ServerReflectionRequest(list_services="")]
    answers = [answer async for answer in call(iter(requests))]
    names = {service.name for service in answers[0].list_services_response.service}
    assert names >= set(SERVICES) - {""} | {f"grpc.reflection.{version}.ServerReflection"}


def test_options_that_faults_have_shown_to_be_needed_are_set() -> None:
    assert dict(OPTIONS).keys() >= {
        "grpc.server.max_pending_requests",
        "grpc.max_concurrent_streams",
        "grpc.keepalive_time_ms",
        "grpc.server_handshake_timeout_ms",
    }
