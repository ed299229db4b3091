"""Sums of usage, and what of it can be believed."""

from turnout.v1.usage_pb2 import Usage

MOST_TOKENS = 1 << 24
"""No window and no answer is that long: a provider that counts more has miscounted (fault 50)."""


def is_plausible(usage: Usage) -> bool:
    """Whether a provider's counts can be booked."""
    return max(usage.input_tokens, usage.output_tokens) <= MOST_TOKENS


def add_usage(total: Usage, more: Usage) -> None:
    """Add `more` to `total` in place; a sum with an unknown cost has an unknown cost."""
    first = not total.ByteSize()
    known = more.HasField("cost_nano_usd") and (first or total.HasField("cost_nano_usd"))
    cost = total.cost_nano_usd + more.cost_nano_usd
    total.input_tokens += more.input_tokens
    total.output_tokens += more.output_tokens
    total.cache_read_input_tokens += more.cache_read_input_tokens
    total.cache_write_input_tokens += more.cache_write_input_tokens
    total.thinking_tokens += more.thinking_tokens
    total.estimated |= more.estimated
    if known:
        total.cost_nano_usd = cost
    else:
        total.ClearField("cost_nano_usd")
