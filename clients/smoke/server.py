"""A real gRPC server that answers turnout.v1 as cases.json scripts it: README.md says how.

python clients/smoke/server.py --port-file FILE [--with-parent]
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# Started by any language's tests, from any directory, by whatever Python has grpcio. SMOKE_STUBS is
# another contract's source root: tests/compat.
STUBS = os.environ.get("SMOKE_STUBS", str(HERE.parents[1] / "generated" / "python"))
sys.path[:0] = [str(HERE), STUBS]

import grpc  # noqa: E402
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor  # noqa: E402
from google.protobuf.json_format import ParseDict  # noqa: E402
from google.protobuf.message import Message  # noqa: E402
from google.protobuf.message_factory import GetMessageClass  # noqa: E402
from turnout.v1 import (  # noqa: E402
    chat_service_pb2,
    embed_service_pb2,
    model_service_pb2,
    usage_service_pb2,
)

import report  # noqa: E402
from embeddings import embed, embed_stream  # noqa: E402
from failures import fail  # noqa: E402
from ready import Ready, serve  # noqa: E402

Context = grpc.aio.ServicerContext[Any, Any]
API_KEY = "smoke-key"
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
FILES = (chat_service_pb2, embed_service_pb2, model_service_pb2, usage_service_pb2)
SERVICES: list[ServiceDescriptor] = [
    service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()
]
UNKNOWN_EVENT = b"\xc2\x0c\x00"
"""Field 200, empty: an event of a contract newer than any client."""
WRONG_KEY = {"code": "UNAUTHENTICATED", "message": "unknown API key", "reason": "UNAUTHENTICATED"}


class Player:
    """Plays the case that a call names."""

    def __init__(self, cases: list[dict[str, Any]], seen: report.Report) -> None:
        self._by_name = {case["name"]: case for case in cases}
        self._by_method = {case["method"]: case for case in reversed(cases)}
        self._seen = seen

    def handler(self, method: MethodDescriptor) -> "grpc.RpcMethodHandler[Any, Any]":
        """The gRPC handler of one method of the contract."""
        answer_type = GetMessageClass(method.output_type)
        make = getattr(
            grpc,
            f"{'stream' if method.client_streaming else 'unary'}_"
            f"{'stream' if method.server_streaming else 'unary'}_rpc_method_handler",
        )

        async def answer(given: Any, context: Context) -> Message | None:
            options = None
            if method.client_streaming:
                options = (await context.read()).options
            return await self._play(method.name, given, options, answer_type, context)

        return make(  # type: ignore[no-any-return]
            answer,
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=answer_type.SerializeToString,
        )

    async def _play(
        self, method: str, request: Any, options: Any, answer_type: type[Message], context: Context
    ) -> Message | None:
        """Run the script of one attempt and note how it ended."""
        case = self._case(method, request if options is None else options)
        metadata = {k: v for k, v in context.invocation_metadata() or () if isinstance(v, str)}
        call = self._seen.begin(method, case["name"], metadata, has_deadline=_has_deadline(context))
        outcome = "cancelled"
        try:
            if metadata.get("authorization") != f"Bearer {API_KEY}":
                await fail(context, WRONG_KEY, call.request_id)
            if options is not None:
                await embed_stream(_steps(case, call)[0]["embed"], options, context, call)
                outcome = "ok"
                return None
            call.request_size_bytes = request.ByteSize()
            if "pages" in case["server"]:
                outcome = "ok"
                return _page(case, request, answer_type)
            outcome, answer = await self._perform(case, call, request, answer_type, context)
            return answer
        except grpc.aio.AbortError:
            outcome = "failed"
            raise
        finally:
            self._seen.end(call, outcome)

    def _case(self, method: str, request: Any) -> dict[str, Any]:
        """The case named by the request, or the one of its method where requests name none."""
        name = getattr(request, "model", "") or getattr(request, "name", "")
        return self._by_name.get(name.removeprefix("smoke:")) or self._by_method[method]

    async def _perform(
        self,
        case: dict[str, Any],
        call: report.SeenCall,
        request: Any,
        answer_type: type[Message],
        context: Context,
    ) -> tuple[str, Message | None]:
        """The steps of an attempt, in order. Returns its outcome and a unary call's answer."""
        for step in _steps(case, call):
            if "send" in step:
                await context.write(ParseDict(step["send"], answer_type()))
            elif "send_unknown_event" in step:
                await context.write(answer_type.FromString(UNKNOWN_EVENT))
            elif "delay_ms" in step:
                await asyncio.sleep(step["delay_ms"] / 1000)
            elif "headers" in step:
                await context.send_initial_metadata(tuple(step["headers"].items()))
            elif "hang" in step:
                await asyncio.Event().wait()
            elif "fail" in step:
                await fail(context, step["fail"], call.request_id)
            elif "embed" in step:
                return "ok", embed(request)
            elif "reply" in step:
                return "ok", _reply(step, answer_type)
        return "ok", None


def _steps(case: dict[str, Any], call: report.SeenCall) -> list[dict[str, Any]]:
    attempts: list[list[dict[str, Any]]] = case["server"]["attempts"]
    return attempts[min(call.attempt, len(attempts) - 1)]


def _reply(step: dict[str, Any], answer_type: type[Message]) -> Message:
    answer: Any = ParseDict(step["reply"], answer_type())
    if "reply_text_size_bytes" in step:
        answer.text = "y" * step["reply_text_size_bytes"]
    return answer  # type: ignore[no-any-return]


def _page(case: dict[str, Any], request: Any, answer_type: type[Message]) -> Message:
    """The page asked for; the token of each is its number."""
    pages = case["server"]["pages"]
    number = int(request.page_token or 0)
    answer: Any = ParseDict(pages[number], answer_type())
    if number + 1 < len(pages):
        answer.next_page_token = str(number + 1)
    return answer  # type: ignore[no-any-return]


def _has_deadline(context: Context) -> bool:
    # Typed as a number; without a deadline it is None or centuries, by version of grpc.
    remaining_s: float | None = context.time_remaining()
    return remaining_s is not None and remaining_s < 30 * 24 * 3600


@asynccontextmanager
async def _open(_: Path) -> AsyncIterator[Ready]:
    cases = json.loads((HERE / "cases.json").read_text("utf-8"))["cases"]
    seen = report.Report()
    player = Player(cases, seen)
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
            # What Turnout's own server permits its clients.
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ]
    )
    for service in SERVICES:
        handlers = {method.name: player.handler(method) for method in service.methods}
        generic = grpc.method_handlers_generic_handler(service.full_name, handlers)
        server.add_generic_rpc_handlers((generic,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    http = report.serve(seen)
    yield {
        "address": f"127.0.0.1:{port}",
        "report": report.url_of(http),
        "api_key": API_KEY,
    }
    http.shutdown()
    await server.stop(grace=0.2)


if __name__ == "__main__":
    asyncio.run(serve("Answer turnout.v1 as cases.json scripts it.", _open))
