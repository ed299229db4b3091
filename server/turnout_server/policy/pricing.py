"""What usage costs. Integers only; an unknown price gives None, which is never 0."""

from turnout.v1.usage_pb2 import Usage

from turnout_server.core.target import Price

_MICRO_PER_MILLION_TO_NANO = 1000


def cost_nano_usd(price: Price | None, usage: Usage) -> int | None:
    """Price of `usage` in nano US dollars: every token once, cached ones at their own price."""
    if price is None:
        return None
    cached, written = usage.cache_read_input_tokens, usage.cache_write_input_tokens
    plain = max(0, usage.input_tokens - cached - written)
    read_price = price.input if price.cache_read is None else price.cache_read
    write_price = price.input if price.cache_write is None else price.cache_write
    total = (
        plain * price.input
        + cached * read_price
        + written * write_price
        + usage.output_tokens * price.output
    )
    return total // _MICRO_PER_MILLION_TO_NANO
