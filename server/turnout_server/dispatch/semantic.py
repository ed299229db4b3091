"""Answers to questions that are alike: kept under what the caller asked, found by a vector of it.

An alias opts in, and only its calls that use the cache at all are served so. What the vector costs
is the call's own use; a vector that cannot be had in time is a miss.
"""

import asyncio
from collections.abc import Awaitable, Callable

from turnout.v1.chat_service_pb2 import ChatRequest

from turnout_server.core.cache_key import CacheKey
from turnout_server.core.call import Method
from turnout_server.core.errors import GatewayError
from turnout_server.core.target import Target
from turnout_server.core.usage import add_usage
from turnout_server.core.watch import Watch
from turnout_server.policy.cache_key import question_of, scope_key
from turnout_server.policy.routes import Semantic
from turnout_server.store.semantic_index import SemanticIndex

WITHIN_S = 1.0
"""What a vector may take: the caller waits for it before its question goes anywhere."""
MakeVector = Callable[[str, str, Watch], Awaitable[tuple[str, bytes]]]
"""Of an alias and a text: the name of the model that embedded it, and the packed vector."""


class SemanticCaching:
    """The index of questions, and who makes their vectors. One for the process.

    `hits` counts the answers that were given to another question than they were made for.
    """

    def __init__(self, index: SemanticIndex, make_vector: MakeVector) -> None:
        self.index = index
        self.make_vector = make_vector
        self.hits = 0

    def likeness(self, rule: Semantic, request: ChatRequest, tenant: str) -> "Likeness | None":
        """What finds the questions like a request's; None where likeness will not do."""
        question = question_of(request, tools=rule.tools, structured=rule.structured)
        return None if question is None else Likeness(self, rule, request, tenant, question)


class Likeness:
    """The questions that are like one call's."""

    def __init__(
        self,
        caching: SemanticCaching,
        rule: Semantic,
        request: ChatRequest,
        tenant: str,
        question: str,
    ) -> None:
        self._caching = caching
        self._rule = rule
        self._request = request
        self._tenant = tenant
        self._question = question
        self._vector: tuple[str, bytes] | None = None

    async def find(self, target: Target, watch: Watch) -> CacheKey | None:
        """The key of the answer that `target` gave to the most like of the questions, if any."""
        made = await self._made(watch)
        if made is None:
            return None
        model, vector = made
        scope = self._scope(target, model)
        return await self._caching.index.nearest(scope, vector, self._rule.threshold)

    async def add(self, target: Target, answer: CacheKey, watch: Watch) -> None:
        """Let later questions find the answer that `target` gave to this one."""
        made = await self._made(watch)
        if made is not None:
            model, vector = made
            await self._caching.index.add(self._scope(target, model), vector, answer)

    def count_hit(self) -> None:
        """Note that the call was served by what `find` found."""
        self._caching.hits += 1

    async def _made(self, watch: Watch) -> tuple[str, bytes] | None:
        """The question's vector and the model that made it: two models' cannot be compared."""
        if self._vector is None:
            own = watch.aside(watch.call.deadline, method=Method.EMBED, model=self._rule.model)
            try:
                async with asyncio.timeout(WITHIN_S):
                    make = self._caching.make_vector
                    self._vector = await make(self._rule.model, self._question, own)
            except (GatewayError, TimeoutError):
                return None
            finally:
                if own.usage.ByteSize():
                    add_usage(watch.usage, own.usage)
        return self._vector

    def _scope(self, target: Target, model: str) -> CacheKey:
        return scope_key(self._request, self._tenant, target, model)
