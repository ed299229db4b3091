"""The synchronous client over grpcio-testing's channel: what it sends, and what it makes of answers
that no server of ours would give."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import grpc_testing
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.status_pb2 import Status
from turnout.v1 import chat_service_pb2
from turnout.v1.chat_service_pb2 import ChatResponse, Finish
from turnout.v1.errors_pb2 import ErrorDetail, ErrorReason

from turnout_client import Answer, Client, DeadlineExceeded, StreamInterrupted, TurnoutError
from turnout_client.errors import from_rpc

SERVICE = chat_service_pb2.DESCRIPTOR.services_by_name["ChatService"]
CHAT = SERVICE.methods_by_name["Chat"]


class Script:
    """A call that the client makes in a thread of its own, answered step by step."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.time = grpc_testing.strict_fake_time(0)
        self.channel = grpc_testing.channel((SERVICE,), self.time)
        client = Client(channel=self.channel, api_key="k", trace=lambda _: None)
        self.read: Future[Answer] = pool.submit(lambda: client.chat("chat", "Hi").collect())
        self.metadata, self.request, self.rpc = self.channel.take_unary_stream(CHAT)
        self.rpc.send_initial_metadata(())

    def end(self, code: grpc.StatusCode, details: str = "", trailers: Any = ()) -> Answer:
        self.rpc.terminate(trailers, code, details)
        return self.read.result(timeout=5)


@pytest.fixture
def script() -> Iterator[Script]:
    with ThreadPoolExecutor(1) as pool:
        yield Script(pool)


def test_the_request_and_its_metadata_are_the_contracts(script: Script) -> None:
    assert script.request.messages[0].text == "Hi"
    assert ("authorization", "Bearer k") in [tuple(pair) for pair in script.metadata]
    script.rpc.send_response(ChatResponse(text_delta="Hello"))
    script.rpc.send_response(ChatResponse(finish=Finish()))
    assert script.end(grpc.StatusCode.OK).text == "Hello"


def test_a_finish_that_never_comes_is_a_failure(script: Script) -> None:
    script.rpc.send_response(ChatResponse(text_delta="Half"))
    with pytest.raises(StreamInterrupted) as failed:
        script.end(grpc.StatusCode.OK)
    assert failed.value.partial is not None
    assert failed.value.partial.text == "Half"


def test_an_empty_stream_is_a_failure_without_output(script: Script) -> None:
    with pytest.raises(StreamInterrupted) as failed:
        script.end(grpc.StatusCode.OK)
    assert not failed.value.output_started


def test_a_deadline_is_a_timeout_error_of_pythons(script: Script) -> None:
    with pytest.raises(TimeoutError) as failed:
        script.end(grpc.StatusCode.DEADLINE_EXCEEDED, "too late")
    assert isinstance(failed.value, DeadlineExceeded)


def test_a_reason_newer_than_this_client_keeps_its_number(script: Script) -> None:
    detail = AnyMessage()
    detail.Pack(ErrorDetail(reason=99, retryable=True))  # type: ignore[arg-type]
    status = Status(code=14, details=[detail]).SerializeToString()
    with pytest.raises(TurnoutError) as failed:
        script.end(grpc.StatusCode.UNAVAILABLE, "new", (("grpc-status-details-bin", status),))
    assert (type(failed.value), failed.value.reason) == (TurnoutError, "99")
    assert failed.value.retryable


def test_details_that_cannot_be_read_leave_the_status(script: Script) -> None:
    trailers = (("grpc-status-details-bin", b"\xff\xff"),)
    with pytest.raises(TurnoutError) as failed:
        script.end(grpc.StatusCode.INTERNAL, "broken", trailers)
    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.INTERNAL, "")


@pytest.mark.parametrize("reason", [reason for reason in ErrorReason.values() if reason])
def test_every_reason_of_the_contract_has_a_class(reason: ErrorReason.ValueType) -> None:
    class Failed(grpc.RpcError):
        def code(self) -> grpc.StatusCode:
            return grpc.StatusCode.ABORTED

        def details(self) -> str:
            return "said in a sentence"

        def trailing_metadata(self) -> Any:
            detail = AnyMessage()
            detail.Pack(ErrorDetail(reason=reason, request_id="r"))
            return (("grpc-status-details-bin", Status(details=[detail]).SerializeToString()),)

    error = from_rpc(Failed(), "r")
    assert type(error) is not TurnoutError
    assert error.reason in str(error)
    assert "request r" in str(error)
