"""OpenAI embeddings: deterministic vectors and the ways in which a list of them goes wrong."""

import base64
import math
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.fault.upstream.answer import Answer, Refusal, Reply, encode_json
from tests.fault.upstream.exchange import Exchange, script
from tests.fault.upstream.openai_script import OpenAIChat
from tests.fault.upstream.record import RecordedRequest, WireName
from tests.fault.upstream.script import Script

DEFAULT_DIMENSIONS = 8


@dataclass(frozen=True, slots=True)
class Item:
    """One vector of the answer and the input it claims to belong to."""

    index: int
    vector: tuple[float, ...]


class OpenAIEmbeddings:
    """The wire `openai_embeddings`; errors and nonsense are those of OpenAI's chat wire."""

    name: WireName = "openai_embeddings"

    def __init__(self) -> None:
        self._chat = OpenAIChat()

    def render(self, request: RecordedRequest, answer: Answer) -> Reply:
        """One vector per input; the answer gives the model's name and whether usage is told."""
        return _reply(request, _items(request), model=answer.model, has_usage=bool(answer.usages))

    def refusal_body(self, refusal: Refusal) -> bytes:
        """`{"error": {...}}`."""
        return self._chat.refusal_body(refusal)

    def error_event(self, refusal: Refusal) -> bytes:
        """Never used: this wire does not stream."""
        return self._chat.error_event(refusal)

    def ping(self) -> bytes:
        """White space, which JSON allows ahead of a body."""
        return b" "

    def odd_event(self, name: str) -> bytes:
        """Never used: this wire does not stream."""
        return self._chat.odd_event(name)

    def odd_body(self, name: str) -> bytes:
        """A list whose data is not what it should be."""
        return _ODD_BODIES.get(name) or self._chat.odd_body(name)


_ODD_BODIES = {
    "badjson": b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1',
    "nullchoices": b'{"object":"list","data":null,"model":"odd"}',
    "wrongtypes": b'{"object":"list","data":[{"index":"zero","embedding":{"x":"y"}}],"model":7}',
    "stringchoices": b'{"object":"list","data":"nope","model":"odd"}',
}


def vector(text: str, dimensions: int = DEFAULT_DIMENSIONS) -> tuple[float, ...]:
    """The unit vector that stands for `text`, exact in 32 bits."""
    source = random.Random(text)
    raw = [source.uniform(-1, 1) for _ in range(dimensions)]
    length = math.sqrt(sum(value * value for value in raw))
    packed = struct.pack(f"<{dimensions}f", *(value / length for value in raw))
    return struct.unpack(f"<{dimensions}f", packed)


@script("fewer")
async def fewer(exchange: Exchange) -> None:
    """The last vector is missing."""
    await _send(exchange, _items(exchange.request)[:-1])


@script("more")
async def more(exchange: Exchange) -> None:
    """One vector too many."""
    items = _items(exchange.request)
    await _send(exchange, [*items, Item(len(items), items[-1].vector)])


@script("reordered")
async def reordered(exchange: Exchange) -> None:
    """All vectors, rightly numbered, in reverse: legal, and a trap for those who trust order."""
    await _send(exchange, _items(exchange.request)[::-1])


@script("dupindex")
async def duplicate_index(exchange: Exchange) -> None:
    """As many vectors as inputs, all with index 0."""
    await _send(exchange, [Item(0, item.vector) for item in _items(exchange.request)])


@script("nan")
async def not_a_number(exchange: Exchange) -> None:
    """The last vector holds NaN."""
    *whole, last = _items(exchange.request)
    await _send(exchange, [*whole, Item(last.index, (math.nan, *last.vector[1:]))])


@script("wrongdim")
async def wrong_dimensions(exchange: Exchange) -> None:
    """The last vector is one value short."""
    *whole, last = _items(exchange.request)
    await _send(exchange, [*whole, Item(last.index, last.vector[:-1])])


def _items(request: RecordedRequest) -> list[Item]:
    inputs = request.body.get("input", [])
    texts = [inputs] if isinstance(inputs, str) else inputs
    dimensions = _dimensions(request.body, request.script)
    return [Item(index, vector(str(text), dimensions)) for index, text in enumerate(texts)]


def _dimensions(body: dict[str, Any], asked: Script) -> int:
    return int(body.get("dimensions") or asked.number("dim", DEFAULT_DIMENSIONS))


async def _send(exchange: Exchange, items: Sequence[Item]) -> None:
    request = exchange.request
    await exchange.send_reply(_reply(request, items, model=request.model, has_usage=True))


def _reply(
    request: RecordedRequest, items: Sequence[Item], *, model: str, has_usage: bool
) -> Reply:
    is_base64 = request.body.get("encoding_format") == "base64"
    data = [
        {
            "object": "embedding",
            "index": item.index,
            "embedding": _base64(item.vector) if is_base64 else list(item.vector),
        }
        for item in items
    ]
    body: dict[str, Any] = {"object": "list", "data": data, "model": model}
    if has_usage:
        body["usage"] = {"prompt_tokens": len(items), "total_tokens": len(items)}
    return Reply.unary(encode_json(body))


def _base64(values: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
