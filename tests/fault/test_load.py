"""More than there is room for: bursts, overload, amplification, and the long run."""

import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from turnout.v1 import embed_service_pb2 as embed_pb
from turnout.v1.chat_service_pb2_grpc import ChatServiceStub
from turnout.v1.embed_service_pb2_grpc import EmbedServiceStub
from turnout.v1.routing_pb2 import CacheMode, CacheOptions

from tests.fault.conftest import Figures, OpenStage
from tests.fault.invariants import MIB
from tests.fault.soak import report, soak
from tests.fault.stage import DEFAULT_TEXT, Stage
from tests.fault.upstream import TcpProxy
from tests.rpc import tenants
from tests.rpc.serving import failed
from turnout_server.policy.breaker import Breaker, BreakerSettings, CircuitState

ROOT = Path(__file__).parents[2]
BATCH = (("x-priority", "batch"),)


async def burst(stage: Stage, model: str, count: int) -> dict[str, list[float]]:
    """So many streams at once from another process: seconds that each took, by status."""
    caller = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fault.burst", str(stage.gateway.port), model, str(count)),
        cwd=ROOT,
        env={"PYTHONPATH": "generated/python"},
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await caller.communicate()
    took_s: dict[str, list[float]] = json.loads(told)
    return took_s


def p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * (len(values) - 1))]


@pytest.mark.row(88, 118)
async def test_of_2000_streams_at_once_200_are_served_and_the_rest_told_so(
    set_stage: OpenStage, figures: Figures
) -> None:
    stage = await set_stage(server={"max_in_flight": 200})
    stage.max_rss_growth_bytes = 160 * MIB
    model = "openai/fault:ok~tokens=4~gap_ms=1500"
    alone = await burst(stage, model, 200)
    assert {*alone} == {"OK"}
    took_s = await burst(stage, model, 2_000)
    assert {*took_s} == {"OK", "UNAVAILABLE"}, "and not one bare CANCELLED"
    admitted, refused = took_s["OK"], took_s["UNAVAILABLE"]
    figures.add(
        f"2,000 streams at once, limit 200: {len(admitted)} admitted, {len(refused)} refused, "
        f"0 bare CANCELLED; p99 of the admitted {p99(admitted):.2f} s, of 200 alone "
        f"{p99(alone['OK']):.2f} s; median of a refusal {statistics.median(refused):.2f} s"
    )
    assert len(admitted) >= 200
    assert stage.gateway.in_flight() == 0


@pytest.mark.row(118)
async def test_beyond_the_limit_callers_are_refused_at_once_with_a_pushback(
    set_stage: OpenStage, wire: str
) -> None:
    stage = await set_stage(server={"max_in_flight": 10})
    hung = [stage.chat.Chat(stage.request(wire, "hangmid")) for _ in range(10)]
    await asyncio.gather(*(call.read() for call in hung))
    told = await asyncio.gather(*(stage.ask(wire) for _ in range(50)))
    assert {one.outcome for one in told} == {("UNAVAILABLE", "OVERLOADED")}
    assert all(one.told_of.pushback_ms > 0 for one in told)
    assert len(stage.upstream.requests) == 10
    for call in hung:
        call.cancel()


KEPT = CacheOptions(mode=CacheMode.CACHE_MODE_READ_WRITE)


@pytest.mark.row(119)
async def test_a_herd_on_one_question_asks_upstream_once(
    stage: Stage, wire: str, figures: Figures
) -> None:
    script = "ok~first_ms=150"
    told = await asyncio.gather(*(stage.ask(wire, script, cache=KEPT) for _ in range(100)))
    assert {one.text for one in told} == {DEFAULT_TEXT}
    figures.add(f"{wire}: 100 equal calls at once, {len(stage.upstream.requests)} upstream call")
    assert len(stage.upstream.requests) == 1
    assert (await stage.ask(wire, script, cache=KEPT)).text == DEFAULT_TEXT
    assert len(stage.upstream.requests) == 1, "and from then on it is known"


@pytest.mark.row(119)
async def test_a_leader_who_leaves_takes_nobody_along(stage: Stage, wire: str) -> None:
    script = "ok~first_ms=150"
    leader = asyncio.ensure_future(stage.ask(wire, script, cache=KEPT))
    await stage.upstream.wait_for_requests(1)
    others = [asyncio.ensure_future(stage.ask(wire, script, cache=KEPT)) for _ in range(20)]
    await asyncio.sleep(0.05)
    leader.cancel()
    assert {(await other).text for other in others} == {DEFAULT_TEXT}
    assert len(stage.upstream.requests) <= 2


@pytest.mark.row(119)
async def test_a_failure_is_shared_by_those_who_wait_for_it(stage: Stage, wire: str) -> None:
    script, once = "500~head_ms=150", {"max_attempts": 1}
    told = await asyncio.gather(
        *(stage.ask(wire, script, cache=KEPT, routing=once) for _ in range(50))
    )
    assert {one.outcome for one in told} == {("UNAVAILABLE", "PROVIDER_ERROR")}
    assert len(stage.upstream.requests) <= 2


@pytest.mark.row(35, 119)
async def test_a_broken_answer_is_kept_for_nobody(stage: Stage, wire: str) -> None:
    for number in range(2):
        told = await stage.ask(wire, "nodone~at=5", cache=KEPT)
        assert told.outcome == ("ABORTED", "STREAM_INTERRUPTED")
        assert len(stage.upstream.requests) == number + 1


@pytest.mark.row(73)
async def test_a_tenant_over_its_limit_is_told_when_and_others_are_not_touched(
    set_stage: OpenStage, tmp_path: Path, wire: str
) -> None:
    auth = yaml.safe_load(tenants.auth(tmp_path))
    stage = await set_stage(
        sections={**auth, "limits": {"tenants": {"busy": {"rpm": 5}}}},
        environ={"PEPPER": tenants.PEPPER},
        metadata=tenants.tenant("quiet"),
    )
    busy = tenants.tenant("busy")
    told = await asyncio.gather(*(stage.ask(wire, metadata=busy) for _ in range(40)))
    refused = [one for one in told if one.code != "OK"]
    assert len(told) - len(refused) == 5
    for one in refused:
        assert one.outcome == ("RESOURCE_EXHAUSTED", "RATE_LIMITED")
        assert one.told_of.pushback_ms > 0
        assert one.told_of.detail.retry_delay.ToNanoseconds() > 0
    assert len(stage.upstream.requests) == 5
    others = await asyncio.gather(*(stage.ask(wire) for _ in range(20)))
    assert {one.code for one in others} == {"OK"}


@pytest.mark.row(121)
async def test_no_expired_work_reaches_an_upstream_under_overload(
    set_stage: OpenStage, wire: str
) -> None:
    """There is no queue in which work could grow old: what cannot begin now is refused."""
    stage = await set_stage(server={"max_in_flight": 20})
    deadlines: dict[str, float] = {}

    async def call(number: int) -> str:
        await asyncio.sleep(number * 0.005)
        script = f"ok~head_ms=150~seed={number}"
        deadlines[script] = time.monotonic() + 0.3
        told = await stage.ask(wire, script, timeout=0.3)
        return told.reason if told.code == "UNAVAILABLE" else told.code

    told = await asyncio.gather(*map(call, range(200)))
    assert {"OVERLOADED"} <= {*told} <= {"OK", "OVERLOADED", "DEADLINE_EXCEEDED"}
    for request in stage.upstream.requests:
        assert request.received_at_s < deadlines[str(request.script)]


async def hold(stage: Stage, wire: str, metadata: Any) -> Any:
    """A stream that has begun and goes on for ever, or None when there was no place for it."""
    call = stage.chat.Chat(stage.request(wire, "hangmid"), metadata=metadata)
    try:
        await call.read()
    except grpc.aio.AioRpcError as error:
        reason = failed(error).reason
    else:
        return call
    assert reason == "OVERLOADED"
    return None


@pytest.mark.row(122)
async def test_batch_calls_leave_room_for_interactive_ones(set_stage: OpenStage, wire: str) -> None:
    stage = await set_stage(server={"max_in_flight": 20})
    batch = [call for call in [await hold(stage, wire, BATCH) for _ in range(30)] if call]
    assert len(batch) == 18, "nine tenths of the places"
    interactive = [call for call in [await hold(stage, wire, ()) for _ in range(4)] if call]
    assert len(interactive) == 2
    for call in (*batch, *interactive):
        call.cancel()


@pytest.mark.row(124)
async def test_a_batch_of_a_hundred_thousand_texts_is_refused_unspent(stage: Stage) -> None:
    stage.max_rss_growth_bytes = 64 * MIB
    for texts in (["x"] * 2_049, [f"text {n}, and a few words more of it" for n in range(100_000)]):
        request = embed_pb.EmbedRequest(model="openai/fault:ok", texts=texts)
        number = stage.calls.begin()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await EmbedServiceStub(stage.channel).Embed(request, timeout=20)
        told = failed(caught.value)
        stage.calls.end(number, told.code.name, f"{told}")
        assert (told.code.name, told.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
    assert stage.upstream_calls() == 0


@pytest.mark.row(125)
async def test_a_hundred_calls_at_half_open_send_one_probe(
    set_stage: OpenStage, wire: str, monkeypatch: pytest.MonkeyPatch, figures: Figures
) -> None:
    settings = BreakerSettings(open_s=0.3, forced_gap_s=60.0)
    monkeypatch.setattr(Breaker.__init__, "__defaults__", (settings,))
    stage = await set_stage()
    for _ in range(5):
        await stage.ask(wire, "500", routing={"max_attempts": 1})
    await asyncio.sleep(0.35)
    asked = len(stage.upstream.requests)
    stage.upstream.rules["fault:500"] = "ok~head_ms=300"
    once = {"max_attempts": 1}
    told = await asyncio.gather(*(stage.ask(wire, "500", routing=once) for _ in range(100)))
    probes = len(stage.upstream.requests) - asked
    figures.add(f"{wire}: 100 calls at half-open, {probes} probe")
    assert probes == 1
    assert sorted({one.reason for one in told}) == ["", "PROVIDER_CIRCUIT_OPEN"]
    assert sum(one.code == "OK" for one in told) == 1
    assert (await stage.ask(wire, "500")).text == DEFAULT_TEXT, "the probe has closed the circuit"
    assert stage.health(wire).state is CircuitState.CLOSED


@pytest.mark.row(126)
async def test_fifty_callers_who_lose_their_connections_all_come_back(
    stage: Stage, wire: str
) -> None:
    own = [("grpc.use_local_subchannel_pool", 1)]
    async with TcpProxy(stage.gateway.port) as network:
        target = f"127.0.0.1:{network.port}"
        channels = [grpc.aio.insecure_channel(target, own) for _ in range(50)]
        stubs = [ChatServiceStub(channel) for channel in channels]
        for connections in (50, 100):
            calls = [stub.Chat(stage.request(wire), wait_for_ready=True) for stub in stubs]
            assert {await text_of(call) for call in calls} == {DEFAULT_TEXT}
            assert network.counts.connections == connections
            network.reset_all()
            await asyncio.sleep(0.1)
        await asyncio.gather(*(channel.close() for channel in channels))


async def text_of(call: Any) -> str:
    """The whole text of a stream."""
    return "".join([event.text_delta async for event in call])


@pytest.mark.row(114, 128)
async def test_faults_of_every_kind_leave_nothing_behind(stage: Stage, figures: Figures) -> None:
    """The five minutes of it are `python -m tests.fault.soak`."""
    stage.max_rss_growth_bytes = 96 * MIB
    result = await soak(stage, 10.0, every_s=1.0)
    figures.add("soak of 10 s: " + report(result).replace("\n", "; "))
    assert result.calls > 500
    assert result.samples[-1].tasks <= result.samples[0].tasks + 2
    assert result.samples[-1].descriptors <= result.samples[0].descriptors + 4
