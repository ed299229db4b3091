"""The name of a kept answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CacheKey:
    """`digest` alone tells answers apart; the names beside it let a whole group be dropped.

    `model` is the name that was requested, be it an alias or `provider/model`.
    """

    tenant: str
    namespace: str
    model: str
    digest: bytes
