"""Statuses, odd events, tool calls and wrong vectors, in each wire's own words."""

import json
import math
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.fault.upstream import AFTER_FINISH, SCRIPTS, FaultServer, answer
from tests.fault.upstream.status_faults import REFUSALS
from tests.unit.fault_harness.conftest import CANARY
from tests.unit.fault_harness.raw_client import CHAT_WIRES, Received, ask

both_wires = pytest.mark.parametrize("wire", CHAT_WIRES)


@both_wires
@pytest.mark.parametrize("name", sorted(REFUSALS))
async def test_a_refusal_speaks_the_wires_dialect(
    server: FaultServer, wire: str, name: str
) -> None:
    received = await ask(server.port, wire, f"fault:{name}")
    error = received.json["error"]
    assert received.status == REFUSALS[name].status
    assert CANARY in error["message"]
    if wire == "openai_chat":
        assert (error["type"], error["code"]) == (
            REFUSALS[name].openai_type,
            REFUSALS[name].openai_code,
        )
    else:
        assert (received.json["type"], error["type"]) == ("error", REFUSALS[name].anthropic_type)


async def test_retry_after_comes_in_every_form(server: FaultServer) -> None:
    async def headers(options: str) -> dict[str, str]:
        return (await ask(server.port, "openai_chat", f"fault:429{options}")).headers

    assert "retry-after" not in await headers("")
    assert (await headers("~after_s=7"))["retry-after"] == "7"
    assert (await headers("~after_ms=1500"))["retry-after-ms"] == "1500"
    assert (await headers("~after_raw=-1"))["retry-after"] == "-1"
    date = (await headers("~after_date_s=7"))["retry-after"]
    assert parsedate_to_datetime(date).tzinfo is not None
    assert date.endswith("GMT")


async def test_a_redirect_points_to_the_other_origin(server: FaultServer) -> None:
    received = await ask(server.port, "openai_chat", "fault:redirect~to=http://127.0.0.1:9")
    assert received.status == 307
    assert received.headers["location"] == "http://127.0.0.1:9/v1/chat/completions"


@pytest.mark.parametrize(
    ("script", "status", "kind"),
    [
        ("html200", 200, "text/html"),
        ("html502", 502, "text/html"),
        ("json200", 200, "application/json"),
        ("empty200", 200, "text/event-stream"),
    ],
)
async def test_a_success_may_be_none(
    server: FaultServer, script: str, status: int, kind: str
) -> None:
    received = await ask(server.port, "openai_chat", f"fault:{script}")
    assert (received.status, received.headers["content-type"]) == (status, kind)
    assert (CANARY.encode() in received.body) == (script != "empty200")


async def test_flapping_repeats_its_sequence(server: FaultServer) -> None:
    async def sequence() -> list[int]:
        model = "fault:flap~ratio=50~seed=4"
        return [(await ask(server.port, "openai_chat", model)).status for _ in range(12)]

    first = await sequence()
    server.forget()
    assert await sequence() == first
    assert set(first) == {200, 500}


@both_wires
async def test_an_error_event_comes_after_the_frames_asked_for(
    server: FaultServer, wire: str
) -> None:
    received = await ask(server.port, wire, "fault:errevent~at=2~status=429")
    assert received.status == 200
    assert received.text() == "".join(answer(2))
    assert "Slow down" in received.events()[-1]["error"]["message"]


@both_wires
@pytest.mark.parametrize("at", [0, 3])
@pytest.mark.parametrize(
    "name",
    ["badjson", "nullchoices", "wrongtypes", "stringchoices", "nullevent", "numberevent"],
)
async def test_an_odd_event_stands_in_an_otherwise_good_stream(
    server: FaultServer, wire: str, name: str, at: int
) -> None:
    good = (await ask(server.port, wire, "fault:ok")).body
    odd = (await ask(server.port, wire, f"fault:{name}~at={at}")).body
    assert len(odd) > len(good)
    assert odd.endswith(good[-60:].split(b"data: ")[-1])
    unary = await ask(server.port, wire, f"fault:{name}", stream=False)
    assert unary.status == 200


@both_wires
async def test_unknown_events_leave_the_text_alone(server: FaultServer, wire: str) -> None:
    received = await ask(server.port, wire, "fault:unknownevent~at=3")
    assert b"novel" in received.body or b"hint_delta" in received.body
    assert await _text_without_unknown(received) == "".join(answer(12))


async def _text_without_unknown(received: Received) -> str:
    body = received.body.replace(b'data: {"object":"telemetry","ticks":3}\n\n', b"")
    return Received(received.head, body, received.end).text()


@both_wires
async def test_a_bad_byte_and_a_surrogate_reach_the_wire(server: FaultServer, wire: str) -> None:
    for stream in (True, False):
        bad = await ask(server.port, wire, "fault:badutf8~at=2", stream=stream)
        with pytest.raises(UnicodeDecodeError):
            bad.body.decode()
        lone = await ask(server.port, wire, "fault:surrogate~at=2", stream=stream)
        assert b"\\ud83d" in lone.body
        assert b"\\u0000" in lone.body


@both_wires
async def test_usage_is_missing_or_told_twice(server: FaultServer, wire: str) -> None:
    async def outputs(script: str) -> list[int]:
        options = {"stream_options": {"include_usage": True}}
        events = (await ask(server.port, wire, f"fault:{script}", **options)).events()
        usages = [
            event["usage"] for event in events if isinstance(event, dict) and "usage" in event
        ]
        return [
            next(usage[key] for key in usage if key.startswith(("completion", "output")))
            for usage in usages
        ]

    assert await outputs("nousage") == []
    assert await outputs("usagetwice~second=999999") == [12, 999999]


async def test_filters_and_refusals_use_the_wires_words(server: FaultServer) -> None:
    assert b'"content_filter"' in (await ask(server.port, "openai_chat", "fault:filtered")).body
    refusal = await ask(server.port, "openai_chat", "fault:refusal")
    assert (refusal.text(), b'"refusal":' in refusal.body) == ("", True)
    for name in ("filtered", "refusal"):
        received = await ask(server.port, "anthropic_messages", f"fault:{name}")
        assert received.events()[-2]["delta"]["stop_reason"] == "refusal"


@both_wires
async def test_late_text_follows_the_finish_reason(server: FaultServer, wire: str) -> None:
    received = await ask(server.port, wire, "fault:afterfinish")
    assert received.text() == "".join(answer(12)) + AFTER_FINISH


async def test_choices_take_turns(server: FaultServer) -> None:
    events = (await ask(server.port, "openai_chat", "fault:choices~tokens=2")).events()
    indexes = [event["choices"][0]["index"] for event in events[1:-1]]
    assert indexes == [0, 1, 0, 1, 0, 1]


@both_wires
async def test_another_requests_answer_names_another_model(server: FaultServer, wire: str) -> None:
    received = await ask(server.port, wire, "fault:wrongmodel", stream=False)
    assert received.json["model"] == "another-model"


async def _openai_tool_deltas(server: FaultServer, script: str) -> list[dict[str, Any]]:
    events = (await ask(server.port, "openai_chat", f"fault:{script}")).events()
    deltas = [event["choices"][0]["delta"] for event in events if event != "[DONE]"]
    return [call for delta in deltas for call in delta.get("tool_calls", [])]


async def test_openai_tool_calls_agree_or_contradict(server: FaultServer) -> None:
    parallel = await _openai_tool_deltas(server, "toolparallel")
    assert [call["index"] for call in parallel] == [0, 0, 0, 1, 1, 1]
    interleaved = await _openai_tool_deltas(server, "toolinterleaved")
    assert [call["index"] for call in interleaved] == [0, 1, 0, 1, 0, 1]
    arguments = "".join(call["function"]["arguments"] for call in interleaved if call["index"] == 1)
    assert json.loads(arguments) == {"city": "Köln 1"}
    assert len(await _openai_tool_deltas(server, "toolnoargs")) == 1
    same = await _openai_tool_deltas(server, "tooldupindex")
    assert [call.get("id") for call in same] == ["call_0a", None, "call_0b", None]
    assert {call["index"] for call in same} == {0}
    assert not any("index" in call for call in await _openai_tool_deltas(server, "toolnoindex"))
    changed = await _openai_tool_deltas(server, "toolidchange")
    assert [call.get("id") for call in changed] == ["call_0", None, "call_other"]


async def test_anthropic_tool_blocks_agree_or_contradict(server: FaultServer) -> None:
    async def blocks(script: str) -> list[tuple[str, int | None]]:
        events = (await ask(server.port, "anthropic_messages", f"fault:{script}")).events()
        return [
            (event["type"].removeprefix("content_block_"), event.get("index"))
            for event in events
            if event["type"].startswith("content_block_")
        ]

    assert await blocks("toolinterleaved") == [
        *[("start", 0), ("start", 1), ("delta", 0), ("delta", 1)],
        *[("delta", 0), ("delta", 1), ("stop", 0), ("stop", 1)],
    ]
    assert await blocks("toolcall~tokens=1") == [
        *[("start", 0), ("delta", 0), ("stop", 0)],
        *[("start", 1), ("delta", 1), ("delta", 1), ("stop", 1)],
    ]
    assert {index for _, index in await blocks("toolnoindex")} == {None}
    assert await blocks("toolnoargs") == [("start", 0), ("stop", 0)]


@both_wires
async def test_a_call_cut_by_the_limit_says_so(server: FaultServer, wire: str) -> None:
    received = await ask(server.port, wire, "fault:toolcut")
    assert b'"length"' in received.body or b'"max_tokens"' in received.body


async def _indexes(server: FaultServer, script: str) -> list[int]:
    received = await ask(server.port, "openai_embeddings", f"fault:{script}")
    return [item["index"] for item in received.json["data"]]


async def test_vectors_go_wrong_in_five_ways(server: FaultServer) -> None:
    assert await _indexes(server, "ok") == [0, 1, 2]
    assert await _indexes(server, "fewer") == [0, 1]
    assert await _indexes(server, "more") == [0, 1, 2, 3]
    assert await _indexes(server, "reordered") == [2, 1, 0]
    assert await _indexes(server, "dupindex") == [0, 0, 0]
    nan = await ask(server.port, "openai_embeddings", "fault:nan")
    assert math.isnan(nan.json["data"][2]["embedding"][0])
    short = await ask(server.port, "openai_embeddings", "fault:wrongdim")
    assert [len(item["embedding"]) for item in short.json["data"]] == [8, 8, 7]


@pytest.mark.parametrize("script", ["badjson", "nullchoices", "429", "rst", "html200", "nodone"])
async def test_embeddings_suffer_the_general_faults_too(server: FaultServer, script: str) -> None:
    await ask(server.port, "openai_embeddings", f"fault:{script}", within_s=0.3)
    assert server.requests[0].wire == "openai_embeddings"


def test_every_script_of_the_design_exists() -> None:
    design = """ok hang slowhdr bighdr garbage html200 json200 empty200 gzipbomb hangafterhdr
        pinghang trickle hangmid rst trunc nodone nodone_close truncmidevent badjson hugeline noeol
        badutf8 utf8split surrogate errevent errevent_named unknownevent nullchoices wrongtypes
        nousage usagetwice 529"""
    assert set(design.split()) <= SCRIPTS.keys()
