"""Every case of every wire, over real HTTP, for every catalogue row that it holds for.

Whole for each row, and under hostile cuts of the stream for the row that stands for its wire.
"""

import json
import struct
from collections.abc import AsyncIterator
from itertools import product

import pytest
import pytest_asyncio
from turnout.testing.v1 import case_pb2 as pb
from turnout.v1.chat_service_pb2 import ChatResponse
from turnout.v1.embed_service_pb2 import EmbedResponse
from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.model_service_pb2 import Capability

from tests.conformance.case_files import FiledCase, load_cases
from tests.conformance.comparison import differences, event_differences, joined
from tests.conformance.scripted_upstream import Cutting, Received, ScriptedUpstream
from turnout_server.core.failure import ProviderFailure
from turnout_server.core.target import Attempt, Endpoint, Key, ModelCard, Secret, Target
from turnout_server.policy.needs import needs_of_chat
from turnout_server.providers import catalogue
from turnout_server.providers.catalogue import Row
from turnout_server.providers.provider import EmbedShard, Provider
from turnout_server.providers.registry import make_client

REFERENCE = {"openai_chat": "openai_compatible", "anthropic_messages": "anthropic"}
CUTTINGS = [
    Cutting("bytes", size=1),
    Cutting("random-1", seed=1),
    Cutting("random-2", seed=2),
    Cutting("random-3", seed=3),
    Cutting("crlf", line_end=b"\r\n"),
    Cutting("crlf-bytes", size=1, line_end=b"\r\n"),
    Cutting("cr-bytes", size=1, line_end=b"\r"),
]
ROWS = catalogue.load().rows
CASES = load_cases()


def _pairs() -> list[tuple[FiledCase, Row]]:
    return [
        (filed, row)
        for filed, row in product(CASES, ROWS.values())
        if row.wire == filed.case.wire and filed.row in {"", row.name} and _serves(row, filed.case)
    ]


def _serves(row: Row, case: pb.Case) -> bool:
    method = (
        Capability.CAPABILITY_EMBEDDINGS if case.HasField("embed") else Capability.CAPABILITY_CHAT
    )
    return method in row.capabilities


def _streams() -> list[tuple[FiledCase, Cutting]]:
    streamed = [
        filed
        for filed in CASES
        if filed.case.HasField("chat")
        and not filed.unary
        and any(exchange.status == 200 and exchange.body for exchange in filed.case.upstream)
    ]
    return list(product(streamed, CUTTINGS))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    server = ScriptedUpstream()
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def clients(upstream: ScriptedUpstream) -> AsyncIterator["Clients"]:
    made = Clients(upstream)
    yield made
    await made.aclose()


class Clients:
    """One client a row, kept over the cases as a server would keep it."""

    def __init__(self, upstream: ScriptedUpstream) -> None:
        self._address = f"http://127.0.0.1:{upstream.port}"
        self._clients: dict[str, Provider] = {}

    def of(self, row: Row) -> tuple[Provider, Attempt]:
        """The client of a row, and an attempt at it."""
        key = Key("test", Secret("key-of-the-test"))
        endpoint = Endpoint(
            row.name,
            row.name,
            row.wire,
            self._address + ("/v1" if row.wire == "openai_chat" else ""),
            keys=(key,),
            headers=row.headers,
            options=row.options,
        )
        if row.name not in self._clients:
            self._clients[row.name] = make_client(endpoint)
        target = Target(endpoint, ModelCard("a-model", row.capabilities))
        return self._clients[row.name], Attempt(1, target, key, first_output_s=5, stall_s=5)

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()


@pytest.mark.parametrize(
    ("filed", "row"), [pytest.param(f, r, id=f"{f.id}-{r.name}") for f, r in _pairs()]
)
async def test_row_keeps_the_case(
    filed: FiledCase, row: Row, upstream: ScriptedUpstream, clients: Clients
) -> None:
    missing = [need for need in filed.case.needs if need not in row.capabilities]
    if missing:
        # The router asks no row for what it does not claim: the request must show what it needs.
        needed = needs_of_chat(filed.case.chat, streamed=not filed.unary).fields
        assert set(missing) <= needed.keys()
        return
    await _check(filed, row, Cutting(), upstream, clients)


@pytest.mark.parametrize(
    ("filed", "cutting"), [pytest.param(f, c, id=f"{f.id}-{c.name}") for f, c in _streams()]
)
async def test_cuts_of_the_stream_change_nothing(
    filed: FiledCase, cutting: Cutting, upstream: ScriptedUpstream, clients: Clients
) -> None:
    row = ROWS[filed.row or REFERENCE[filed.case.wire]]
    await _check(filed, row, cutting, upstream, clients)


async def _check(
    filed: FiledCase, row: Row, cutting: Cutting, upstream: ScriptedUpstream, clients: Clients
) -> None:
    case = filed.case
    upstream.play(case.upstream, cutting)
    provider, attempt = clients.of(row)
    before = case.SerializeToString(deterministic=True)
    events: list[ChatResponse] = []
    failure: ProviderFailure | None = None
    embeddings = EmbedResponse()
    try:
        if case.HasField("embed"):
            embeddings = await _embed(case, provider, attempt)
        elif filed.unary:
            events.append(await provider.complete(case.chat, attempt))
        else:
            async for event in provider.chat(case.chat, attempt):
                events += [event] if isinstance(event, ChatResponse) else []
    except ProviderFailure as caught:
        failure = caught
    assert case.SerializeToString(deterministic=True) == before, "the request was changed"
    _check_failure(case, failure)
    assert event_differences(case.want_events, joined(events)) == []
    assert differences(case.want_embeddings, embeddings) == []
    _check_requests(filed, row, upstream.received)


async def _embed(case: pb.Case, provider: Provider, attempt: Attempt) -> EmbedResponse:
    asked = case.embed
    shard = EmbedShard(list(asked.texts), asked.dimensions, asked.input_type)
    vectors = await provider.embed(shard, attempt)
    response = EmbedResponse(dimensions=vectors.dimensions, usage=vectors.usage)
    for packed in vectors.packed:
        response.embeddings.add(values=struct.unpack(f"<{len(packed) // 4}f", packed))
    return response


def _check_failure(case: pb.Case, failure: ProviderFailure | None) -> None:
    if not case.HasField("want_failure"):
        assert failure is None, f"failed: {failure}"
        return
    assert failure is not None, "did not fail"
    want = case.want_failure
    reason = ErrorReason.Name
    assert reason(failure.rule.reason) == reason(want.reason), str(failure)
    assert failure.http_status == want.http_status or not want.http_status
    if want.HasField("retry_after"):
        assert failure.retry_after_s == pytest.approx(want.retry_after.ToMilliseconds() / 1000)
    assert len(failure.detail.encode()) <= 160
    assert "CANARY" not in str(failure)


def _check_requests(filed: FiledCase, row: Row, received: list[Received]) -> None:
    """What was sent, for the row whose ways the case is written in."""
    assert len(received) == len(filed.case.upstream)
    if row.name != (filed.row or REFERENCE[row.wire]):
        return
    for exchange, request in zip(filed.case.upstream, received, strict=True):
        want = exchange.want_request
        assert request.headers["accept-encoding"] == "identity"
        assert not want.path or request.path == want.path
        for header in want.headers:
            assert request.headers.get(header.name.lower()) == header.value
        if want.body_json:
            assert json.loads(request.body) == json.loads(want.body_json)
        for path in want.absent_keys:
            assert not _has(json.loads(request.body), path.split("."))


def _has(value: object, path: list[str]) -> bool:
    if not path:
        return True
    if isinstance(value, list):
        return (
            path[0].isdigit() and int(path[0]) < len(value) and _has(value[int(path[0])], path[1:])
        )
    return isinstance(value, dict) and path[0] in value and _has(value[path[0]], path[1:])
