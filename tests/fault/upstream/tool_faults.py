"""Scripts of tool calls, good and contradictory: rows 47 and 48."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from tests.fault.upstream.answer import Finish, ToolStep
from tests.fault.upstream.exchange import Exchange, complete_calls, script


@script("toolcall")
async def one_call(exchange: Exchange) -> None:
    """One call, its arguments in two pieces."""
    await _send_calls(exchange, complete_calls(1))


@script("toolparallel")
async def parallel_calls(exchange: Exchange) -> None:
    """Two calls, one after the other."""
    await _send_calls(exchange, complete_calls(2))


@script("toolinterleaved")
async def interleaved_calls(exchange: Exchange) -> None:
    """Two calls whose arguments take turns."""
    await _send_calls(exchange, _interleaved())


@script("toolnoargs")
async def call_without_arguments(exchange: Exchange) -> None:
    """A call whose arguments are the empty text."""
    await _send_calls(exchange, [_begin(0), ToolStep("end", 0)])


@script("toolcut")
async def cut_call(exchange: Exchange) -> None:
    """The token limit ends the answer inside a call's arguments."""
    steps = [_begin(0), _arguments(0, '{"city":"Kö'), ToolStep("end", 0)]
    await _send_calls(exchange, steps, finish="length")


@script("tooldupindex")
async def duplicate_index(exchange: Exchange) -> None:
    """Two calls under one index."""
    steps = [_begin(0, "a"), _arguments(0, "{}"), _begin(0, "b"), _arguments(0, "{}")]
    await _send_calls(exchange, [*steps, ToolStep("end", 0)])


@script("toolnoindex")
async def missing_index(exchange: Exchange) -> None:
    """Two calls whose steps have no index."""
    await _send_calls(exchange, [replace(step, index=None) for step in complete_calls(2)])


@script("toolidchange")
async def changing_id(exchange: Exchange) -> None:
    """A call whose id changes between two pieces of its arguments."""
    steps = [_begin(0), _arguments(0, '{"city":'), _arguments(0, '"Rome"}', call_id="call_other")]
    await _send_calls(exchange, [*steps, ToolStep("end", 0)])


@script("toolnoid")
async def missing_id(exchange: Exchange) -> None:
    """A call that begins with its name and no id."""
    await _send_calls(exchange, [replace(step, call_id="") for step in complete_calls(1)])


@script("toolbadjson")
async def bad_arguments(exchange: Exchange) -> None:
    """A finished call whose arguments are not JSON."""
    await _send_calls(exchange, [_begin(0), _arguments(0, "{city: Rome}"), ToolStep("end", 0)])


async def _send_calls(
    exchange: Exchange, steps: Sequence[ToolStep], *, finish: Finish = "tool_calls"
) -> None:
    """Only the calls, or after `tokens` of text."""
    answer = exchange.answer()
    text = answer.text if "tokens" in exchange.script.options else ()
    calls = replace(answer, text=text, tool_steps=tuple(steps), finish=finish)
    await exchange.send_reply(exchange.reply(calls))


def _interleaved() -> list[ToolStep]:
    first, second = complete_calls(2)[:4], complete_calls(2)[4:]
    return [step for pair in zip(first, second, strict=True) for step in pair]


def _begin(index: int, suffix: Literal["", "a", "b"] = "") -> ToolStep:
    return ToolStep("begin", index, f"call_{index}{suffix}", f"tool_{index}")


def _arguments(index: int, text: str, *, call_id: str = "") -> ToolStep:
    return ToolStep("arguments", index, call_id, text=text)
