"""ChatRequest to the body of POST /chat/completions: pure, from the original each time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from turnout.v1.chat_service_pb2 import ChatRequest, ResponseFormat, ThinkingOptions, ToolChoice
from turnout.v1.chat_service_pb2 import Warning as WarningMessage

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.target import Target
from turnout_server.providers.adjustments import Adjustments
from turnout_server.providers.json_text import require_object
from turnout_server.providers.openai_chat.messages import Json, MessageEncoder
from turnout_server.providers.openai_chat.options import Options

_EFFORT_WORDS = {
    ThinkingOptions.EFFORT_NONE: "none",
    ThinkingOptions.EFFORT_LOW: "low",
    ThinkingOptions.EFFORT_MEDIUM: "medium",
    ThinkingOptions.EFFORT_HIGH: "high",
}
_MODE_WORDS = {
    ToolChoice.MODE_AUTO: "auto",
    ToolChoice.MODE_NONE: "none",
    ToolChoice.MODE_REQUIRED: "required",
}
_SETTLED = frozenset({"model", "messages", "stream", "stream_options", "n"})
"""What provider_parameters may not set: the router decided by it, or the decoder relies on it."""

_REQUEST_FIELDS = {
    "stop": "stop_sequences",
    "user": "end_user_id",
    "safety_identifier": "end_user_id",
    "parallel_tool_calls": "tool_choice.disable_parallel",
}
"""How callers know the body's fields, where the names differ."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A body ready to be sent, and what was changed on the way there."""

    body: bytes
    warnings: list[WarningMessage]


def encode_chat(
    request: ChatRequest,
    target: Target,
    options: Options,
    *,
    stream: bool,
    strip_state: bool = False,
) -> Encoded:
    """Encode one request for one target; raises ProviderFailure where the target cannot do it."""
    notes = Adjustments(strict=request.strict_parameters)
    owner = None if strip_state else target.endpoint.row
    body: Json = {
        "model": target.model,
        "messages": MessageEncoder(options, notes, state_owner=owner).encode(request.messages),
    }
    if stream:
        body["stream"] = True
        if options.include_usage:
            body["stream_options"] = {"include_usage": True}
    _add_limits(body, request, target, options, notes)
    _add_sampling(body, request)
    _add_tools(body, request)
    _add_response_format(body, request, options)
    _add_thinking(body, request, options, notes)
    if request.end_user_id and options.end_user_param:
        body[options.end_user_param] = request.end_user_id
    for name in options.unsupported:
        if body.pop(name, None) is not None:
            notes.dropped(_REQUEST_FIELDS.get(name, name), "the provider has no such parameter")
    body = {options.rename.get(name, name): value for name, value in body.items()}
    body = {**options.extra_body, **body, **_provider_parameters(request, target)}
    return Encoded(msgspec.json.encode(body), notes.warnings())


def _add_limits(
    body: Json, request: ChatRequest, target: Target, options: Options, notes: Adjustments
) -> None:
    if request.HasField("max_output_tokens"):
        limit, most = request.max_output_tokens, target.card.max_output_tokens
        if most is not None and limit > most:
            notes.clamped("max_output_tokens", f"the model writes at most {most} tokens")
            limit = most
        body[options.max_tokens_param] = limit
    if stops := list(request.stop_sequences):
        most = options.max_stop_sequences
        if len(stops) > most:
            notes.clamped("stop_sequences", f"the provider takes the first {most}")
        body["stop"] = stops[:most]


def _add_sampling(body: Json, request: ChatRequest) -> None:
    for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty"):
        if request.HasField(name):
            # A float32 of 0.7 reads 0.699999988 as a double; the caller wrote 0.7.
            body[name] = round(getattr(request, name), 6)
    if request.HasField("top_k"):
        body["top_k"] = request.top_k
    if request.HasField("seed"):
        body["seed"] = request.seed


def _add_tools(body: Json, request: ChatRequest) -> None:
    if not request.tools:
        return
    body["tools"] = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                **({"description": tool.description} if tool.description else {}),
                "parameters": _schema(tool.parameters_json_schema),
                **({"strict": True} if tool.strict else {}),
            },
        }
        for tool in request.tools
    ]
    choice = request.tool_choice
    if choice.name:
        body["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    elif choice.mode in _MODE_WORDS:
        body["tool_choice"] = _MODE_WORDS[choice.mode]
    if choice.disable_parallel:
        body["parallel_tool_calls"] = False


def _add_response_format(body: Json, request: ChatRequest, options: Options) -> None:
    wanted = request.response_format
    if wanted.kind == ResponseFormat.KIND_JSON_OBJECT:
        body["response_format"] = {"type": "json_object"}
    elif wanted.kind == ResponseFormat.KIND_JSON_SCHEMA:
        schema: Json = {
            "name": wanted.schema_name or "answer",
            "schema": _schema(wanted.json_schema),
        }
        if options.strict_schema:
            schema["strict"] = True
        body["response_format"] = {"type": "json_schema", "json_schema": schema}


def _schema(text: str) -> Any:
    # As the caller wrote it: order of keys and long numbers are kept, and nothing is parsed.
    return msgspec.Raw(text.encode()) if text else {"type": "object", "properties": {}}


def _add_thinking(body: Json, request: ChatRequest, options: Options, notes: Adjustments) -> None:
    thinking = request.thinking
    budget = thinking.budget_tokens if thinking.HasField("budget_tokens") else None
    effort = _EFFORT_WORDS.get(thinking.effort)
    if effort is None and budget is None:
        return
    if not options.thinking_param:
        notes.dropped("thinking", "the provider has no such parameter")
        return
    body[options.thinking_param] = _THINKING[options.thinking_param](effort, budget, notes)


def _effort_word(effort: str | None, budget: int | None, notes: Adjustments) -> Any:
    if budget is not None and effort is not None:
        notes.dropped("thinking.budget_tokens", "the provider takes an effort and no budget")
    if effort is not None:
        return effort
    notes.emulated("thinking.budget_tokens", "sent as the nearest effort")
    return "low" if budget is None or budget <= 2048 else "medium" if budget <= 8192 else "high"


def _effort_object(effort: str | None, budget: int | None, _notes: Adjustments) -> Any:
    # OpenRouter takes one of the two; a budget is the more exact.
    return {"max_tokens": budget} if budget is not None else {"effort": effort}


def _switch(effort: str | None, budget: int | None, notes: Adjustments) -> bool:
    if budget is not None:
        notes.dropped("thinking.budget_tokens", "the provider turns thinking on or off")
    elif effort in {"low", "medium"}:
        notes.emulated("thinking.effort", "the provider turns thinking on or off")
    return effort != "none"


_THINKING: dict[str, Callable[[str | None, int | None, Adjustments], Any]] = {
    "reasoning_effort": _effort_word,
    "reasoning": _effort_object,
    "thinking": lambda effort, budget, notes: {
        "type": "enabled" if _switch(effort, budget, notes) else "disabled"
    },
    "enable_thinking": _switch,
}


def _provider_parameters(request: ChatRequest, target: Target) -> Json:
    merged: Json = {}
    for index, parameters in enumerate(request.provider_parameters):
        if parameters.provider not in {target.endpoint.name, target.endpoint.row}:
            continue
        path = f"provider_parameters[{index}].json"
        members = require_object(parameters.json, path)
        if settled := sorted(_SETTLED & members.keys()):
            raise ProviderFailure(
                FailureKind.REJECTED, f"{path} may not set {settled[0]}", field=path
            )
        merged |= members
    return merged
