"""Bounded parallel work whose results keep their order."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
MAX_IN_FLIGHT = 8


async def in_order(
    work: Callable[[T], Awaitable[R]], items: Sequence[T], at_most: int = MAX_IN_FLIGHT
) -> list[R]:
    """The result of each item, in order; the first error cancels and awaits all the others."""
    if len(items) == 1:
        return [await work(items[0])]
    results: dict[int, R] = {}
    waiting = iter(enumerate(items))

    async def take_turns() -> None:
        for i, item in waiting:
            results[i] = await work(item)

    with first_error():
        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_most, len(items))):
                group.create_task(take_turns())
    return [results[i] for i in range(len(items))]


@contextmanager
def first_error() -> Iterator[None]:
    """Raise a task group's first error as itself: the others came of it, or too late."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
