"""Chat through the port: what a caller sees when all goes well, and when a provider does not."""

import asyncio
from pathlib import Path

import grpc
import pytest
from turnout.v1.chat_service_pb2 import ChatRequest, FinishReason, StreamOptions, ThinkingOptions
from turnout.v1.routing_pb2 import MidStreamPolicy, RoutingOptions

from tests.rpc.serving import TWO_PROVIDERS, Failed, Serving, chat, serve, text_of
from turnout_server.providers.scripted.script import words


def falling_back_to(*models: str, **fields: object) -> RoutingOptions:
    return RoutingOptions(fallback_models=models, **fields)  # type: ignore[arg-type]


async def test_ok_ends_with_exactly_one_finish_which_is_last(serving: Serving) -> None:
    events = await serving.ask(chat("first/tokens:9"))
    assert not isinstance(events, Failed)
    assert text_of(events) == "".join(words(9))
    assert [event.WhichOneof("event") for event in events[-2:]] == ["text_delta", "finish"]
    finish = events[-1].finish
    assert finish.reason == FinishReason.FINISH_REASON_STOP
    assert (finish.usage.output_tokens, finish.route.provider) == (9, "first")
    assert not finish.HasField("message")


async def test_every_token_is_booked_once(serving: Serving) -> None:
    await serving.ask(chat("first/tokens:9"))
    assert [call.usage.output_tokens for call in serving.seen.calls] == [9]
    assert [one.usage.output_tokens for one in serving.seen.attempts if one.usage] == [9]


async def test_final_message_comes_when_asked_for(serving: Serving) -> None:
    request = chat("first/think:hm|say:yes|call:f:{}", stream=StreamOptions(final_message=True))
    events = await serving.ask(request)
    assert not isinstance(events, Failed)
    parts = [part.WhichOneof("content") for part in events[-1].finish.message.parts]
    assert parts == ["thinking", "text", "tool_call"]


async def test_thinking_is_shown_only_to_callers_who_include_it(serving: Serving) -> None:
    model = "first/think:hm|say:yes"
    quiet = await serving.ask(chat(model))
    loud = await serving.ask(chat(model, thinking=ThinkingOptions(include=True)))
    assert not isinstance(quiet, Failed)
    assert not isinstance(loud, Failed)
    assert [event.thinking_delta for event in quiet if event.thinking_delta] == []
    assert [event.thinking_delta for event in loud if event.thinking_delta] == ["hm"]


async def test_headers_name_the_provider_and_the_request(serving: Serving) -> None:
    call = serving.chat.Chat(chat("first/say:hi"), metadata=(("x-request-id", "mine-1"),))
    headers = dict(await call.initial_metadata())
    assert headers["x-request-id"] == "mine-1"
    assert (headers["x-turnout-provider"], headers["x-turnout-model"]) == ("first", "say:hi")
    assert [event async for event in call][-1].HasField("finish")


async def test_complete_chat_answers_the_same_at_once(serving: Serving) -> None:
    answer = await serving.chat.CompleteChat(chat('first/say:yes|call:f:{"a":1}'))
    assert answer.text == "yes"
    assert [call.arguments_json for call in answer.tool_calls] == ['{"a":1}']
    assert answer.finish.reason == FinishReason.FINISH_REASON_TOOL_CALLS


@pytest.mark.parametrize(
    "first",
    ["fail:OVERLOADED", "fail:UNREACHABLE", "fail:AUTH", "fail:TIMEOUT", "cut", "flaky:9:ERROR"],
)
async def test_a_failure_before_output_is_invisible_behind_a_fallback(
    serving: Serving, first: str
) -> None:
    request = chat(f"first/{first}|say:bad", routing=falling_back_to("second/say:good"))
    events = await serving.ask(request)
    assert text_of(events) == "good"
    assert not isinstance(events, Failed)
    assert events[-1].finish.route.provider == "second"
    assert events[-1].finish.route.attempts >= 2


async def test_hanging_provider_is_left_after_the_first_output_timeout(serving: Serving) -> None:
    routing = falling_back_to("second/say:good")
    routing.first_output_timeout.FromMilliseconds(50)
    assert text_of(await serving.ask(chat("first/hang", routing=routing))) == "good"


async def test_complete_chat_falls_back_too(serving: Serving) -> None:
    request = chat("first/fail:ERROR", routing=falling_back_to("second/say:good"))
    assert (await serving.chat.CompleteChat(request)).text == "good"


async def test_progress_tells_of_attempts_and_route_as_they_happen(serving: Serving) -> None:
    request = chat(
        "first/fail:UNREACHABLE",
        routing=falling_back_to("second/say:good"),
        stream=StreamOptions(progress=True),
    )
    events = await serving.ask(request)
    assert not isinstance(events, Failed)
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds == ["attempt_failed", "route", "text_delta", "finish"]
    assert events[0].attempt_failed.provider == "first"


async def test_nothing_is_sent_before_the_first_output(serving: Serving) -> None:
    """Response headers would end a client library's own retries."""
    call = serving.chat.Chat(chat("first/wait:200|say:hi"))
    headers = asyncio.ensure_future(call.initial_metadata())
    await asyncio.sleep(0.1)
    assert not headers.done()
    assert [event async for event in call][-1].HasField("finish")
    await headers


async def test_disable_fallback_is_honoured(serving: Serving) -> None:
    routing = falling_back_to("second/say:good", disable_fallback=True)
    told = await serving.ask(chat("first/fail:AUTH", routing=routing))
    assert isinstance(told, Failed)
    assert told.reason == "PROVIDER_AUTH_FAILED"
    assert serving.provider("second").calls.total() == 0


async def test_max_attempts_caps_retries_and_fallbacks_together(serving: Serving) -> None:
    routing = falling_back_to("second/fail:ERROR", max_attempts=2)
    told = await serving.ask(chat("first/fail:ERROR", routing=routing))
    assert isinstance(told, Failed)
    total = serving.provider("first").calls.total() + serving.provider("second").calls.total()
    assert total == len(told.detail.attempts) == 2


async def test_allowed_providers_keeps_the_others_out(serving: Serving) -> None:
    routing = falling_back_to("second/say:good", allowed_providers=["second"])
    assert text_of(await serving.ask(chat("first/say:bad", routing=routing))) == "good"
    assert serving.provider("first").calls.total() == 0


async def test_a_cut_after_output_is_aborted_and_never_falls_back(serving: Serving) -> None:
    request = chat("first/tokens:5|fail:OVERLOADED", routing=falling_back_to("second/say:no"))
    told = await serving.ask(request)
    assert isinstance(told, Failed)
    assert (told.code, told.reason) == (grpc.StatusCode.ABORTED, "STREAM_INTERRUPTED")
    assert text_of(told) == "".join(words(5))
    assert told.detail.output_started
    assert (told.detail.usage.estimated, told.detail.usage.output_tokens > 0) == (True, True)
    assert told.pushback_ms == -1
    assert serving.provider("second").calls.total() == 0


async def test_restart_voids_the_first_generation_and_answers_whole(serving: Serving) -> None:
    routing = falling_back_to(
        "second/tokens:7", mid_stream_policy=MidStreamPolicy.MID_STREAM_POLICY_RESTART
    )
    events = await serving.ask(chat("first/tokens:3|cut", routing=routing))
    assert not isinstance(events, Failed)
    assert text_of(events) == "".join(words(7))
    assert {event.generation for event in events} == {0, 1}
    assert events[-1].generation == 1


async def test_cancel_closes_the_upstream_at_once(serving: Serving) -> None:
    call = serving.chat.Chat(chat("first/tokens:1000@5"))
    await call.read()
    call.cancel()
    await serving.idle()
    assert [record.code for record in serving.seen.calls] == ["CANCELLED"]
    assert serving.seen.attempts[0].outcome == "cancelled"
    assert serving.seen.calls[0].usage.estimated


async def test_cancel_of_a_unary_call_closes_the_upstream_too(serving: Serving) -> None:
    call = serving.chat.CompleteChat(chat("first/hang"))
    while not serving.provider("first").open_streams:
        await asyncio.sleep(0.005)
    call.cancel()
    await serving.idle()


async def test_deadline_ends_the_call_and_the_upstream(serving: Serving) -> None:
    told = await serving.ask(chat("first/hang"), timeout=0.15)
    assert isinstance(told, Failed)
    assert told.code == grpc.StatusCode.DEADLINE_EXCEEDED
    await serving.idle()
    assert [record.code for record in serving.seen.calls] == ["DEADLINE_EXCEEDED"]


async def test_a_call_with_a_millisecond_left_calls_nobody(serving: Serving) -> None:
    await serving.ask(chat("first/say:hi"))
    told = await serving.ask(chat("first/say:hi"), timeout=0.02)
    assert isinstance(told, Failed)
    assert serving.provider("first").calls.total() == 1


async def test_stalled_stream_is_interrupted(serving: Serving) -> None:
    routing = RoutingOptions()
    routing.stall_timeout.FromMilliseconds(60)
    told = await serving.ask(chat("first/say:a|hang", routing=routing))
    assert isinstance(told, Failed)
    assert told.reason == "STREAM_INTERRUPTED"


async def test_coalesce_delays_nothing_but_the_following_tokens(serving: Serving) -> None:
    options = StreamOptions()
    options.coalesce.FromMilliseconds(20)
    events = await serving.ask(chat("first/tokens:4@1", stream=options))
    assert text_of(events) == "".join(words(4))


async def test_a_reader_that_stops_stops_the_provider(tmp_path: Path) -> None:
    """Backpressure reaches the upstream: the provider's script does not run ahead for ever."""
    async with serve(tmp_path) as serving:
        call = serving.chat.Chat(chat(f"first/say:{'x' * 150}|tokens:200000"))
        await call.read()
        await asyncio.sleep(0.5)
        assert serving.provider("first").open_streams == 1
        call.cancel()
        await serving.idle()


async def test_instance_limit_refuses_at_once_and_batch_first(tmp_path: Path) -> None:
    config = TWO_PROVIDERS.replace("\nproviders", "\nproviders")
    async with serve(tmp_path, config) as serving:
        serving.gateway.admission._limit = 2
        holding = [serving.chat.Chat(chat("first/say:a|hang")) for _ in range(2)]
        for call in holding:
            await call.read()
        told = await serving.ask(chat("first/say:b"))
        assert isinstance(told, Failed)
        assert (told.code, told.reason) == (grpc.StatusCode.UNAVAILABLE, "OVERLOADED")
        assert told.pushback_ms > 0
        holding[0].cancel()
        while serving.gateway.admission.in_flight > 1:
            await asyncio.sleep(0.005)
        batch = await serving.ask(chat("first/say:b"), metadata=(("x-priority", "batch"),))
        assert text_of(batch) == "b"
        holding[1].cancel()
        await serving.idle()


async def test_labels_and_unknown_request_fields_do_no_harm(serving: Serving) -> None:
    request = ChatRequest.FromString(chat("first/say:hi").SerializeToString() + b"\xfa\x3f\x01x")
    assert text_of(await serving.ask(request)) == "hi"


def mid_stream(policy: str, *models: str) -> RoutingOptions:
    value = MidStreamPolicy.Value(f"MID_STREAM_POLICY_{policy}")
    return falling_back_to(*models, mid_stream_policy=value)


@pytest.mark.parametrize("cut", [1, 2, 5, 19])
async def test_continue_goes_on_where_the_first_target_broke(serving: Serving, cut: int) -> None:
    routing = mid_stream("CONTINUE", "second/tokens:20")
    request = chat(
        f"first/tokens:{cut}|fail:ERROR", routing=routing, stream=StreamOptions(final_message=True)
    )
    events = await serving.ask(request)
    assert not isinstance(events, Failed)
    assert text_of(events) == "".join(words(20))
    assert {event.generation for event in events} == {0}
    finish = events[-1].finish
    assert (finish.route.provider, finish.message.parts[0].text) == ("second", text_of(events))
    assert serving.seen.calls[0].usage.output_tokens == finish.usage.output_tokens


@pytest.mark.parametrize("said", ["call:f:{}", "think:hm"])
async def test_continue_is_refused_after_tool_calls_and_thinking(
    serving: Serving, said: str
) -> None:
    request = chat(
        f"first/say:a|{said}|fail:ERROR",
        routing=mid_stream("CONTINUE", "second/say:b"),
        thinking=ThinkingOptions(include=True),
    )
    told = await serving.ask(request)
    assert isinstance(told, Failed)
    assert told.reason == "STREAM_INTERRUPTED"
    assert serving.provider("second").calls.total() == 0


async def test_restart_with_nobody_left_is_interrupted_not_unavailable(serving: Serving) -> None:
    request = chat("first/say:a|fail:ERROR", routing=mid_stream("RESTART", "second/fail:ERROR"))
    told = await serving.ask(request)
    assert isinstance(told, Failed)
    assert (told.code, told.reason) == (grpc.StatusCode.ABORTED, "STREAM_INTERRUPTED")


HEDGED = """
providers:
  slow: {row: scripted, keys: []}
  quick: {row: scripted, keys: []}
models:
  hedged:
    targets: ["slow/wait:400|say:slow", "quick/say:quick"]
    hedge: {enabled: true, after: 30ms, budget: 100%}
"""


async def test_a_silent_attempt_gets_a_rival_and_the_loser_is_closed(tmp_path: Path) -> None:
    async with serve(tmp_path, HEDGED) as serving:
        assert text_of(await serving.ask(chat("hedged"))) == "quick"
        await serving.idle()
        outcomes = {r.attempt.target.provider: r.outcome for r in serving.seen.attempts}
        assert outcomes == {"slow": "hedge_lost", "quick": "ok"}
        booked = sum(r.usage.input_tokens for r in serving.seen.attempts if r.usage)
        assert serving.seen.calls[0].usage.input_tokens == booked


async def test_a_caller_who_leaves_a_race_closes_both(tmp_path: Path) -> None:
    config = HEDGED.replace("wait:400|say:slow", "hang").replace("say:quick", "hang|say:x")
    async with serve(tmp_path, config) as serving:
        call = serving.chat.Chat(chat("hedged"))
        reading = asyncio.ensure_future(call.read())
        while not serving.provider("quick").open_streams:
            await asyncio.sleep(0.005)
        reading.cancel()
        call.cancel()
        await serving.idle()
        assert [r.outcome for r in serving.seen.attempts] == ["cancelled", "cancelled"]


@pytest.mark.parametrize("model", ["say:señal 路", "say:two\nlines"])
async def test_a_model_whose_name_is_no_header_is_answered(serving: Serving, model: str) -> None:
    events = await serving.ask(chat(f"first/{model}"))
    assert text_of(events) == model.removeprefix("say:")
    assert (await serving.chat.CompleteChat(chat(f"first/{model}"))).text == text_of(events)
