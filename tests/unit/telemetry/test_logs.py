"""Every line of the process: its shape, its ids, and what it never holds."""

import asyncio
import json
import logging
import os
import time
from pathlib import Path

import httpx2
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.telemetry.conftest import Lines
from turnout_server.telemetry import logs
from turnout_server.telemetry.redaction import keep_known

SECRET = "canary-prompt-7f3a"


def test_a_line_is_json_with_time_level_and_event(lines: Lines) -> None:
    structlog.get_logger("here").info("serving", port=50051)
    [line] = lines()
    assert line["timestamp"].endswith("Z")
    assert (line["level"], line["event"]) == ("info", "serving")
    assert (line["logger"], line["port"]) == ("here", 50051)


def test_a_key_that_is_not_on_the_list_is_withheld_by_name(lines: Lines) -> None:
    structlog.get_logger().info("said", prompt=SECRET, output=[SECRET], port=1)
    [line] = lines()
    assert SECRET not in json.dumps(line)
    assert line["withheld"] == ["output", "prompt"]
    assert line["port"] == 1


def test_an_object_under_a_known_key_shows_only_its_type(lines: Lines) -> None:
    structlog.get_logger().info("said", detail={"text": SECRET}, error=ValueError(SECRET))
    [line] = lines()
    assert (line["detail"], line["error"]) == ("(mapping)", "(ValueError)")


def test_an_exception_shows_its_types_and_places_and_never_its_text(lines: Lines) -> None:
    try:
        try:
            int(SECRET)
        except ValueError as error:
            raise RuntimeError(f"read {SECRET}") from error
    except RuntimeError:
        structlog.get_logger().exception("a bug")
    [line] = lines()
    assert line["error"] == ["RuntimeError", "ValueError"]
    assert "test_logs.py" in line["places"][-1]
    assert SECRET not in json.dumps(line)


def test_each_of_many_concurrent_calls_keeps_its_own_ids(lines: Lines) -> None:
    async def one(number: int) -> None:
        structlog.contextvars.bind_contextvars(request_id=f"r{number}", trace_id=f"t{number}")
        await asyncio.sleep(0)
        structlog.get_logger().info("within", count=number)

    async def all_of_them() -> None:
        await asyncio.gather(*(asyncio.create_task(one(number)) for number in range(50)))

    asyncio.run(all_of_them())
    read = lines()
    assert len(read) == 50
    assert all(
        (x["request_id"], x["trace_id"]) == (f"r{x['count']}", f"t{x['count']}") for x in read
    )


def test_other_libraries_are_heard_from_warning_up_in_the_same_shape(lines: Lines) -> None:
    logging.getLogger("openai").info("request %s", SECRET)
    logging.getLogger("openai").warning("retry %d after %.1f s: %s", 2, 0.5, SECRET)
    [line] = lines()
    assert (line["level"], line["logger"]) == ("warning", "openai")
    assert line["event"] == "retry 2 after 0.5 s: …"


def test_a_task_that_died_unseen_shows_no_text_of_its_error(lines: Lines) -> None:
    async def die() -> None:
        raise ValueError(SECRET)

    async def forget() -> None:
        task = asyncio.create_task(die())
        await asyncio.sleep(0)
        del task
        await asyncio.sleep(0)

    asyncio.run(forget())
    [line] = lines()
    assert (line["event"], line["error"]) == ("Task exception was never retrieved", ["ValueError"])
    assert SECRET not in json.dumps(line)


def test_a_callback_that_failed_shows_none_of_its_arguments(lines: Lines) -> None:
    async def fail() -> None:
        asyncio.get_running_loop().call_soon(int, SECRET)
        await asyncio.sleep(0)

    asyncio.run(fail())
    [line] = lines()
    assert line["event"].startswith("Exception in callback int")
    assert SECRET not in json.dumps(line)


def test_a_client_that_fails_within_httpx_leaks_no_url(lines: Lines) -> None:
    with pytest.raises(httpx2.ConnectError), httpx2.Client(trust_env=False) as client:
        client.get(f"http://127.0.0.1:9/?key={SECRET}")
    logging.getLogger("httpx2").warning(f"failed for {SECRET!r}")
    assert SECRET not in json.dumps(lines())


def test_our_own_modules_may_log_by_logging_too(lines: Lines) -> None:
    logging.getLogger("turnout_server.providers").info("%s restarts with sk-abcdefgh12345", "it")
    [line] = lines()
    assert line["event"] == "it restarts with [redacted]"


def test_a_line_feed_forges_no_line(lines: Lines) -> None:
    structlog.get_logger().info("call", model='m"}\n{"level":"error"}')
    assert len(lines()) == 1


@pytest.mark.parametrize("line_format", ["json", "console"])
def test_console_and_json_lines_are_one_line_each(tmp_path: Path, line_format: str) -> None:
    fd = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
    sink = logs.configure(line_format=line_format, fd=fd)
    structlog.get_logger("x").error("bad\nevent", model="a\r\nb\x1b[31m", exc_info=KeyError("x"))
    sink.close()
    os.close(fd)
    [line] = (tmp_path / "log").read_bytes().splitlines()
    assert b"\x1b" not in line
    assert b"KeyError" in line


def test_the_level_is_obeyed(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "log", os.O_CREAT | os.O_WRONLY)
    sink = logs.configure(level="error", fd=fd)
    structlog.get_logger("x").warning("quiet")
    logging.getLogger("turnout_server.x").warning("quiet")
    structlog.get_logger("x").error("loud")
    sink.close()
    os.close(fd)
    assert (tmp_path / "log").read_bytes().count(b"\n") == 1


async def test_logging_into_a_full_pipe_leaves_the_loop_alone() -> None:
    reader, writer = os.pipe()
    sink = logs.configure(fd=writer)
    log = structlog.get_logger("x")
    longest_s = 0.0
    for number in range(20_000):
        before = time.perf_counter()
        log.info("call", count=number)
        longest_s = max(longest_s, time.perf_counter() - before)
    assert longest_s < 1  # a blocked write would last for ever
    assert sink.dropped > 0
    os.close(reader)  # lets the writer's thread go
    sink.close()
    os.close(writer)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["event", "detail", "files", "prompt", "model"]), anything))
def test_whatever_is_logged_can_be_rendered(event: dict[str, object]) -> None:
    kept = keep_known(None, "info", event)
    assert len(logs._json(None, "info", kept).splitlines()) == 1
    assert "prompt" not in kept
