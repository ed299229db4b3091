"""What the gateway does among its targets: circuits, fallbacks, recovery in mid stream, batches."""

import asyncio
import random

import grpc
import pytest
from turnout.v1 import embed_service_pb2 as embed_pb
from turnout.v1.content_pb2 import ROLE_USER, Media, Message, Part
from turnout.v1.embed_service_pb2_grpc import EmbedServiceStub
from turnout.v1.routing_pb2 import MidStreamPolicy

from tests.fault.conftest import Figures, OpenStage
from tests.fault.stage import CANARIES, DEFAULT_TEXT, PROMPT_CANARY, Stage
from tests.fault.upstream import answer, vector
from tests.rpc.serving import failed
from turnout_server.policy.breaker import CircuitState

_POLICY = MidStreamPolicy

# ---------------------------------------------------------------- circuits


@pytest.mark.row(55)
async def test_a_target_that_fails_half_of_its_calls_is_taken_out_and_stays_out(
    stage: Stage, wire: str
) -> None:
    is_closed: list[bool] = []
    for _ in range(80):
        told = await stage.ask(wire, "flap~ratio=60~seed=7", spare=True)
        assert told.text == DEFAULT_TEXT
        is_closed.append(stage.health(wire).state is CircuitState.CLOSED)
    assert is_closed == sorted(is_closed, reverse=True), "it opens once and stays open"
    assert not is_closed[-1]
    asked = len(stage.upstream.requests)
    await stage.ask(wire, "flap~ratio=60~seed=7", spare=True)
    assert len(stage.upstream.requests) == asked, "an open circuit is not asked"


@pytest.mark.row(56)
async def test_a_target_that_turned_slow_is_asked_less(set_stage: OpenStage) -> None:
    targets = ["openai/fault:ok", "anthropic/fault:ok", "spare/fault:ok"]
    stage = await set_stage(models={"fast": {"targets": targets, "strategy": "latency"}})
    stage.spare.rules["fault:ok"] = "ok~head_ms=60"
    for _ in range(10):
        await asyncio.gather(*(stage.ask("fast", "") for _ in range(6)))
    slow, fast = len(stage.spare.requests), len(stage.upstream.requests)
    assert slow < fast / 4, (slow, fast)


@pytest.mark.row(57)
async def test_when_every_circuit_is_open_callers_are_told_at_once_and_one_probe_goes(
    stage: Stage, wire: str
) -> None:
    for _ in range(5):
        await stage.ask(wire, "500", routing={"max_attempts": 1})
    assert stage.health(wire).state is not CircuitState.CLOSED
    asked = len(stage.upstream.requests)
    told = await asyncio.gather(*(stage.ask(wire, "500") for _ in range(30)))
    probes = len(stage.upstream.requests) - asked
    assert probes == 1, "the least bad target is still felt for, once a second"
    refused = [one for one in told if one.reason == "PROVIDER_CIRCUIT_OPEN"]
    assert len(refused) == 29
    for one in refused:
        assert one.code == "UNAVAILABLE"
        assert 20 < one.told_of.detail.retry_delay.ToTimedelta().total_seconds() <= 33
        assert one.told_of.pushback_ms > 0


@pytest.mark.row(57)
async def test_when_every_target_rests_callers_are_told_until_when(stage: Stage) -> None:
    stage.spare.rules["fault:ok"] = "429~after_s=20"
    for _ in range(2):
        told = await stage.ask("openai", "429~after_s=9", spare=True, timeout=5)
        assert told.outcome == ("RESOURCE_EXHAUSTED", "PROVIDER_RATE_LIMITED")
    assert stage.upstream_calls() == 2, "the second call asked nobody"


# ---------------------------------------------------------------- recovery in mid stream


async def cut_at_random_tokens(stage: Stage, wire: str, policy: int, times: int) -> list[str]:
    """The text that each of so many callers had in the end, or the prefix that it was left with."""
    source = random.Random(policy)
    texts = []
    for _ in range(times):
        script = f"cut~at={source.randint(1, 11)}~by={source.choice(('rst', 'close', 'clean'))}"
        # A model of its own for each call: one circuit would open after the fifth.
        told = await stage.ask(
            wire,
            f"{script}~seed={source.random()}",
            routing={"mid_stream_policy": policy, "fallback_models": ["anthropic/fault:ok"]},
        )
        if told.code != "OK":
            assert told.outcome == ("ABORTED", "STREAM_INTERRUPTED")
        texts.append(told.text)
    return texts


@pytest.mark.row(32, 33, 36)
async def test_under_restart_a_cut_stream_is_told_whole_in_a_new_generation(
    stage: Stage, wire: str, figures: Figures
) -> None:
    texts = await cut_at_random_tokens(stage, wire, _POLICY.MID_STREAM_POLICY_RESTART, 200)
    whole = sum(text == DEFAULT_TEXT for text in texts)
    figures.add(f"{wire}: 200 streams cut at a random token under RESTART, {whole} told whole")
    assert whole == 200


@pytest.mark.row(32, 33, 36)
async def test_under_continue_a_cut_stream_is_gone_on_with_where_it_stopped(
    stage: Stage, wire: str, figures: Figures
) -> None:
    texts = await cut_at_random_tokens(stage, wire, _POLICY.MID_STREAM_POLICY_CONTINUE, 200)
    whole = sum(text == DEFAULT_TEXT for text in texts)
    figures.add(f"{wire}: 200 streams cut at a random token under CONTINUE, {whole} told whole")
    assert whole == 200


@pytest.mark.row(32, 33, 36)
async def test_under_fail_a_cut_stream_leaves_a_clean_prefix(
    stage: Stage, wire: str, figures: Figures
) -> None:
    texts = await cut_at_random_tokens(stage, wire, _POLICY.MID_STREAM_POLICY_FAIL, 200)
    prefixes = {"".join(answer(count)) for count in range(1, 12)}
    clean = sum(text in prefixes for text in texts)
    figures.add(f"{wire}: 200 streams cut at a random token under FAIL, {clean} clean prefixes")
    assert clean == 200


# ---------------------------------------------------------------- bugs of ours


@pytest.mark.row(59)
async def test_a_bug_in_an_adapter_shows_nothing_but_that_it_is_ours(
    stage: Stage, wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = stage.gateway.snapshot().providers[wire]

    def broken(*_: object, **__: object) -> object:
        raise KeyError(f"{CANARIES} at /app/x.py")

    monkeypatch.setattr(type(client), "_encode", broken)
    told = await stage.ask(wire, spare=True)
    assert told.outcome == ("INTERNAL", "INTERNAL")
    assert told.told_of.message == "internal error"
    assert told.told_of.detail.request_id
    assert stage.health(wire).error_rate == 0.0
    monkeypatch.undo()
    stage.unsent_attempts += 1
    assert (await stage.ask(wire)).text == DEFAULT_TEXT


# ---------------------------------------------------------------- translation


@pytest.mark.row(58)
async def test_a_fallback_is_given_the_callers_request_and_not_the_last_translation(
    stage: Stage, wire: str
) -> None:
    """What the second target receives is to the byte what it would have received as the first."""
    other = "anthropic" if wire == "openai" else "openai"
    fields = {
        "messages": [
            Message(role=ROLE_USER, text="Look."),
            Message(
                role=ROLE_USER,
                parts=[
                    Part(text="This:"),
                    Part(media=Media(data=b"\x89PNG", mime_type="image/png")),
                ],
            ),
        ],
        "temperature": 0.5,
        "stop_sequences": ["END"],
        "max_output_tokens": 64,
    }
    alone = await stage.ask(other, **fields)
    routing = {"fallback_models": [f"{other}/fault:ok"]}
    after = await stage.ask(wire, "529", routing=routing, **fields)
    assert alone.text == after.text
    first, *_, last = stage.upstream.requests
    assert (first.raw.body, first.raw.path) == (last.raw.body, last.raw.path)


# ---------------------------------------------------------------- embeddings

TEXTS = [f"text {number} of {PROMPT_CANARY}" for number in range(3)]


async def embed(stage: Stage, script: str, texts: list[str] = TEXTS) -> list[tuple[float, ...]]:
    """The vectors of a batch; raises AioRpcError."""
    request = embed_pb.EmbedRequest(model=f"openai/fault:{script}", texts=texts)
    number = stage.calls.begin()
    try:
        reply = await EmbedServiceStub(stage.channel).Embed(request, timeout=20)
    except grpc.aio.AioRpcError as error:
        told = failed(error)
        stage.calls.end(number, told.code.name, f"{told.message} {told.trailers} {told.detail}")
        raise
    stage.calls.end(number, "OK")
    return [tuple(embedding.values) for embedding in reply.embeddings]


@pytest.mark.row(60)
@pytest.mark.parametrize(
    "script",
    ["fewer", "more", "dupindex", "nan", "wrongdim", "badjson", "nullchoices", "wrongtypes"],
)
async def test_a_batch_with_a_wrong_vector_fails_whole(stage: Stage, script: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await embed(stage, script)
    told = failed(caught.value)
    assert (told.code.name, told.reason) == ("UNAVAILABLE", "PROVIDER_ERROR")
    assert stage.health("openai").error_rate == 1.0


@pytest.mark.row(60)
async def test_vectors_are_put_in_order_by_their_index(stage: Stage) -> None:
    assert await embed(stage, "reordered") == [vector(text) for text in TEXTS]
    assert await embed(stage, "ok") == [vector(text) for text in TEXTS]
