"""Prompt-cache affinity: turns of one conversation go to the same target while it is healthy.

Rendezvous hashing (Thaler and Ravishankar; weights by the exponential race): every instance gives
the same order from the conversation's beginning alone, without memory; when a target is out only
its own conversations move, and they return to it afterwards.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from math import log
from typing import TypeVar

T = TypeVar("T")


def conversation_prefix(parts: Iterable[bytes]) -> bytes:
    """Names a conversation by what each turn repeats: tenant, tools, system, first user turn.

    To end with the first user turn keeps the name stable as the conversation grows, and spreads
    conversations that share a system prompt. Parts are told apart, not just strung together.
    """
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def rank_by_affinity(
    prefix: bytes,
    targets: Sequence[T],
    name: Callable[[T], str] = str,
    weight: Callable[[T], float] = lambda _: 1.0,
) -> list[T]:
    """The targets in the order in which this conversation prefers them; weights are above 0."""

    def race(target: T) -> float:
        digest = blake2b(name(target).encode(), key=prefix, digest_size=8).digest()
        uniform = (int.from_bytes(digest, "big") + 0.5) / 2**64
        return -log(uniform) / weight(target)

    return sorted(targets, key=race)
