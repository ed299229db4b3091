"""Requests of the contract from keyword options."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any, Literal, Protocol, TypeVar, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from turnout.v1.chat_service_pb2 import (
    ChatRequest,
    ProviderParameters,
    ResponseFormat,
    StreamOptions,
    ThinkingOptions,
    ToolChoice,
)
from turnout.v1.embed_service_pb2 import EmbeddingEncoding, EmbedOptions, EmbedRequest
from turnout.v1.routing_pb2 import CacheMode, CacheOptions, MidStreamPolicy, RoutingOptions
from turnout.v1.usage_service_pb2 import QueryUsageRequest, UsageDimension

from turnout_client.calls import CallOptions
from turnout_client.messages import Prompt, ToolLike, conversation, json_text, tool

Encoding = Literal["float32", "float16", "int8", "binary"]
Dimension = Literal["time", "method", "model", "provider", "code", "label"]


class SharedOptions(CallOptions, total=False):
    """Options of Chat and Embed alike: where a call may go, the cache, labels for analytics."""

    fallback_models: Sequence[str]
    disable_fallback: bool
    max_attempts: int
    allowed_providers: Sequence[str]
    first_output_timeout_s: float
    stall_timeout_s: float
    hedge: bool
    cache: Literal["off", "read_write", "read_only", "refresh"] | CacheOptions
    labels: Mapping[str, str]


class ChatOptions(SharedOptions, total=False):
    """Options of Chat: the fields of ChatRequest, in Python's words.

    `system` goes before the prompt. `tool_choice` is a mode or the one tool's name;
    `response_format` "json" or a JSON Schema; `thinking` an effort or a number of tokens, and shows
    the thinking unless `include_thinking` is False. `provider_parameters` are merged into that
    provider's request only.
    """

    system: str
    max_output_tokens: int
    temperature: float
    top_p: float
    top_k: int
    seed: int
    stop_sequences: Sequence[str]
    frequency_penalty: float
    presence_penalty: float
    tools: Iterable[ToolLike]
    tool_choice: str | ToolChoice
    parallel_tool_calls: bool
    response_format: Literal["json", "text"] | Mapping[str, Any] | ResponseFormat
    thinking: Literal["none", "low", "medium", "high"] | int | ThinkingOptions
    include_thinking: bool
    mid_stream: Literal["fail", "restart", "continue"]
    progress: bool
    tool_call_deltas: bool
    final_message: bool
    coalesce_s: float
    end_user_id: str
    provider_parameters: Mapping[str, str | Mapping[str, Any]]
    strict_parameters: bool


class EmbedCallOptions(SharedOptions, total=False):
    """Options of Embed; `dimensions` only where the model offers a choice."""

    dimensions: int
    encoding: Encoding
    input_type: Literal["query", "document"]


_PLAIN = (
    "max_output_tokens", "temperature", "top_p", "top_k", "seed", "stop_sequences",
    "frequency_penalty", "presence_penalty", "end_user_id", "strict_parameters",
)  # fmt: skip
_ROUTING = (
    "fallback_models", "disable_fallback", "max_attempts", "allowed_providers", "hedge",
)  # fmt: skip
_STREAM = ("progress", "tool_call_deltas", "final_message")


def chat_request(model: str | ChatRequest, prompt: Prompt, options: ChatOptions) -> ChatRequest:
    """The request. One given whole is taken as it is, with options of the call alone.

    Raises TypeError for an option that does not exist, naming the nearest.
    """
    if isinstance(model, ChatRequest):
        refuse_unknown(options, CallOptions)
        if prompt:
            raise TypeError("a ChatRequest holds its own messages: no prompt besides")
        return model
    refuse_unknown(options, ChatOptions)
    request = ChatRequest(model=model, **_some(options, _PLAIN))
    if "system" in options:
        request.messages.extend(conversation({"role": "system", "content": options["system"]}))
    request.messages.extend(conversation(prompt))
    request.tools.extend(tool(described) for described in options.get("tools", ()))
    _set_choices(request, options)
    _set_shared(request, options)
    _set_stream(request.stream, options)
    for provider, parameters in options.get("provider_parameters", {}).items():
        merged = ProviderParameters(provider=provider, json=json_text(parameters))
        request.provider_parameters.append(merged)
    return request


def embed_request(model: str, texts: Iterable[str], options: EmbedCallOptions) -> EmbedRequest:
    """The request of a batch."""
    return cast(EmbedRequest, _embed(EmbedRequest(model=model, texts=texts_of(texts)), options))


def texts_of(texts: Iterable[str]) -> Iterable[str]:
    """The texts; a bare one is one text, though Python lets its letters be iterated."""
    return [texts] if isinstance(texts, str) else texts


def embed_options(model: str, options: EmbedCallOptions) -> EmbedOptions:
    """The first message of a stream."""
    return cast(EmbedOptions, _embed(EmbedOptions(model=model), options))


def usage_request(
    start: datetime,
    end: datetime | None,
    by: Sequence[Dimension],
    bucket: timedelta | None,
    label_key: str,
) -> QueryUsageRequest:
    """The first page's request. Raises ValueError for a time without zone."""
    request = QueryUsageRequest(start_time=_timestamp(start), label_key=label_key)
    request.dimensions.extend(_named(UsageDimension, "USAGE_DIMENSION", word) for word in by)
    if end is not None:
        request.end_time.CopyFrom(_timestamp(end))
    if bucket is not None:
        request.bucket.FromTimedelta(bucket)
    return request


def refuse_unknown(options: Mapping[str, Any], known: type) -> None:
    """Raise TypeError for options that are none: a typo must not be ignored."""
    for name in options.keys() - known.__annotations__.keys():
        near = get_close_matches(name, known.__annotations__, n=1)
        hint = f": did you mean {near[0]}?" if near else ""
        raise TypeError(f"there is no option {name}{hint}")


def _set_choices(request: ChatRequest, options: ChatOptions) -> None:
    choice = options.get("tool_choice")
    if isinstance(choice, ToolChoice):
        request.tool_choice.CopyFrom(choice)
    elif choice in {"auto", "none", "required"}:
        request.tool_choice.mode = _named(ToolChoice.Mode, "MODE", choice)
    elif choice is not None:
        request.tool_choice.mode = ToolChoice.Mode.MODE_REQUIRED
        request.tool_choice.name = choice
    if not options.get("parallel_tool_calls", True):
        request.tool_choice.disable_parallel = True
    wanted = options.get("response_format")
    if isinstance(wanted, ResponseFormat):
        request.response_format.CopyFrom(wanted)
    elif isinstance(wanted, Mapping):
        request.response_format.kind = ResponseFormat.Kind.KIND_JSON_SCHEMA
        request.response_format.json_schema = json_text(wanted)
        request.response_format.schema_name = wanted.get("title", "")
    elif wanted is not None:
        word = {"json": "json_object"}.get(wanted, wanted)
        request.response_format.kind = _named(ResponseFormat.Kind, "KIND", word)
    _set_thinking(request.thinking, options)


def _set_thinking(thinking: ThinkingOptions, options: ChatOptions) -> None:
    wanted = options.get("thinking")
    if isinstance(wanted, ThinkingOptions):
        thinking.CopyFrom(wanted)
        return
    if isinstance(wanted, int):
        thinking.budget_tokens = wanted
    elif wanted is not None:
        thinking.effort = _named(ThinkingOptions.Effort, "EFFORT", wanted)
    if options.get("include_thinking", wanted not in {None, "none"}):
        thinking.include = True


def _set_stream(stream: StreamOptions, options: ChatOptions) -> None:
    for name, value in _some(options, _STREAM).items():
        setattr(stream, name, value)
    if "coalesce_s" in options:
        stream.coalesce.CopyFrom(_duration(options["coalesce_s"]))


def _set_shared(request: Any, options: SharedOptions) -> None:
    routing = RoutingOptions(**_some(options, _ROUTING))
    if "first_output_timeout_s" in options:
        routing.first_output_timeout.CopyFrom(_duration(options["first_output_timeout_s"]))
    if "stall_timeout_s" in options:
        routing.stall_timeout.CopyFrom(_duration(options["stall_timeout_s"]))
    if "mid_stream" in options:
        policy = cast(ChatOptions, options)["mid_stream"]
        routing.mid_stream_policy = _named(MidStreamPolicy, "MID_STREAM_POLICY", policy)
    if routing.ByteSize():
        request.routing.CopyFrom(routing)
    cache = options.get("cache")
    if isinstance(cache, CacheOptions):
        request.cache.CopyFrom(cache)
    elif cache is not None:
        request.cache.mode = _named(CacheMode, "CACHE_MODE", cache)
    request.labels.update(options.get("labels", {}))


def _embed(request: Any, options: EmbedCallOptions) -> EmbedRequest | EmbedOptions:
    refuse_unknown(options, EmbedCallOptions)
    request.dimensions = options.get("dimensions", 0)
    if "encoding" in options:
        request.encoding = _named(EmbeddingEncoding, "EMBEDDING_ENCODING", options["encoding"])
    if "input_type" in options:
        request.input_type = _named(EmbedRequest.InputType, "INPUT_TYPE", options["input_type"])
    _set_shared(request, options)
    return cast(EmbedRequest | EmbedOptions, request)


def _some(options: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: options[name] for name in names if name in options}


_Number = TypeVar("_Number", covariant=True)  # noqa: PLC0105


class _Enum(Protocol[_Number]):
    """An enum of the stubs."""

    def Value(self, name: str, /) -> _Number: ...  # noqa: N802
    def keys(self) -> Any: ...


def _named(enum: _Enum[_Number], prefix: str, word: str) -> _Number:
    """The value that a word names. Raises ValueError listing the words."""
    name = f"{prefix}_{word.upper()}"
    if name in enum.keys():  # noqa: SIM118  an enum wrapper is no mapping
        return enum.Value(name)
    words = [key.removeprefix(f"{prefix}_").lower() for key in list(enum.keys())[1:]]
    raise ValueError(f"{word!r} is none of {', '.join(words)}")


def _duration(seconds: float) -> Duration:
    made = Duration()
    made.FromNanoseconds(round(seconds * 1e9))
    return made


def _timestamp(moment: datetime) -> Timestamp:
    if moment.tzinfo is None:
        raise ValueError("a time needs its zone: datetime(…, tzinfo=UTC)")
    made = Timestamp()
    made.FromDatetime(moment.astimezone(UTC))
    return made
