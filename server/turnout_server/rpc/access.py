"""What a caller may do: its own rules and its tenant's, the narrower of the two in each respect."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from turnout.v1.chat_service_pb2 import ChatRequest

from turnout_server.core.call import Identity, Priority
from turnout_server.core.errors import Violation

T = TypeVar("T")
ANY_TENANT = "*"
DEFAULT_TENANT = "default"
"""Names the rules of those tenants that have none of their own."""
_MULTIPLIERS = frozenset({"n", "bestof", "candidatecount"})


@dataclass(frozen=True, slots=True)
class Access:
    """What is allowed. None is no rule; `priority` is the highest that a call may have."""

    models: frozenset[str] | None = None
    methods: frozenset[str] | None = None
    max_output_tokens: int | None = None
    priority: Priority = Priority.INTERACTIVE


def narrowed(identity: Identity, access: Access) -> Identity:
    """The identity held to these rules as well; nothing becomes allowed by them."""
    return replace(
        identity,
        allowed_models=_both(identity.allowed_models, access.models),
        allowed_methods=_both(identity.allowed_methods, access.methods),
        max_output_tokens=min(
            (most for most in (identity.max_output_tokens, access.max_output_tokens) if most),
            default=None,
        ),
        priority=min(identity.priority, access.priority),
    )


def hold_to_ceiling(request: ChatRequest, most: int | None) -> list[Violation]:
    """Set the request's `max_output_tokens` where it has none; what asks for more is a violation.

    Parameters meant for one provider may not name the ceiling at all: they would override it.
    """
    if most is None:
        return []
    if not request.HasField("max_output_tokens"):
        request.max_output_tokens = most
    found = []
    if request.max_output_tokens > most:
        found.append(Violation("max_output_tokens", f"must be at most {most} for this caller"))
    for index, parameters in enumerate(request.provider_parameters):
        for name in _ceilings_in(parameters.json):
            message = f"'{name[:64]}' is limited for this caller; use max_output_tokens"
            found.append(Violation(f"provider_parameters[{index}].json", message))
    return found


def _ceilings_in(text: str) -> Iterator[str]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):  # told by the rules of the request
        return
    for name in _names(document):
        plain = name.replace("_", "").lower()
        if plain in _MULTIPLIERS or (plain.startswith("max") and plain.endswith("tokens")):
            yield name


def _names(document: Any) -> Iterator[str]:
    """Every name at any depth, for providers group their parameters."""
    unread = [document]
    while unread:
        value = unread.pop()
        if isinstance(value, dict):
            yield from value
            unread += value.values()
        elif isinstance(value, list):
            unread += value


def _both(one: frozenset[T] | None, other: frozenset[T] | None) -> frozenset[T] | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other
