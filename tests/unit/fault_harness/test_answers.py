"""Good answers: both chat wires, streamed and unary, and embeddings."""

import base64
import ssl
import struct
from itertools import pairwise
from typing import Any

import pytest
import trustme

from tests.fault.upstream import INPUT_TOKENS, FaultServer, UnknownScript, answer, vector
from tests.unit.fault_harness.raw_client import CHAT_WIRES, RawClient, ask, kinds

TEXT = "".join(answer(12))


@pytest.mark.parametrize("wire", CHAT_WIRES)
async def test_a_stream_says_the_deterministic_text(server: FaultServer, wire: str) -> None:
    received = await ask(server.port, wire, "any-model")
    assert (received.status, received.end) == (200, "complete")
    assert received.text() == TEXT


async def test_openai_streams_usage_only_on_request(server: FaultServer) -> None:
    plain = await ask(server.port, "openai_chat", "m")
    asked = await ask(server.port, "openai_chat", "m", stream_options={"include_usage": True})
    assert plain.events()[-1] == asked.events()[-1] == "[DONE]"
    assert not any("usage" in event for event in plain.events())
    assert asked.events()[-2]["choices"] == []
    assert asked.events()[-2]["usage"]["prompt_tokens"] == INPUT_TOKENS
    assert asked.events()[-2]["usage"]["completion_tokens"] == 12


async def test_anthropic_events_come_in_the_order_of_the_protocol(server: FaultServer) -> None:
    received = await ask(server.port, "anthropic_messages", "fault:ok~tokens=2~thinking=1")
    start = ["message_start", "ping"]
    thinking = ["content_block_start", *["content_block_delta"] * 2, "content_block_stop"]
    assert kinds(received.events()) == [
        *start,
        *thinking,
        "content_block_start",
        *["content_block_delta"] * 2,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert received.events()[-2]["usage"]["output_tokens"] == 3


async def test_unary_answers_say_the_same_text(server: FaultServer) -> None:
    openai = await ask(server.port, "openai_chat", "m", stream=False)
    anthropic = await ask(server.port, "anthropic_messages", "m", stream=False)
    assert openai.json["choices"][0]["message"]["content"] == TEXT
    assert openai.json["usage"]["completion_tokens"] == 12
    assert anthropic.json["content"] == [{"type": "text", "text": TEXT}]
    assert anthropic.json["usage"] == {"input_tokens": INPUT_TOKENS, "output_tokens": 12}


@pytest.mark.parametrize("wire", CHAT_WIRES)
async def test_the_callers_token_limit_ends_the_answer(server: FaultServer, wire: str) -> None:
    received = await ask(server.port, wire, "m", max_tokens=3)
    assert received.text() == "".join(answer(3))
    assert b'"length"' in received.body or b'"max_tokens"' in received.body


@pytest.mark.parametrize("wire", CHAT_WIRES)
@pytest.mark.parametrize("is_in_parts", [False, True])
async def test_a_prefill_is_continued_where_it_ends(
    server: FaultServer, wire: str, is_in_parts: bool
) -> None:
    prefill = "".join(answer(5))
    content: Any = [{"type": "text", "text": prefill}] if is_in_parts else prefill
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": content}]
    received = await ask(server.port, wire, "fault:ok~overlap=2", messages=messages)
    assert server.requests[0].prefill == prefill
    assert received.text() == TEXT[len(prefill) - 2 :]


@pytest.mark.parametrize("wire", CHAT_WIRES)
async def test_an_answer_cut_anywhere_can_be_completed(server: FaultServer, wire: str) -> None:
    for at in range(1, 12):
        begun = (await ask(server.port, wire, f"fault:cut~at={at}")).text().rstrip()
        messages = [{"role": "assistant", "content": begun}]
        assert begun + (await ask(server.port, wire, "m", messages=messages)).text() == TEXT


async def test_anthropic_refuses_a_prefill_that_ends_in_white_space(server: FaultServer) -> None:
    messages = [{"role": "assistant", "content": "0é "}]
    received = await ask(server.port, "anthropic_messages", "m", messages=messages)
    assert received.status == 400
    assert "trailing whitespace" in received.json["error"]["message"]


async def test_embeddings_come_as_numbers_or_base64(server: FaultServer) -> None:
    floats = await ask(server.port, "openai_embeddings", "m", dimensions=4)
    packed = await ask(server.port, "openai_embeddings", "m", encoding_format="base64")
    assert floats.json["data"][1] == {
        "object": "embedding",
        "index": 1,
        "embedding": list(vector("two", 4)),
    }
    raw = base64.b64decode(packed.json["data"][2]["embedding"])
    assert struct.unpack("<8f", raw) == vector("three")


async def test_tokens_come_at_the_pace_asked_for(server: FaultServer) -> None:
    async with RawClient(server.port) as client:
        model = "fault:ok~tokens=3~head_ms=10~first_ms=30~gap_ms=30"
        assert (await client.ask("openai_chat", model)).text() == "".join(answer(3))
    request = server.requests[0]
    assert request.head_sent_at_s is not None
    assert request.ended_at_s is not None
    assert request.head_sent_at_s - request.received_at_s >= 0.01
    assert request.ended_at_s - request.head_sent_at_s >= 0.09


async def test_queue_comes_before_rule_before_name_before_default(server: FaultServer) -> None:
    server.default = "404"
    server.rules["fault:500"] = lambda request: f"{400 + request.number}"
    server.queue.append("529")
    statuses = [
        (await ask(server.port, "openai_chat", model)).status
        for model in ("fault:500", "fault:500", "fault:503", "m")
    ]
    assert statuses == [529, 402, 503, 404]
    assert [str(request.script) for request in server.requests] == ["529", "402", "503", "404"]


async def test_the_log_keeps_each_request_as_it_came(server: FaultServer) -> None:
    await ask(server.port, "openai_chat", "m", temperature=0.5)
    (request,) = server.requests
    assert request.body["temperature"] == 0.5
    assert request.raw.head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert request.raw.body.startswith(b'{"model": "m"')
    assert request.headers["host"] == "x"
    assert (request.wire, request.model, request.is_streamed) == ("openai_chat", "m", True)
    assert (request.outcome, request.frames_sent) == ("finished", 12)


async def test_chunked_request_bodies_are_read(server: FaultServer) -> None:
    async with RawClient(server.port) as client:
        head = b"POST /v1/embeddings HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.writer.write(head + b'9\r\n{"input":\r\nb;note=x\r\n["one","b"]\r\n')
        client.writer.write(b"1\r\n}\r\n0\r\n\r\n")
        received = await client.receive()
    assert len(received.json["data"]) == 2


async def test_connections_are_kept_and_times_grow(server: FaultServer) -> None:
    async with RawClient(server.port) as client:
        for _ in range(3):
            await client.ask("openai_chat", "m")
        assert server.open_connections == 1
    times = [request.received_at_s for request in server.requests]
    assert all(earlier < later for earlier, later in pairwise(times))
    assert server.connections_accepted == 1


async def test_an_unknown_script_fails_the_test_that_asked_for_it() -> None:
    server = FaultServer()
    await server.start()
    assert (await ask(server.port, "openai_chat", "fault:nonesuch")).end == "reset"
    assert (await ask(server.port, "openai_chat", "fault:rst~att=3")).end == "reset"
    with pytest.raises(ExceptionGroup) as raised:
        await server.__aexit__()
    assert raised.group_contains(UnknownScript, match="nonesuch")
    assert raised.group_contains(UnknownScript, match="att")


async def test_a_server_with_a_certificate_speaks_https() -> None:
    authority = trustme.CA()
    ours, theirs = (
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH),
        ssl.create_default_context(),
    )
    authority.issue_cert("127.0.0.1").configure_cert(ours)
    authority.configure_trust(theirs)
    async with FaultServer(tls=ours) as server:
        assert server.base_url.startswith("https://")
        for script, end in (("ok", "complete"), ("rst", "reset"), ("hang", "silent")):
            async with RawClient(server.port, tls=theirs) as client:
                received = await client.ask("openai_chat", f"fault:{script}", within_s=0.3)
            assert received.end == end
        await server.wait_until_idle()
        assert server.requests[-1].outcome == "client_gone"


async def test_an_unknown_path_is_not_found(server: FaultServer) -> None:
    async with RawClient(server.port) as client:
        client.writer.write(b"GET /v1/models HTTP/1.1\r\n\r\n")
        assert (await client.receive()).status == 404
    assert server.requests == []
