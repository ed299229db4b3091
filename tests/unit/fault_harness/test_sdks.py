"""The vendors' own clients read the good answers: the wires are real enough to test against."""

from tests.fault.upstream import INPUT_TOKENS, FaultServer, answer

TEXT = "".join(answer(12))


async def test_openais_client_reads_the_good_answers(server: FaultServer) -> None:
    import openai

    async with openai.AsyncOpenAI(
        api_key="k", base_url=server.openai_base_url, max_retries=0
    ) as client:
        stream = await client.chat.completions.create(
            model="fault:toolparallel~tokens=12",
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
        assert "".join(delta.content or "" for delta in deltas) == TEXT
        assert sum(len(delta.tool_calls or []) for delta in deltas) == 6
        assert chunks[-2].choices[0].finish_reason == "tool_calls"
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.prompt_tokens == INPUT_TOKENS

        embedded = await client.embeddings.create(model="m", input=["one", "two"])
        assert [len(item.embedding) for item in embedded.data] == [8, 8]


async def test_anthropics_client_reads_the_good_answers(server: FaultServer) -> None:
    import anthropic

    async with (
        anthropic.AsyncAnthropic(api_key="k", base_url=server.base_url, max_retries=0) as client,
        client.messages.stream(
            model="fault:toolinterleaved~tokens=12~thinking=2",
            max_tokens=1000,
            messages=[{"role": "user", "content": "hi"}],
        ) as stream,
    ):
        message = await stream.get_final_message()
    kinds = [block.type for block in message.content]
    assert kinds == ["thinking", "text", "tool_use", "tool_use"]
    assert [block.text for block in message.content if block.type == "text"] == [TEXT]
    inputs = [block.input for block in message.content if block.type == "tool_use"]
    assert inputs == [{"city": "Köln 0"}, {"city": "Köln 1"}]
    assert message.stop_reason == "tool_use"
    assert message.usage.output_tokens == 14
