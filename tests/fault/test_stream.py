"""An answer has begun well and goes wrong: before its first output, or after some of it."""

import asyncio
import json
import random

import pytest
from turnout.v1.chat_service_pb2 import FinishReason

from tests.fault.conftest import OpenStage
from tests.fault.invariants import MIB
from tests.fault.stage import DEFAULT_TEXT, Stage, Told
from tests.fault.upstream import AFTER_FINISH, INPUT_TOKENS, POISON, answer

BREAKS = ("rst", "trunc", "truncmidevent", "nodone", "nodone_close", "cut~by=close")
"""Ways in which an answer stops without its terminal event."""

NONSENSE = (
    "badjson",
    "nullchoices",
    "wrongtypes",
    "stringchoices",
    "nullevent",
    "numberevent",
    "errevent",
    "errevent_named",
    "badutf8",
)
"""Events that no client should have to read."""


def with_at(script: str, at: int) -> str:
    return f"{script}~at={at}"


def assert_interrupted(told: Told, *, at: int = 3) -> None:
    """The caller has a clean prefix, knows that it is one, and what it cost."""
    assert told.outcome == ("ABORTED", "STREAM_INTERRUPTED")
    assert told.text == "".join(answer(at))
    failure = told.told_of
    assert failure.pushback_ms == -1
    assert failure.detail.output_started
    assert not failure.detail.retryable
    assert failure.detail.usage.input_tokens > 0
    assert failure.detail.usage.output_tokens > 0


# ---------------------------------------------------------------- silence


@pytest.mark.row(29)
async def test_a_head_and_then_silence_is_left_for_another(stage: Stage, wire: str) -> None:
    told = await stage.ask(wire, "hangafterhdr", spare=True, first_output_s=0.2)
    assert (told.text, told.took_s < 0.8) == (DEFAULT_TEXT, True)
    assert stage.health(wire).error_rate == 1.0


@pytest.mark.row(30)
async def test_pings_are_no_output(stage: Stage, wire: str) -> None:
    told = await stage.ask(wire, "pinghang~every_ms=20", spare=True, first_output_s=0.2)
    assert (told.text, told.took_s < 0.8) == (DEFAULT_TEXT, True)
    midway = await stage.ask(wire, "pinghang~every_ms=20~at=3", spare=True, stall_s=0.2)
    assert_interrupted(midway)
    assert midway.took_s < 0.8


@pytest.mark.row(31)
async def test_bytes_that_trickle_do_not_feed_the_stall_timer(stage: Stage, wire: str) -> None:
    """At 20 ms a byte a whole event takes seconds."""
    told = await stage.ask(wire, "trickle~every_ms=20", spare=True, first_output_s=0.4, stall_s=0.3)
    assert told.text == DEFAULT_TEXT
    assert told.finish.route.provider == "spare"


@pytest.mark.row(31)
async def test_an_answer_that_never_ends_meets_the_total_timer(
    set_stage: OpenStage, wire: str
) -> None:
    stage = await set_stage(timeouts={"total": "500ms"})
    told = await stage.ask(wire, "ok~tokens=4000~gap_ms=20")
    assert told.outcome == ("ABORTED", "STREAM_INTERRUPTED")
    assert "".join(answer(4000)).startswith(told.text)
    assert 0.4 < told.took_s < 1.5


@pytest.mark.row(32)
async def test_silence_in_mid_stream_interrupts_and_never_falls_back(
    stage: Stage, wire: str
) -> None:
    told = await stage.ask(wire, "hangmid", spare=True, stall_s=0.2)
    assert_interrupted(told)
    assert told.took_s < 0.8
    assert stage.spare.requests == []
    await stage.upstream.wait_until_idle()
    assert stage.upstream.requests[0].outcome == "client_gone"
    assert stage.health(wire).error_rate == 1.0


# ---------------------------------------------------------------- broken off


@pytest.mark.row(33, 34, 35, 36)
@pytest.mark.parametrize("script", BREAKS)
async def test_an_answer_broken_off_after_output_is_interrupted(
    stage: Stage, wire: str, script: str
) -> None:
    told = await stage.ask(wire, with_at(script, 3), spare=True)
    assert_interrupted(told)
    assert stage.spare.requests == []
    assert stage.health(wire).error_rate == 1.0


@pytest.mark.row(33, 34, 35, 36)
@pytest.mark.parametrize("script", BREAKS)
async def test_an_answer_broken_off_before_output_is_replaced(
    stage: Stage, wire: str, script: str
) -> None:
    told = await stage.ask(wire, with_at(script, 0), spare=True)
    assert (told.text, told.finish.route.provider) == (DEFAULT_TEXT, "spare")
    alone = await stage.ask(wire, with_at(script, 0))
    assert alone.outcome == ("UNAVAILABLE", "PROVIDER_ERROR")


@pytest.mark.row(33, 34)
@pytest.mark.parametrize("script", ["rst", "trunc", "cut~by=close"])
async def test_a_unary_answer_broken_off_is_replaced_whole(
    stage: Stage, wire: str, script: str
) -> None:
    told = await stage.complete(wire, with_at(script, 3), spare=True)
    assert (told.text, told.finish.route.provider) == (DEFAULT_TEXT, "spare")


@pytest.mark.row(32, 33, 34, 36)
async def test_an_answer_cut_at_a_random_token_is_a_clean_prefix(stage: Stage, wire: str) -> None:
    source = random.Random(33)
    for _ in range(40):
        at = source.randint(1, 11)
        # Each cut is a target of its own, else the circuit would open.
        script = f"cut~at={at}~by={source.choice(('rst', 'close', 'clean'))}~seed={source.random()}"
        assert_interrupted(await stage.ask(wire, script), at=at)


@pytest.mark.row(35)
async def test_a_finish_reason_makes_the_answer_whole_without_done(stage: Stage) -> None:
    told = await stage.ask("openai", "nodone_finish")
    assert (told.code, told.text) == ("OK", DEFAULT_TEXT)
    assert told.finish.reason == FinishReason.FINISH_REASON_STOP


@pytest.mark.row(35)
async def test_a_stop_reason_without_message_stop_is_no_end(stage: Stage) -> None:
    told = await stage.ask("anthropic", "nodone_finish", spare=True)
    assert_interrupted(told, at=12)


@pytest.mark.row(37)
async def test_done_without_a_finish_reason_ends_an_answer_that_has_content(
    stage: Stage, wire: str
) -> None:
    told = await stage.ask(wire, "done_nofinish")
    assert told.text == DEFAULT_TEXT
    assert told.finish.reason == FinishReason.FINISH_REASON_OTHER
    empty = await stage.ask(wire, "done_nofinish~at=0", spare=True)
    assert empty.finish.route.provider == "spare"


# ---------------------------------------------------------------- nonsense


@pytest.mark.row(38, 40, 43, 44, 46)
@pytest.mark.parametrize("script", NONSENSE)
async def test_nonsense_before_output_is_left_for_another(
    stage: Stage, wire: str, script: str
) -> None:
    told = await stage.ask(wire, script, spare=True)
    assert (told.text, told.finish.route.provider) == (DEFAULT_TEXT, "spare")
    alone = await stage.ask(wire, script)
    reason = "PROVIDER_OVERLOADED" if script == "errevent" else "PROVIDER_ERROR"
    assert alone.outcome == ("UNAVAILABLE", reason)
    assert stage.health(wire).error_rate == 1.0


@pytest.mark.row(38, 40, 43, 44, 46)
@pytest.mark.parametrize("script", NONSENSE)
async def test_nonsense_after_output_interrupts(stage: Stage, wire: str, script: str) -> None:
    assert_interrupted(await stage.ask(wire, with_at(script, 3), spare=True))


@pytest.mark.row(38, 40, 43, 44, 46)
@pytest.mark.parametrize("script", [*NONSENSE, "emptydata"])
async def test_nonsense_in_one_piece_is_left_for_another(
    stage: Stage, wire: str, script: str
) -> None:
    told = await stage.complete(wire, script, spare=True)
    assert (told.text, told.finish.route.provider) == (DEFAULT_TEXT, "spare")


@pytest.mark.row(46)
async def test_an_event_without_data_is_no_harm_or_a_failure_but_never_a_bug(
    stage: Stage, wire: str
) -> None:
    told = await stage.ask(wire, "emptydata~at=3", spare=True)
    assert told.reason in ("", "STREAM_INTERRUPTED")
    assert DEFAULT_TEXT.startswith(told.text)


@pytest.mark.row(43)
@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("429", ("RESOURCE_EXHAUSTED", "PROVIDER_RATE_LIMITED")),
        ("401", ("INTERNAL", "PROVIDER_AUTH_FAILED")),
        ("500", ("UNAVAILABLE", "PROVIDER_ERROR")),
        ("529", ("UNAVAILABLE", "PROVIDER_OVERLOADED")),
    ],
)
async def test_an_error_event_means_what_its_status_would(
    stage: Stage, wire: str, status: str, outcome: tuple[str, str]
) -> None:
    told = await stage.ask(wire, f"errevent~status={status}", timeout=3)
    assert told.outcome == outcome


@pytest.mark.row(39)
@pytest.mark.parametrize("script", ["hugeline~mib=16", "noeol~mib=16"])
async def test_an_endless_line_is_cut_at_a_mebibyte(stage: Stage, wire: str, script: str) -> None:
    stage.max_rss_growth_bytes = 16 * MIB
    told = await stage.ask(wire, script, spare=True)
    assert (told.text, told.finish.route.provider) == (DEFAULT_TEXT, "spare")
    assert_interrupted(await stage.ask(wire, with_at(script, 3)))
    await stage.upstream.wait_until_idle()
    assert {request.outcome for request in stage.upstream.requests} == {"client_gone"}


# ---------------------------------------------------------------- odd, and yet an answer


@pytest.mark.row(41)
@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_characters_torn_over_segments_arrive_whole(
    stage: Stage, wire: str, size: int
) -> None:
    assert (await stage.ask(wire, f"utf8split~size={size}")).text == DEFAULT_TEXT
    assert (await stage.complete(wire, f"utf8split~size={size}")).text == DEFAULT_TEXT


@pytest.mark.row(42)
async def test_half_a_character_is_replaced(stage: Stage, wire: str) -> None:
    told = await stage.ask(wire, "surrogate")
    assert told.text == " lone\ufffd nul\ufffd" + DEFAULT_TEXT
    assert (await stage.complete(wire, "surrogate")).text == told.text


@pytest.mark.row(45)
async def test_events_of_unknown_kinds_are_passed_over(stage: Stage, wire: str) -> None:
    assert (await stage.ask(wire, "unknownevent~at=3")).text == DEFAULT_TEXT


@pytest.mark.row(47)
@pytest.mark.parametrize(
    ("script", "count"), [("toolcall", 1), ("toolparallel", 2), ("toolinterleaved", 2)]
)
async def test_tool_calls_are_put_together_from_their_pieces(
    stage: Stage, wire: str, script: str, count: int
) -> None:
    told = await stage.ask(wire, script)
    calls = [event.tool_call for event in told.events if event.HasField("tool_call")]
    assert [call.name for call in calls] == [f"tool_{n}" for n in range(count)]
    assert [json.loads(call.arguments_json)["city"] for call in calls] == [
        f"Köln {n}" for n in range(count)
    ]
    assert told.finish.reason == FinishReason.FINISH_REASON_TOOL_CALLS


@pytest.mark.row(47)
@pytest.mark.parametrize(
    "script", ["tooldupindex", "toolnoindex", "toolidchange", "toolnoid", "toolnoargs"]
)
async def test_contradictory_tool_calls_are_read_by_a_rule_or_refused(
    stage: Stage, wire: str, script: str
) -> None:
    """Which of the two is each wire's own rule, and asserted with its decoder."""
    told = await stage.ask(wire, script, spare=True)
    if told.reason == "STREAM_INTERRUPTED" or told.finish.route.provider == "spare":
        return
    calls = [event.tool_call for event in told.events if event.HasField("tool_call")]
    assert calls
    for call in calls:
        assert call.id
        assert call.name
        assert isinstance(json.loads(call.arguments_json), dict)


@pytest.mark.row(47, 48)
@pytest.mark.parametrize("script", ["toolbadjson", "toolcut"])
async def test_arguments_that_are_no_json_are_delivered_and_flagged(
    stage: Stage, wire: str, script: str
) -> None:
    told = await stage.ask(wire, script)
    assert told.code == "OK"
    assert [warning.field for warning in told.finish.warnings if "arguments" in warning.field]
    if script == "toolcut":
        assert told.finish.reason == FinishReason.FINISH_REASON_MAX_TOKENS


# ---------------------------------------------------------------- usage


@pytest.mark.row(49)
async def test_usage_that_is_not_told_is_estimated_and_says_so(stage: Stage, wire: str) -> None:
    told = await stage.ask(wire, "nousage")
    assert told.finish.usage.estimated
    assert told.finish.usage.input_tokens > 0
    assert told.finish.usage.output_tokens > 0


@pytest.mark.row(50)
@pytest.mark.parametrize("second", [1, 99])
async def test_of_two_usage_reports_the_last_is_booked(
    stage: Stage, wire: str, second: int
) -> None:
    told = await stage.ask(wire, f"usagetwice~second={second}")
    assert told.finish.usage.output_tokens == second
    assert told.finish.usage.input_tokens == INPUT_TOKENS


@pytest.mark.row(50)
async def test_an_absurd_usage_is_not_taken_at_its_word(stage: Stage, wire: str) -> None:
    told = await stage.ask(wire, f"usagetwice~second={10**12}", spare=True)
    assert told.code == "OK"
    assert told.finish.usage.output_tokens < 10**9


@pytest.mark.row(51)
async def test_output_after_the_finish_reason_is_dropped(stage: Stage, wire: str) -> None:
    told = await stage.ask(wire, "afterfinish")
    assert told.text == DEFAULT_TEXT
    assert AFTER_FINISH not in told.text


@pytest.mark.row(52)
async def test_of_several_choices_only_the_first_is_told(stage: Stage) -> None:
    told = await stage.ask("openai", "choices~n=3")
    assert told.text == DEFAULT_TEXT


@pytest.mark.row(53)
async def test_bytes_after_an_answer_poison_nobody(stage: Stage, wire: str) -> None:
    for _ in range(5):
        told = await asyncio.gather(*(stage.ask(wire, "extrabytes") for _ in range(4)))
        assert {one.text for one in told} == {DEFAULT_TEXT}
        unary = await stage.complete(wire, "extrabytes")
        assert unary.text == DEFAULT_TEXT
        assert POISON not in unary.text


@pytest.mark.row(54)
async def test_an_answer_in_another_models_name_is_routed_by_what_was_asked(
    stage: Stage, wire: str
) -> None:
    told = await stage.ask(wire, "wrongmodel")
    assert told.text == DEFAULT_TEXT
    assert told.finish.route.model == "fault:wrongmodel"
