"""A client library's own retries: they work until an answer has begun, unary and streamed."""

import json

import grpc
import pytest
from turnout.v1.chat_service_pb2 import ChatRequest
from turnout.v1.chat_service_pb2_grpc import ChatServiceStub
from turnout.v1.content_pb2 import ROLE_USER, Message
from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.routing_pb2 import RoutingOptions

from tests.rpc.serving import Serving, chat
from turnout_server.core.errors import GatewayError
from turnout_server.rpc import status

RETRYING = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{"service": "turnout.v1.ChatService"}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.01s",
                    "maxBackoff": "0.05s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)


def once(model: str) -> ChatRequest:
    """A request that the gateway itself tries but once."""
    return chat(model, routing=RoutingOptions(max_attempts=1))


async def retrying(serving: Serving) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(
        f"127.0.0.1:{serving.gateway.port}", options=(("grpc.service_config", RETRYING),)
    )


async def test_a_unary_call_is_retried(serving: Serving) -> None:
    async with await retrying(serving) as channel:
        answer = await ChatServiceStub(channel).CompleteChat(
            once("first/flaky:1:ERROR|say:hi"), timeout=10
        )
    assert answer.text == "hi"
    assert serving.provider("first").calls.total() == 2


async def test_a_stream_is_retried_before_its_first_output(serving: Serving) -> None:
    async with await retrying(serving) as channel:
        call = ChatServiceStub(channel).Chat(once("first/flaky:1:ERROR|say:hi"), timeout=10)
        assert "".join([event.text_delta async for event in call]) == "hi"


async def test_a_stream_is_not_retried_after_its_first_output(serving: Serving) -> None:
    async with await retrying(serving) as channel:
        call = ChatServiceStub(channel).Chat(once("first/say:a|fail:ERROR"), timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            [event async for event in call]
    assert caught.value.code() == grpc.StatusCode.ABORTED
    assert serving.provider("first").calls.total() == 1


async def test_what_cannot_help_is_not_retried(serving: Serving) -> None:
    request = ChatRequest(model="first/fail:QUOTA", messages=[Message(role=ROLE_USER, text="x")])
    async with await retrying(serving) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await ChatServiceStub(channel).CompleteChat(request, timeout=10)
    assert serving.provider("first").calls.total() == 1


def test_pushback_is_never_zero() -> None:
    """With 0, C-core's clients wait until their deadline instead of retrying (measured)."""
    error = GatewayError(ErrorReason.ERROR_REASON_SHUTTING_DOWN, "bye", retry_after_s=0.0)
    trailers = dict(status._trailers(error, "id"))
    assert trailers["grpc-retry-pushback-ms"] == "1"
