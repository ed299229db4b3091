"""Services, methods and what each promises about side effects."""

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodOptions
from turnout.admin.v1 import admin_service_pb2
from turnout.v1 import (
    chat_service_pb2,
    embed_service_pb2,
    model_service_pb2,
    usage_service_pb2,
)

FILES = [
    chat_service_pb2,
    embed_service_pb2,
    model_service_pb2,
    usage_service_pb2,
    admin_service_pb2,
]
# Request, response ("stream" before what is one), and whether the method only reads.
METHODS = {
    "ChatService.Chat": ("ChatRequest", "stream ChatResponse", False),
    "ChatService.CompleteChat": ("ChatRequest", "CompleteChatResponse", False),
    "EmbedService.Embed": ("EmbedRequest", "EmbedResponse", False),
    "EmbedService.EmbedStream": ("stream EmbedStreamRequest", "stream EmbedStreamResponse", False),
    "ModelService.ListModels": ("ListModelsRequest", "ListModelsResponse", True),
    "ModelService.GetModel": ("GetModelRequest", "GetModelResponse", True),
    "ModelService.ListProviders": ("ListProvidersRequest", "ListProvidersResponse", True),
    "ModelService.WatchProviders": (
        "WatchProvidersRequest",
        "stream WatchProvidersResponse",
        True,
    ),
    "UsageService.QueryUsage": ("QueryUsageRequest", "QueryUsageResponse", True),
    "UsageService.GetLimits": ("GetLimitsRequest", "GetLimitsResponse", True),
    "AdminService.SetProviderEnabled": (
        "SetProviderEnabledRequest",
        "SetProviderEnabledResponse",
        False,
    ),
    "AdminService.ResetCircuit": ("ResetCircuitRequest", "ResetCircuitResponse", False),
    "AdminService.InvalidateCache": ("InvalidateCacheRequest", "InvalidateCacheResponse", False),
    "AdminService.ReloadConfig": ("ReloadConfigRequest", "ReloadConfigResponse", False),
}


def describe_methods() -> dict[str, tuple[str, str, bool]]:
    methods: dict[str, tuple[str, str, bool]] = {}
    for module in FILES:
        file = FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        for service in file.service:
            for method in service.method:
                asked = method.input_type.rpartition(".")[2]
                answered = method.output_type.rpartition(".")[2]
                methods[f"{service.name}.{method.name}"] = (
                    f"stream {asked}" if method.client_streaming else asked,
                    f"stream {answered}" if method.server_streaming else answered,
                    method.options.idempotency_level == MethodOptions.NO_SIDE_EFFECTS,
                )
    return methods


def test_services_have_exactly_their_agreed_methods() -> None:
    assert describe_methods() == METHODS


@pytest.mark.parametrize("module", FILES, ids=lambda module: module.__name__)
def test_callers_need_only_duration_and_timestamp_beside_the_contract(module: object) -> None:
    waiting = [module.DESCRIPTOR]  # type: ignore[attr-defined]
    seen: set[str] = set()
    while waiting:
        file = waiting.pop()
        seen.add(file.name)
        waiting += [each for each in file.dependencies if each.name not in seen]
    foreign = {name for name in seen if not name.startswith(("turnout/v1/", "turnout/admin/v1/"))}
    assert foreign <= {"google/protobuf/duration.proto", "google/protobuf/timestamp.proto"}
