"""`make run`: the gateway on its embedded default, proved through its own port."""

import time

import grpc
import uvloop
from turnout.v1.chat_service_pb2 import ChatRequest, Finish, FinishReason
from turnout.v1.chat_service_pb2_grpc import ChatServiceStub
from turnout.v1.content_pb2 import ROLE_USER, Message
from turnout.v1.embed_service_pb2 import EmbedRequest
from turnout.v1.embed_service_pb2_grpc import EmbedServiceStub

from turnout_server.app.cli.embed import print_similarities
from turnout_server.app.serve import run
from turnout_server.app.settings import read_settings
from turnout_server.app.wiring import Gateway
from turnout_server.telemetry.observers import TelemetrySettings, build_observers

QUESTION = "In one sentence: why is the sky blue?"
TEXTS = ("a cat sleeps on the sofa", "a kitten naps on the couch", "the invoice is due on Friday")

PASTE = """
Call it yourself, from another terminal:

  .venv/bin/turnout chat chat "{question}"
  .venv/bin/turnout embed embed "a cat" "a kitten" "an invoice"
  .venv/bin/buf curl --protocol grpc -d '{{"model": "chat", "messages": \
[{{"role": "ROLE_USER", "text": "{question}"}}]}}' \\
    http://{address}/turnout.v1.ChatService/Chat

  Go    conn, err := grpc.NewClient("{address}",
            grpc.WithTransportCredentials(insecure.NewCredentials()))
        stream, err := turnoutv1.NewChatServiceClient(conn).Chat(ctx, request)
        for event, err := stream.Recv(); err == nil; event, err = stream.Recv() {{
            fmt.Print(event.GetTextDelta())
        }}

  Java  ChatServiceGrpc.newBlockingStub(
            ManagedChannelBuilder.forTarget("{address}").usePlaintext().build())
            .chat(request).forEachRemaining(event -> System.out.print(event.getTextDelta()));
"""


def demo(*, once: bool) -> int:
    """Serve on zero configuration, show one chat and one embedding, then go on serving."""
    # What the proof prints is for a person: only what is wrong is logged beside it.
    telemetry = build_observers(
        TelemetrySettings(log_level="warning", log_format="console", log_fd=2)
    )
    then = _prove if once else _prove_and_invite
    uvloop.run(run(read_settings(None), None, then, telemetry, once=once))
    return 0


async def _prove_and_invite(gateway: Gateway) -> None:
    await _prove(gateway)
    print(PASTE.format(address=f"127.0.0.1:{gateway.port}", question=QUESTION))
    print("Serving until Ctrl-C.", flush=True)


async def _prove(gateway: Gateway) -> None:
    """Both services, called as anybody would: by the stubs, through the port."""
    if gateway.embedded is not None:
        await gateway.embedded.wait_ready()
    address = f"127.0.0.1:{gateway.port}"
    print(f"turnout serves {address}: models " + ", ".join(gateway.settings.routes.aliases))
    async with grpc.aio.insecure_channel(address) as channel:
        await _show_chat(channel)
        await _show_embed(channel)


async def _show_chat(channel: grpc.aio.Channel) -> None:
    print(f"\nchat> {QUESTION}\n", flush=True)
    question = Message(role=ROLE_USER, text=QUESTION)
    request = ChatRequest(model="chat", messages=[question], max_output_tokens=80)
    started, messages, finish = time.perf_counter(), 0, Finish()
    async for event in ChatServiceStub(channel).Chat(request, timeout=120):
        messages += 1
        print(event.text_delta, end="", flush=True)
        if event.HasField("finish"):
            finish = event.finish
    first_ms = finish.time_to_first_output.ToMilliseconds()
    reason = FinishReason.Name(finish.reason).removeprefix("FINISH_REASON_")
    print(
        f"\n\n  {finish.route.provider}/{finish.route.model}: {finish.usage.output_tokens} tokens"
        f" in {messages} messages, the first after {first_ms} ms, all in"
        f" {time.perf_counter() - started:.1f} s; ended by {reason}\n"
    )


async def _show_embed(channel: grpc.aio.Channel) -> None:
    print("embed> how alike are these texts?\n")
    request = EmbedRequest(model="embed", texts=TEXTS)
    response = await EmbedServiceStub(channel).Embed(request, timeout=60)
    print_similarities(TEXTS, [list(embedding.values) for embedding in response.embeddings])
    route = response.route
    print(f"\n  {route.provider}/{route.model}: {response.dimensions} dimensions", flush=True)
