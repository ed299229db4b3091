"""How much the model shall think, and how many tokens that leaves: one decides the other."""

from dataclasses import dataclass
from typing import Any

from turnout.v1.chat_service_pb2 import ChatRequest, ThinkingOptions
from turnout.v1.model_service_pb2 import Capability

from turnout_server.core.target import ModelCard
from turnout_server.providers.adjustments import Adjustments

MIN_BUDGET = 1024
DEFAULT_MAX_TOKENS = 4096
_EFFORTS = {
    ThinkingOptions.EFFORT_LOW: ("low", 2048),
    ThinkingOptions.EFFORT_MEDIUM: ("medium", 8192),
    ThinkingOptions.EFFORT_HIGH: ("high", 24576),
}


@dataclass(frozen=True, slots=True)
class Thinking:
    """What goes into the request. `on` means that the model will or may think."""

    max_tokens: int
    config: dict[str, Any] | None = None
    effort: str = ""

    @property
    def on(self) -> bool:
        """Whether thinking was asked for, which rules out some other parameters."""
        return self.config is not None and self.config["type"] != "disabled"


def plan_thinking(
    request: ChatRequest, card: ModelCard, notes: Adjustments, *, adaptive: bool, allowed: bool
) -> Thinking:
    """Decide on `max_tokens`, `thinking` and `output_config.effort` together.

    `adaptive` models take an effort and no budget; the others the reverse. `allowed` off means
    that the conversation rules a budget out: a tool's turn in it has lost its thinking.
    """
    asked = request.thinking
    budget = asked.budget_tokens if asked.HasField("budget_tokens") else None
    if budget == 0 or (budget is None and asked.effort == ThinkingOptions.EFFORT_NONE):
        off = {"type": "disabled"} if _may_think(card) else None
        return Thinking(_max_tokens(request, card, notes), off)
    effort, usual_budget = _EFFORTS.get(asked.effort, ("", 0))
    if budget is None and not effort:
        return Thinking(_max_tokens(request, card, notes))
    if adaptive:
        return _adaptive(request, card, notes, effort)
    if not allowed:
        notes.dropped("thinking", "the turn that called a tool comes without its thinking")
        return Thinking(_max_tokens(request, card, notes))
    if budget is None:
        notes.emulated("thinking.effort", "the model takes a budget of tokens in its place")
    return _budgeted(request, card, notes, budget or usual_budget, explicit=budget is not None)


def _may_think(card: ModelCard) -> bool:
    return not card.known or Capability.CAPABILITY_THINKING in card.capabilities


def _adaptive(request: ChatRequest, card: ModelCard, notes: Adjustments, effort: str) -> Thinking:
    if request.thinking.HasField("budget_tokens"):
        notes.dropped("thinking.budget_tokens", "the model decides itself how long to think")
    config = {"type": "adaptive"}
    if request.thinking.include:
        config["display"] = "summarized"
    return Thinking(_max_tokens(request, card, notes), config, effort)


def _budgeted(
    request: ChatRequest, card: ModelCard, notes: Adjustments, wanted: int, *, explicit: bool
) -> Thinking:
    budget = max(wanted, MIN_BUDGET)
    max_tokens = _max_tokens(request, card, notes, above=budget)
    if max_tokens <= MIN_BUDGET:
        notes.dropped("thinking", f"it takes more than {MIN_BUDGET} max_output_tokens")
        return Thinking(max_tokens)
    if budget >= max_tokens:
        # Half for the answer: a budget that leaves it nothing buys an answer cut off at once.
        budget = max(MIN_BUDGET, max_tokens // 2)
    if explicit and budget != wanted:
        notes.clamped("thinking.budget_tokens", f"the budget is {budget} tokens")
    return Thinking(max_tokens, {"type": "enabled", "budget_tokens": budget})


def _max_tokens(
    request: ChatRequest, card: ModelCard, notes: Adjustments, *, above: int = 0
) -> int:
    most = card.max_output_tokens
    if not request.HasField("max_output_tokens"):
        return most or above + DEFAULT_MAX_TOKENS
    if most and request.max_output_tokens > most:
        notes.clamped("max_output_tokens", f"the model writes at most {most}")
        return most
    return request.max_output_tokens
