"""Names and numbers of the contract, written down a second time: a change must be meant twice.

`buf breaking` guards what was released; these tables also guard what was agreed before that.
"""

import pytest
from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.descriptor_pool import Default
from turnout.admin.v1 import admin_service_pb2
from turnout.internal.v1 import orca_load_report_pb2
from turnout.v1 import (
    chat_service_pb2,
    content_pb2,
    embed_service_pb2,
    errors_pb2,
    model_service_pb2,
    routing_pb2,
    usage_pb2,
    usage_service_pb2,
)

FILES = [
    chat_service_pb2,
    content_pb2,
    embed_service_pb2,
    errors_pb2,
    model_service_pb2,
    routing_pb2,
    usage_pb2,
    usage_service_pb2,
    admin_service_pb2,
    orca_load_report_pb2,
]

# Values in order, counted from 1; 0 is UNSPECIFIED everywhere.
ENUMS = {
    "Role": "SYSTEM USER ASSISTANT TOOL",
    "ToolChoice.Mode": "AUTO NONE REQUIRED",
    "ResponseFormat.Kind": "TEXT JSON_OBJECT JSON_SCHEMA",
    "ThinkingOptions.Effort": "NONE LOW MEDIUM HIGH",
    "FinishReason": "STOP STOP_SEQUENCE MAX_TOKENS TOOL_CALLS CONTENT_FILTER REFUSAL CONTEXT_LIMIT"
    " OTHER PAUSED",
    "Warning.Kind": "DROPPED CLAMPED EMULATED STATE_STRIPPED",
    "EmbeddingEncoding": "FLOAT32 FLOAT16 INT8 BINARY",
    "EmbedRequest.InputType": "QUERY DOCUMENT",
    "MidStreamPolicy": "FAIL RESTART CONTINUE",
    "CacheMode": "OFF READ_WRITE READ_ONLY REFRESH",
    "CacheStatus": "HIT MISS BYPASS COALESCED",
    "ErrorReason": "INVALID_REQUEST MODEL_NOT_FOUND UNSUPPORTED_CAPABILITY CONTEXT_LENGTH_EXCEEDED"
    " TOO_LARGE PROMPT_BLOCKED PROVIDER_REJECTED UNAUTHENTICATED FORBIDDEN RATE_LIMITED"
    " BUDGET_EXHAUSTED OVERLOADED SHUTTING_DOWN PROVIDER_RATE_LIMITED PROVIDER_QUOTA_EXHAUSTED"
    " PROVIDER_OVERLOADED PROVIDER_ERROR PROVIDER_TIMEOUT PROVIDER_UNREACHABLE PROVIDER_AUTH_FAILED"
    " PROVIDER_CIRCUIT_OPEN STREAM_INTERRUPTED DEADLINE_EXCEEDED DUPLICATE_REQUEST INTERNAL",
    "Capability": "CHAT STREAMING EMBEDDINGS TOOLS PARALLEL_TOOLS VISION AUDIO DOCUMENTS"
    " JSON_SCHEMA THINKING PROMPT_CACHE PREFILL SEED",
    "CircuitState": "CLOSED HALF_OPEN OPEN DISABLED",
    "UsageDimension": "TIME METHOD MODEL PROVIDER CODE LABEL",
}

# Fields in order of their numbers, counted from 1; `=n` jumps to n, `?` marks presence without a
# oneof, `*` a repeated field or a map, `@` a field of a oneof.
FIELDS = {
    "v1.Message": "role text parts* name",
    "v1.Part": "text@ media@ tool_call@ tool_result@ thinking@ cache_breakpoint=13 provider_state",
    "v1.Media": "data@ url@ file_id@ mime_type filename",
    "v1.ToolCall": "id name arguments_json",
    "v1.ToolResult": "tool_call_id text parts* is_error",
    "v1.Thinking": "text redacted",
    "v1.CacheBreakpoint": "ttl_seconds",
    "v1.ProviderState": "provider data",
    "v1.ChatRequest": "model messages* max_output_tokens? temperature? top_p? top_k? seed?"
    " stop_sequences* tools* tool_choice response_format thinking routing cache stream"
    " frequency_penalty? presence_penalty? labels* end_user_id provider_parameters*"
    " strict_parameters",
    "v1.ProviderParameters": "provider json",
    "v1.Tool": "name description parameters_json_schema strict",
    "v1.ToolChoice": "mode name disable_parallel",
    "v1.ResponseFormat": "kind json_schema schema_name",
    "v1.ThinkingOptions": "effort budget_tokens? include",
    "v1.StreamOptions": "progress tool_call_deltas final_message coalesce",
    "v1.ChatResponse": "text_delta@ thinking_delta@ tool_call@ tool_call_delta@ route@"
    " attempt_failed@ finish@ heartbeat@ part_index=14 generation",
    "v1.ToolCallDelta": "id name arguments_json_delta",
    "v1.Heartbeat": "",
    "v1.Finish": "reason raw_reason stop_sequence usage route response_id message"
    " time_to_first_output warnings*",
    "v1.Warning": "kind field message",
    "v1.CompleteChatResponse": "text tool_calls* finish",
    "v1.EmbedRequest": "model texts* dimensions encoding routing cache labels* input_type",
    "v1.Embedding": "values* packed scale",
    "v1.EmbedResponse": "embeddings* dimensions usage route upstream_calls cache_hits",
    "v1.EmbedStreamRequest": "options@ items@",
    "v1.EmbedOptions": "model dimensions=3 encoding routing cache labels* input_type",
    "v1.EmbedItems": "items*",
    "v1.EmbedItem": "id text",
    "v1.EmbedStreamResponse": "results@ end@",
    "v1.EmbedItemResults": "results*",
    "v1.EmbedItemResult": "id embedding@ error@",
    "v1.ItemError": "reason message",
    "v1.EmbedStreamEnd": "usage embedded_items failed_items upstream_calls cache_hits route",
    "v1.RoutingOptions": "fallback_models* disable_fallback max_attempts first_output_timeout"
    " mid_stream_policy allowed_providers* stall_timeout hedge",
    "v1.CacheOptions": "mode max_age namespace",
    "v1.Route": "provider model cache_status attempts provider_request_id",
    "v1.Usage": "input_tokens output_tokens cache_read_input_tokens cache_write_input_tokens"
    " thinking_tokens cost_nano_usd? estimated",
    "v1.AttemptFailure": "attempt provider model reason http_status provider_request_id message"
    " duration",
    "v1.ErrorDetail": "reason request_id retryable retry_delay output_started attempts* usage",
    "v1.Price": "input_micro_usd_per_million output_micro_usd_per_million"
    " cache_read_micro_usd_per_million cache_write_micro_usd_per_million",
    "v1.ModelTarget": "provider model price capabilities*",
    "v1.Model": "name capabilities* context_window max_output_tokens embedding_dimensions*"
    " max_embed_inputs targets* sunset_time",
    "v1.ProviderStatus": "provider state in_flight error_rate p50_time_to_first_output"
    " p95_time_to_first_output window last_failure last_failure_time next_probe_time",
    "v1.ListModelsRequest": "page_size page_token",
    "v1.ListModelsResponse": "models* next_page_token",
    "v1.GetModelRequest": "name",
    "v1.GetModelResponse": "model",
    "v1.ListProvidersRequest": "page_size page_token",
    "v1.ListProvidersResponse": "providers* next_page_token",
    "v1.WatchProvidersRequest": "",
    "v1.WatchProvidersResponse": "providers*",
    "v1.QueryUsageRequest": "start_time end_time dimensions* bucket label_key page_size page_token",
    "v1.QueryUsageResponse": "rows* next_page_token",
    "v1.UsageRow": "bucket_start dimension_values* requests failures fallbacks fallback_successes"
    " cache_hits cache_misses embed_inputs embed_upstream_calls usage saved_nano_usd"
    " p50_time_to_first_output p95_time_to_first_output p95_duration",
    "v1.GetLimitsRequest": "",
    "v1.GetLimitsResponse": "limits*",
    "v1.Limit": "id value remaining unit period reset_time",
    "admin.v1.SetProviderEnabledRequest": "provider enabled",
    "admin.v1.SetProviderEnabledResponse": "provider",
    "admin.v1.ResetCircuitRequest": "provider model",
    "admin.v1.ResetCircuitResponse": "provider circuits_reset",
    "admin.v1.InvalidateCacheRequest": "tenant namespace model",
    "admin.v1.InvalidateCacheResponse": "entries_dropped?",
    "admin.v1.ReloadConfigRequest": "validate_only",
    "admin.v1.ReloadConfigResponse": "version changed warnings*",
    # The numbers of xds.data.orca.v3.OrcaLoadReport, its deprecated `rps` left out.
    "internal.v1.OrcaLoadReport": "cpu_utilization mem_utilization request_cost=4* utilization*"
    " rps_fractional eps named_metrics* application_utilization",
}


def read_fields(text: str) -> dict[int, tuple[str, str]]:
    """Read a line of FIELDS: number to (name, mark)."""
    fields: dict[int, tuple[str, str]] = {}
    number = 0
    for word in text.split():
        mark = word[-1] if word[-1] in "?*@" else ""
        name, _, jump = word.rstrip("?*@").partition("=")
        number = int(jump) if jump else number + 1
        fields[number] = (name, mark)
    return fields


def describe_fields(message: Descriptor) -> dict[int, tuple[str, str]]:
    fields: dict[int, tuple[str, str]] = {}
    for field in message.fields:
        oneof = field.containing_oneof
        if field.is_repeated:
            mark = "*"
        elif oneof is not None:
            mark = "?" if oneof.name.startswith("_") else "@"
        else:
            mark = ""
        fields[field.number] = (field.name, mark)
    return fields


def prefix_of(enum: EnumDescriptor) -> str:
    words = "".join(f"_{letter}" if letter.isupper() else letter for letter in enum.name)
    return words.lstrip("_").upper() + "_"


@pytest.mark.parametrize("name", ENUMS)
def test_enum_has_its_agreed_numbers(name: str) -> None:
    enum = Default().FindEnumTypeByName(f"turnout.v1.{name}")
    agreed = ["UNSPECIFIED", *ENUMS[name].split()]
    assert {value.number: value.name for value in enum.values} == {
        number: prefix_of(enum) + value for number, value in enumerate(agreed)
    }


@pytest.mark.parametrize("name", FIELDS)
def test_message_has_its_agreed_fields(name: str) -> None:
    message = Default().FindMessageTypeByName(f"turnout.{name}")
    assert describe_fields(message) == read_fields(FIELDS[name])


@pytest.mark.parametrize("module", FILES, ids=lambda module: module.__name__)
def test_every_message_and_enum_stands_in_the_tables(module: object) -> None:
    file = module.DESCRIPTOR  # type: ignore[attr-defined]
    package = file.package.removeprefix("turnout.")
    assert {f"{package}.{name}" for name in file.message_types_by_name} <= FIELDS.keys()
    assert set(file.enum_types_by_name) <= ENUMS.keys()
