"""ChatRequest to the body of POST /v1/messages: pure, from the unchanged original each time.

What the API lacks is dropped, clamped or emulated with a warning; `strict_parameters` makes a drop
or a clamp a failure that names the field.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
from turnout.v1.chat_service_pb2 import ChatRequest, ResponseFormat, Tool, ToolChoice
from turnout.v1.chat_service_pb2 import Warning as WarningMessage

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.target import Target
from turnout_server.providers.adjustments import Adjustments
from turnout_server.providers.anthropic_messages.media import Block
from turnout_server.providers.anthropic_messages.options import Options, Traits, traits_of
from turnout_server.providers.anthropic_messages.thinking import Thinking, plan_thinking
from turnout_server.providers.anthropic_messages.turns import TurnEncoder
from turnout_server.providers.json_text import Members, members_of, require_object

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A body ready to be sent, and what was changed on the way there."""

    body: bytes
    warnings: list[WarningMessage]


_SETTLED = ("max_tokens", "messages", "model", "stream")
"""What provider_parameters may not set: limits and routing went by it, or the decoder does."""

_JSON_ONLY = "Answer with one JSON object and nothing else."
_MIN_TOP_P_THINKING = 0.95


def encode(
    request: ChatRequest,
    target: Target,
    options: Options,
    *,
    stream: bool,
    strip_state: bool = False,
) -> Encoded:
    """Encode one request for one target, keeping JSON text of the caller's as it was written.

    Raises ProviderFailure for what the target cannot be asked, before anything is sent.
    """
    notes = Adjustments(strict=request.strict_parameters)
    traits = traits_of(options, target.model)
    talk = TurnEncoder(
        notes,
        provider=target.endpoint.row,
        keep_state=not strip_state,
        system_turns=traits.system_turns,
    ).encode(request.messages)
    thinking = plan_thinking(
        request,
        target.card,
        notes,
        adaptive=traits.adaptive_thinking,
        allowed=_tool_turn_thinks(talk.turns),
    )
    optional: Body = {
        "system": talk.system + _format_instruction(request, notes),
        "stop_sequences": _stop_sequences(request, notes),
        "tools": [_tool(tool, f"tools[{i}]") for i, tool in enumerate(request.tools)],
        "tool_choice": _tool_choice(request, thinking, notes),
        "thinking": thinking.config,
        "output_config": _output_config(request, thinking),
        "metadata": {"user_id": request.end_user_id} if request.end_user_id else None,
        "stream": stream,
    }
    body: Body = {
        "model": target.model,
        "max_tokens": thinking.max_tokens,
        "messages": talk.turns,
        **{name: value for name, value in optional.items() if value},
        **_sampling(request, thinking, traits, notes),
    }
    _drop_unknown(request, notes)
    body = _with_provider_parameters(body, request, target)
    return Encoded(msgspec.json.encode(body), notes.warnings())


def _tool_turn_thinks(turns: list[Block]) -> bool:
    """Whether a budget is legal: a turn under way that called a tool must begin with thinking."""
    spoken = [turn for turn in turns if turn["role"] != "system"]
    if len(spoken) < 2 or spoken[-1]["role"] != "user":
        return True
    answered = spoken[-1]["content"][0]["type"] == "tool_result"
    called = spoken[-2]["content"]
    return not answered or not called or "thinking" in called[0]["type"]


def _format_instruction(request: ChatRequest, notes: Adjustments) -> list[Block]:
    if request.response_format.kind != ResponseFormat.KIND_JSON_OBJECT:
        return []
    notes.emulated("response_format.kind", "the system prompt asks for a JSON object")
    return [{"type": "text", "text": _JSON_ONLY}]


def _output_config(request: ChatRequest, thinking: Thinking) -> Body:
    config: Body = {}
    if thinking.effort:
        config["effort"] = thinking.effort
    if request.response_format.kind == ResponseFormat.KIND_JSON_SCHEMA:
        schema = require_object(request.response_format.json_schema, "response_format.json_schema")
        config["format"] = {"type": "json_schema", "schema": schema}
    return config


def _stop_sequences(request: ChatRequest, notes: Adjustments) -> list[str]:
    kept = []
    for index, text in enumerate(request.stop_sequences):
        if text.strip():
            kept.append(text)
        else:
            notes.dropped(f"stop_sequences[{index}]", "a stop sequence of blanks is refused")
    return kept


def _tool(tool: Tool, path: str) -> Block:
    field = f"{path}.parameters_json_schema"
    schema: Body = {"type": "object", "properties": {}}
    if tool.parameters_json_schema:
        schema = dict(require_object(tool.parameters_json_schema, field))
        # Whole, with the one member that the API insists on.
        schema.setdefault("type", "object")
    block: Block = {"name": tool.name, "input_schema": schema}
    if tool.description:
        block["description"] = tool.description
    if tool.strict:
        block["strict"] = True
    return block


def _tool_choice(request: ChatRequest, thinking: Thinking, notes: Adjustments) -> Block | None:
    choice = request.tool_choice
    if not request.tools:
        if choice.mode == ToolChoice.MODE_REQUIRED:
            notes.dropped("tool_choice", "there are no tools to choose from")
        return None
    if choice.mode == ToolChoice.MODE_NONE:
        return {"type": "none"}
    block: Block = {"type": "auto"}
    if choice.mode == ToolChoice.MODE_REQUIRED:
        if thinking.on:
            notes.dropped("tool_choice.mode", "a model that thinks may not be forced to a tool")
        elif choice.name:
            block = {"type": "tool", "name": choice.name}
        else:
            block = {"type": "any"}
    if choice.disable_parallel:
        block["disable_parallel_tool_use"] = True
    return None if block == {"type": "auto"} else block


def _sampling(
    request: ChatRequest, thinking: Thinking, traits: Traits, notes: Adjustments
) -> dict[str, float | int]:
    given = {
        name: _decimal(getattr(request, name))
        for name in ("temperature", "top_p", "top_k")
        if request.HasField(name)
    }
    if traits.fixed_sampling:
        for name in given:
            notes.dropped(name, "the model has fixed sampling")
        return {}
    if given.get("temperature", 0) > 1:
        notes.clamped("temperature", "the range is 0 to 1")
        given["temperature"] = 1
    if thinking.on:
        for name in [name for name, value in given.items() if not _fits_thinking(name, value)]:
            notes.dropped(name, "a model that thinks takes no such sampling")
            del given[name]
    if "temperature" in given and "top_p" in given:
        notes.dropped("top_p", "temperature and top_p exclude each other")
        del given["top_p"]
    return given


def _fits_thinking(name: str, value: float) -> bool:
    return (name == "temperature" and value == 1) or (
        name == "top_p" and value >= _MIN_TOP_P_THINKING
    )


def _decimal(value: float) -> float | int:
    # A proto float of 0.7 is 0.699999988: six digits give back what the caller wrote.
    return round(value, 6)


def _drop_unknown(request: ChatRequest, notes: Adjustments) -> None:
    for name in ("seed", "frequency_penalty", "presence_penalty"):
        if request.HasField(name):
            notes.dropped(name, "the API has no such parameter")


def _with_provider_parameters(body: Body, request: ChatRequest, target: Target) -> Body:
    for index, extra in enumerate(request.provider_parameters):
        if extra.provider not in {target.endpoint.name, target.endpoint.row}:
            continue
        field = f"provider_parameters[{index}].json"
        members = require_object(extra.json, field)
        for name in _SETTLED:
            if name in members:
                raise ProviderFailure(
                    FailureKind.REJECTED, f"{field} may not set {name}", field=field
                )
        body = _merged(body, members)
    return body


def _merged(body: Body, extra: Members) -> Body:
    """Objects are merged member by member; any other value of `extra` replaces ours."""
    merged: Body = dict(body)
    for name, text in extra.items():
        ours = merged.get(name)
        members = members_of(text) if isinstance(ours, dict) else None
        merged[name] = _merged(ours, members) if ours and members else text
    return merged
