"""A caller that knows nothing but some stubs: STUBS ADDRESS; prints what it was told.

Run in a process of its own, since one process can hold one contract alone.
"""

import json
import sys

stubs, address = sys.argv[1:]
sys.path.insert(0, stubs)

import grpc  # noqa: E402
from google.rpc import status_pb2  # noqa: E402
from turnout.v1 import (  # noqa: E402
    chat_service_pb2,
    chat_service_pb2_grpc,
    content_pb2,
    embed_service_pb2,
    embed_service_pb2_grpc,
    errors_pb2,
    model_service_pb2,
    model_service_pb2_grpc,
)

assert chat_service_pb2.__file__.startswith(stubs), "these are not the stubs that were asked for"
HAS_ADDED = "added_later" in chat_service_pb2.ChatRequest.DESCRIPTOR.fields_by_name


def request(model):
    asked = chat_service_pb2.ChatRequest(
        model=model,
        messages=[content_pb2.Message(role=content_pb2.ROLE_USER, text="hello")],
        stream=chat_service_pb2.StreamOptions(progress=True, final_message=True),
    )
    if HAS_ADDED:
        asked.added_later = "unknown to the server"
    return asked


def stream(chats):
    events = list(chats.Chat(request("scripted/say:one |say:two|call:add:{}")))
    finish = events[-1].finish
    return {
        "text": "".join(event.text_delta for event in events),
        "tools": [e.tool_call.name for e in events if e.HasField("tool_call")],
        "finish": chat_service_pb2.FinishReason.Name(finish.reason),
        "provider": finish.route.provider,
        "tokens": finish.usage.output_tokens,
    }


def failure(chats):
    try:
        chats.CompleteChat(request("no such model"))
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata())
        details = status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details
        told = errors_pb2.ErrorDetail()
        assert any(detail.Unpack(told) for detail in details)
        return [error.code().name, errors_pb2.ErrorReason.Name(told.reason)]
    return []


def embed_stream(embeds):
    options = embed_service_pb2.EmbedOptions(model="scripted/vectors", dimensions=4)
    items = [embed_service_pb2.EmbedItem(id=i, text=f"text {i}") for i in range(3)]
    asked = [
        embed_service_pb2.EmbedStreamRequest(options=options),
        embed_service_pb2.EmbedStreamRequest(items=embed_service_pb2.EmbedItems(items=items)),
    ]
    results = [
        result
        for response in embeds.EmbedStream(iter(asked))
        for result in response.results.results
    ]
    return sorted([result.id, len(result.embedding.values)] for result in results)


def added_method(chats):
    if not HAS_ADDED:
        return None
    try:
        chats.AddedLater(request("scripted/say:hello"))
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


with grpc.insecure_channel(address) as channel:
    chats = chat_service_pb2_grpc.ChatServiceStub(channel)
    embeds = embed_service_pb2_grpc.EmbedServiceStub(channel)
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    embed = embed_service_pb2.EmbedRequest(model="scripted/vectors", texts=["text 7"], dimensions=4)
    listed = models.ListProviders(model_service_pb2.ListProvidersRequest()).providers
    print(
        json.dumps(
            {
                "stream": stream(chats),
                "once": chats.CompleteChat(request("scripted/say:hello")).text,
                "failure": failure(chats),
                "embed": [len(one.values) for one in embeds.Embed(embed).embeddings],
                "embed_stream": embed_stream(embeds),
                "providers": [one.provider for one in listed],
                "added_method": added_method(chats),
            }
        )
    )
