"""Which conversation a request goes on with: for sending its turns to the same target."""

from collections.abc import Iterator

from turnout.v1.chat_service_pb2 import ChatRequest
from turnout.v1.content_pb2 import ROLE_ASSISTANT, ROLE_USER, Message

from turnout_server.core.target import Target
from turnout_server.policy.affinity import conversation_prefix, rank_by_affinity
from turnout_server.policy.routes import Alias, Strategy

_FREE = (Strategy.WEIGHTED, Strategy.LATENCY)
"""Strategies that would send two turns of one conversation to two places."""


def preferred_target(request: ChatRequest, tenant: str, alias: Alias) -> Target | None:
    """The target whose prompt cache may hold this conversation; None where it cannot matter."""
    if alias.strategy not in _FREE or len(alias.targets) < 2 or not _has_history(request):
        return None
    prefix = conversation_prefix(_beginning(request, tenant))
    return rank_by_affinity(prefix, alias.targets, weight=lambda t: max(t.weight, 1e-6))[0]


def _has_history(request: ChatRequest) -> bool:
    return any(
        message.role == ROLE_ASSISTANT
        or any(part.HasField("cache_breakpoint") for part in message.parts)
        for message in request.messages
    )


def _beginning(request: ChatRequest, tenant: str) -> Iterator[bytes]:
    """What every turn of a conversation repeats: up to its first user turn."""
    yield tenant.encode()
    for tool in request.tools:
        yield tool.SerializeToString(deterministic=True)
    for message in _up_to_first_user(request):
        yield message.SerializeToString(deterministic=True)


def _up_to_first_user(request: ChatRequest) -> Iterator[Message]:
    for message in request.messages:
        yield message
        if message.role == ROLE_USER:
            return
