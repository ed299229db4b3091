"""Token counts of this wire as the contract means them: everything included, each token once."""

from turnout.v1.usage_pb2 import Usage

from turnout_server.providers.openai_chat.chunks import TokenCounts

_BYTES_PER_TOKEN = 4
_MOST_TOKENS = 10**12


def usage_of(counts: TokenCounts) -> Usage:
    """Counts as the provider gives them: prompt with cached tokens, completion with thinking."""
    prompt, completion = counts.prompt_tokens_details, counts.completion_tokens_details
    cached = (
        (prompt.cached_tokens if prompt else None)
        or counts.prompt_cache_hit_tokens
        or counts.cached_tokens
    )
    return Usage(
        input_tokens=_count(counts.prompt_tokens),
        output_tokens=_count(counts.completion_tokens),
        cache_read_input_tokens=_count(cached),
        cache_write_input_tokens=_count(prompt.cache_write_tokens if prompt else None),
        thinking_tokens=_count(completion.reasoning_tokens if completion else None),
    )


def estimated_usage(prompt_bytes: int, answer_bytes: int) -> Usage:
    """A guess for an answer that nobody counted, marked as one; what is not empty costs a token."""
    return Usage(
        input_tokens=-(-prompt_bytes // _BYTES_PER_TOKEN),
        output_tokens=-(-answer_bytes // _BYTES_PER_TOKEN),
        estimated=True,
    )


def _count(tokens: int | None) -> int:
    # An absurd count must not become an error of ours: the router compares it with what it
    # reserved.
    return min(max(tokens or 0, 0), _MOST_TOKENS)
