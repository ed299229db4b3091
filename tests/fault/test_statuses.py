"""Upstream answers with an error, or with something that is no answer at all."""

import asyncio
import random

import pytest
from turnout.v1.chat_service_pb2 import FinishReason

from tests.fault.conftest import Figures, OpenStage
from tests.fault.invariants import MIB
from tests.fault.stage import DEFAULT_TEXT, Stage
from turnout_server.policy.breaker import CircuitState

TRANSIENT = ("500", "502", "503", "529")


def scripts_of(stage: Stage) -> list[str]:
    return [request.script.name for request in stage.upstream.requests]


def error_rate(stage: Stage, provider: str) -> float:
    rate: float = stage.health(provider).error_rate
    return rate


# ---------------------------------------------------------------- 429 and quotas


@pytest.mark.row(14)
@pytest.mark.parametrize("header", ["after_s=7", "after_date_s=7", "after_ms=7000"])
async def test_a_429_rests_the_target_for_as_long_as_it_asks(
    stage: Stage, wire: str, header: str
) -> None:
    script = f"429~{header}"
    first = await stage.ask(wire, script, spare=True)
    second = await stage.ask(wire, script, spare=True)
    assert [first.text, second.text] == [DEFAULT_TEXT] * 2
    assert len(stage.upstream.requests) == 1, "the resting target is passed over unasked"
    assert error_rate(stage, wire) == 0.0
    alone = await stage.ask(wire, script)
    assert alone.outcome == ("RESOURCE_EXHAUSTED", "PROVIDER_RATE_LIMITED")
    assert 5 < alone.told_of.detail.retry_delay.ToTimedelta().total_seconds() <= 7.7
    assert 5_000 < alone.told_of.pushback_ms <= 7_700
    assert len(stage.upstream.requests) == 1


@pytest.mark.row(14)
async def test_a_429_is_waited_for_only_within_the_deadline(stage: Stage, wire: str) -> None:
    stage.upstream.queue.append("429~after_ms=100")
    patient = await stage.ask(wire)
    assert (patient.code, patient.finish.route.attempts) == ("OK", 2)
    hurried = await stage.ask(wire, "429~after_s=30", timeout=5)
    assert hurried.outcome == ("RESOURCE_EXHAUSTED", "PROVIDER_RATE_LIMITED")
    assert hurried.took_s < 2


@pytest.mark.row(14)
async def test_all_targets_limited_tell_the_soonest_of_their_waits(stage: Stage) -> None:
    stage.spare.rules["fault:ok"] = "429~after_s=20"
    told = await stage.ask("openai", "429~after_s=9", spare=True, timeout=5)
    assert told.outcome == ("RESOURCE_EXHAUSTED", "PROVIDER_RATE_LIMITED")
    assert 8 <= told.told_of.detail.retry_delay.ToTimedelta().total_seconds() <= 10


@pytest.mark.row(15)
async def test_a_429_without_a_wait_rests_the_target_and_never_trips_it(
    stage: Stage, wire: str
) -> None:
    for _ in range(8):
        told = await stage.ask(wire, "429", spare=True)
        assert told.text == DEFAULT_TEXT
    assert len(stage.upstream.requests) <= 8
    assert stage.health(wire).state is CircuitState.CLOSED
    assert stage.health(wire).error_rate == 0.0


@pytest.mark.row(16)
@pytest.mark.parametrize("script", ["insufficient_quota", "402", "credit_too_low"])
async def test_a_spent_quota_takes_the_key_out_and_falls_back(
    stage: Stage, wire: str, script: str
) -> None:
    if (wire, script) == ("anthropic", "insufficient_quota"):
        script = "402"  # that wire has no such code: its own word for it is billing_error
    assert (await stage.ask(wire, script, spare=True)).text == DEFAULT_TEXT
    assert (await stage.ask(wire, "ok", spare=True)).finish.route.provider == "spare"
    assert scripts_of(stage) == [script], "no other model is asked with a key out of credit"
    alone = await stage.ask(wire, "ok")
    assert alone.outcome == ("RESOURCE_EXHAUSTED", "PROVIDER_QUOTA_EXHAUSTED")
    assert alone.told_of.pushback_ms == -1


@pytest.mark.row(16)
async def test_a_spent_key_is_replaced_by_the_next(set_stage: OpenStage, wire: str) -> None:
    stage = await set_stage(keys=("STAGE_KEY_A", "STAGE_KEY_B"))
    stage.upstream.queue.append("402")
    told = await stage.ask(wire)
    assert (told.code, told.finish.route.attempts) == ("OK", 2)
    keys = [dict(r.headers) for r in stage.upstream.requests]
    used = [headers.get("authorization", headers.get("x-api-key")) for headers in keys]
    assert used[0] != used[1]


@pytest.mark.row(17)
@pytest.mark.parametrize("value", ["999999", "-5", "soon", "1e999", "nan", "0x10", "\xb2"])
async def test_an_absurd_retry_after_is_clamped_or_taken_for_none(
    stage: Stage, wire: str, value: str
) -> None:
    script = f"429~after_raw={value}"
    assert (await stage.ask(wire, script, spare=True)).text == DEFAULT_TEXT
    alone = await stage.ask(wire, script, timeout=1)
    assert alone.outcome == ("RESOURCE_EXHAUSTED", "PROVIDER_RATE_LIMITED")
    assert 0 <= alone.told_of.pushback_ms <= 66_000, "a minute at most, and up to a tenth on top"


# ---------------------------------------------------------------- servers in trouble


@pytest.mark.row(18, 19)
@pytest.mark.parametrize("script", TRANSIENT)
async def test_a_server_in_trouble_is_tried_once_more_and_then_left(
    stage: Stage, wire: str, script: str
) -> None:
    told = await stage.ask(wire, script, spare=True)
    assert (told.text, told.finish.route.provider) == (DEFAULT_TEXT, "spare")
    assert scripts_of(stage) == [script] * 2
    assert told.finish.route.attempts == 3
    assert error_rate(stage, wire) == 1.0


@pytest.mark.row(18)
async def test_one_hiccup_is_ridden_out_by_a_retry(stage: Stage, wire: str) -> None:
    stage.upstream.queue.append("529")
    told = await stage.ask(wire)
    assert (told.text, told.finish.route.attempts) == (DEFAULT_TEXT, 2)


@pytest.mark.row(18, 19)
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("500", "PROVIDER_ERROR"),
        ("502", "PROVIDER_ERROR"),
        ("503", "PROVIDER_OVERLOADED"),
        ("504", "PROVIDER_TIMEOUT"),
        ("529", "PROVIDER_OVERLOADED"),
    ],
)
async def test_a_lasting_trouble_is_told_as_unavailable(
    stage: Stage, wire: str, script: str, reason: str
) -> None:
    told = await stage.ask(wire, script)
    assert told.outcome == ("UNAVAILABLE", reason)
    assert told.told_of.pushback_ms >= 0
    attempts = told.told_of.detail.attempts
    assert [a.http_status for a in attempts] == [int(script)] * len(attempts)
    assert 2 <= len(attempts) <= 3
    unary = await stage.complete(wire, script)
    assert unary.outcome == ("UNAVAILABLE", reason)


@pytest.mark.row(19, 120)
async def test_500_calls_against_a_dead_provider_reach_it_a_dozen_times(
    stage: Stage, wire: str, figures: Figures
) -> None:
    """The circuit opens after five failures in a row; calls already under way finish."""
    outcomes = []
    for _ in range(50):
        told = await asyncio.gather(*(stage.ask(wire, "500") for _ in range(10)))
        outcomes += [one.code for one in told]
    assert set(outcomes) == {"UNAVAILABLE"}
    asked = len(stage.upstream.requests)
    figures.add(f"{wire}: 500 calls against a dead provider, {asked} upstream calls")
    assert asked <= 30


@pytest.mark.row(120)
async def test_retries_stay_a_tenth_of_the_calls_when_no_circuit_helps(
    stage: Stage, wire: str, figures: Figures
) -> None:
    """A 409 never trips a circuit, so only the budget stands between a failure and its retry."""
    calls = 300
    for _ in range(calls // 20):
        await asyncio.gather(*(stage.ask(wire, "409", spare=True) for _ in range(20)))
    asked = len(stage.upstream.requests)
    figures.add(f"{wire}: {calls} calls, each answered 409, {asked} upstream calls")
    assert asked <= 1.1 * calls + 3


# ---------------------------------------------------------------- the request is at fault


@pytest.mark.row(20)
@pytest.mark.parametrize("script", ["400", "422"])
async def test_a_rejected_request_goes_to_nobody_else(stage: Stage, wire: str, script: str) -> None:
    told = await stage.ask(wire, script, spare=True)
    assert told.outcome == ("INVALID_ARGUMENT", "PROVIDER_REJECTED")
    assert told.told_of.pushback_ms == -1
    assert (len(stage.upstream.requests), len(stage.spare.requests)) == (1, 0)
    assert error_rate(stage, wire) == 0.0


@pytest.mark.row(20)
async def test_an_unknown_model_is_not_found_if_the_caller_named_it(
    stage: Stage, wire: str
) -> None:
    told = await stage.ask(wire, "404")
    assert told.outcome == ("NOT_FOUND", "MODEL_NOT_FOUND")
    assert len(stage.upstream.requests) == 1
    assert (await stage.ask(wire, "404", spare=True)).text == DEFAULT_TEXT
    assert error_rate(stage, wire) == 0.0


@pytest.mark.row(20)
async def test_an_unknown_model_behind_an_alias_is_our_mistake(set_stage: OpenStage) -> None:
    stage = await set_stage(models={"alias": {"targets": ["openai/fault:404"]}})
    told = await stage.ask("alias", "")
    assert told.outcome == ("INTERNAL", "MODEL_NOT_FOUND")


@pytest.mark.row(20)
@pytest.mark.parametrize(
    ("script", "reason"),
    [("413", "TOO_LARGE"), ("context_length", "CONTEXT_LENGTH_EXCEEDED")],
)
async def test_a_request_too_large_for_one_target_may_fit_another(
    stage: Stage, wire: str, script: str, reason: str
) -> None:
    assert (await stage.ask(wire, script, spare=True)).text == DEFAULT_TEXT
    alone = await stage.ask(wire, script)
    assert alone.outcome == ("INVALID_ARGUMENT", reason)
    assert error_rate(stage, wire) == 0.0


@pytest.mark.row(21)
@pytest.mark.parametrize("script", ["401", "403"])
async def test_our_bad_key_is_never_the_callers_fault(stage: Stage, wire: str, script: str) -> None:
    assert (await stage.ask(wire, script, spare=True)).text == DEFAULT_TEXT
    alone = await stage.ask(wire, "ok")
    assert alone.outcome == ("INTERNAL", "PROVIDER_AUTH_FAILED")
    assert alone.told_of.pushback_ms == -1
    assert len(stage.upstream.requests) == 1, "the key is out: it is not sent again"
    assert error_rate(stage, wire) == 0.0


@pytest.mark.row(21)
async def test_a_refused_key_is_replaced_by_the_next(set_stage: OpenStage, wire: str) -> None:
    stage = await set_stage(keys=("STAGE_KEY_A", "STAGE_KEY_B"))
    stage.upstream.queue.append("401")
    assert (await stage.ask(wire)).finish.route.attempts == 2


@pytest.mark.row(22)
@pytest.mark.parametrize("script", ["408", "409", "425"])
async def test_a_passing_conflict_is_worth_another_try(
    stage: Stage, wire: str, script: str
) -> None:
    stage.upstream.queue.append(script)
    told = await stage.ask(wire)
    assert (told.text, told.finish.route.attempts) == (DEFAULT_TEXT, 2)
    assert (await stage.ask(wire, script, spare=True)).text == DEFAULT_TEXT


# ---------------------------------------------------------------- refusals that are answers


@pytest.mark.row(23)
async def test_output_that_the_provider_filters_is_an_answer(stage: Stage, wire: str) -> None:
    told = await stage.ask(wire, "filtered", spare=True)
    reasons = {
        "openai": FinishReason.FINISH_REASON_CONTENT_FILTER,
        "anthropic": FinishReason.FINISH_REASON_REFUSAL,
    }
    assert told.finish.reason == reasons[wire]
    refused = await stage.ask(wire, "refusal", spare=True)
    assert refused.finish.reason == FinishReason.FINISH_REASON_REFUSAL
    assert len(stage.spare.requests) == 0
    assert error_rate(stage, wire) == 0.0


@pytest.mark.row(23)
async def test_a_blocked_prompt_is_the_callers_to_change(stage: Stage, wire: str) -> None:
    told = await stage.ask(wire, "prompt_blocked", spare=True)
    assert told.outcome == ("INVALID_ARGUMENT", "PROMPT_BLOCKED")
    assert (len(stage.upstream.requests), len(stage.spare.requests)) == (1, 0)
    assert error_rate(stage, wire) == 0.0


# ---------------------------------------------------------------- no answer under a good status


@pytest.mark.row(24, 25, 26, 27)
@pytest.mark.parametrize("script", ["html502", "html200", "json200", "empty200"])
@pytest.mark.parametrize("unary", [False, True], ids=["streamed", "unary"])
async def test_what_is_no_answer_is_a_failure_and_none_of_it_is_shown(
    stage: Stage, wire: str, script: str, *, unary: bool
) -> None:
    call = stage.complete if unary else stage.ask
    told = await call(wire, script, spare=True)
    assert (told.text, told.finish.route.provider) == (DEFAULT_TEXT, "spare")
    alone = await call(wire, script)
    assert alone.outcome == ("UNAVAILABLE", "PROVIDER_ERROR")
    assert error_rate(stage, wire) == 1.0


@pytest.mark.row(26)
async def test_an_error_under_status_200_counts_as_the_error_it_names(stage: Stage) -> None:
    told = await stage.ask("openai", "json200~status=529")
    assert told.outcome == ("UNAVAILABLE", "PROVIDER_OVERLOADED")


@pytest.mark.row(28)
@pytest.mark.parametrize("script", ["gzip", "gzipbomb~mib=64"])
async def test_a_compressed_body_is_refused_unread(stage: Stage, wire: str, script: str) -> None:
    stage.max_rss_growth_bytes = 20 * MIB
    told = await stage.ask(wire, script, spare=True)
    assert (told.text, told.finish.route.provider) == (DEFAULT_TEXT, "spare")
    alone = await stage.ask(wire, script)
    assert alone.outcome == ("UNAVAILABLE", "PROVIDER_ERROR")
    offers = {request.headers.get("accept-encoding") for request in stage.upstream.requests}
    assert offers == {"identity"}


@pytest.mark.row(17)
async def test_random_retry_after_texts_never_hurt_a_call(stage: Stage, wire: str) -> None:
    """The parser itself is held by hypothesis, in its unit test."""
    source = random.Random(17)
    signs = "0123456789-+.eEnaif:, GMT\xb2\xbd"
    for _ in range(20):
        value = "".join(source.choices(signs, k=source.randint(1, 12)))
        stage.upstream.queue.append(f"429~after_raw={value}")
        assert (await stage.ask(wire, f"ok~seed={source.random()}", spare=True)).code == "OK"
