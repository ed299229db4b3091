"""The ledger: what is recorded is found again, whatever happens to the file."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs
from turnout.v1.errors_pb2 import ErrorReason
from turnout.v1.routing_pb2 import CacheStatus, Route
from turnout.v1.usage_pb2 import Usage
from turnout.v1.usage_service_pb2 import QueryUsageRequest, UsageDimension, UsageRow

from turnout_server.core.call import Call, Identity, Method
from turnout_server.core.clock import Clock
from turnout_server.core.errors import GatewayError
from turnout_server.core.watch import CallRecord
from turnout_server.store.ledger import Ledger, open_ledger
from turnout_server.store.ledger_file import LedgerUnavailable
from turnout_server.store.ledger_rows import Entry

NOON_S = 1_795_348_800.0
D = UsageDimension


def entry(
    *,
    tenant: str = "acme",
    method: Method = Method.CHAT,
    model: str = "smart",
    provider: str = "claude",
    code: str = "OK",
    at_s: float = NOON_S,
    labels: dict[str, str] | None = None,
    fell_back: bool = False,
    cache: CacheStatus.ValueType = CacheStatus.CACHE_STATUS_BYPASS,
    usage: Usage | None = None,
    **facts: Any,
) -> Entry:
    call = Call("r", method, Identity(tenant), 0.0, 0.0, model=model, labels=labels or {})
    reason = ErrorReason.ERROR_REASON_UNSPECIFIED
    route = Route(provider=provider, cache_status=cache)
    used = Usage(input_tokens=10, output_tokens=5, cost_nano_usd=70) if usage is None else usage
    facts.setdefault("duration_s", 1.0)
    return Entry(call, CallRecord(code, reason, route=route, usage=used, **facts), at_s, fell_back)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[Ledger]:
    ledger = open_ledger(f"sqlite:///{path}", clock=Clock(wall=lambda: NOON_S + 7200))
    yield ledger
    await asyncio.to_thread(ledger.close)


async def rows(
    ledger: Ledger, *dimensions: Any, tenant: str = "acme", **asked: Any
) -> list[UsageRow]:
    response = await ledger.query(tenant, QueryUsageRequest(dimensions=dimensions, **asked))
    return list(response.rows)


async def test_a_call_is_found_at_once(ledger: Ledger) -> None:
    ledger.record(entry(first_output_s=0.25, duration_s=2.0))
    (row,) = await rows(ledger)
    assert (row.requests, row.failures) == (1, 0)
    assert row.usage == Usage(input_tokens=10, output_tokens=5, cost_nano_usd=70)
    assert row.p50_time_to_first_output.ToNanoseconds() == pytest.approx(0.25e9, rel=0.03)
    assert row.p95_duration.ToNanoseconds() == pytest.approx(2e9, rel=0.03)


async def test_no_calls_are_a_row_of_zeros_and_no_group(ledger: Ledger) -> None:
    (row,) = await rows(ledger)
    assert row == UsageRow(usage=Usage(cost_nano_usd=0))
    assert await rows(ledger, D.USAGE_DIMENSION_MODEL) == []


async def test_a_tenant_sees_its_own_calls_only(ledger: Ledger) -> None:
    ledger.record(entry())
    ledger.record(entry(tenant="other"))
    assert [row.requests for row in await rows(ledger)] == [1]
    assert [row.requests for row in await rows(ledger, tenant="nobody")] == [0]


async def test_sums_are_broken_down_in_the_order_asked_for(ledger: Ledger) -> None:
    for model, code, number in (("b", "OK", 3), ("a", "ABORTED", 2), ("a", "OK", 1)):
        for _ in range(number):
            ledger.record(entry(model=model, code=code))
    found = await rows(ledger, D.USAGE_DIMENSION_CODE, D.USAGE_DIMENSION_MODEL)
    assert [(list(row.dimension_values), row.requests, row.failures) for row in found] == [
        (["ABORTED", "a"], 2, 2),
        (["OK", "a"], 1, 0),
        (["OK", "b"], 3, 0),
    ]
    by_method = await rows(ledger, D.USAGE_DIMENSION_METHOD, D.USAGE_DIMENSION_PROVIDER)
    assert [list(row.dimension_values) for row in by_method] == [["Chat", "claude"]]


async def test_buckets_of_time_hold_the_calls_of_their_time(ledger: Ledger) -> None:
    for minute in (0, 1, 59, 60, 61):
        ledger.record(entry(at_s=NOON_S + minute * 60, first_output_s=1.0 + minute))
    asked = QueryUsageRequest(dimensions=[D.USAGE_DIMENSION_TIME, D.USAGE_DIMENSION_MODEL])
    asked.bucket.FromSeconds(3600)
    response = await ledger.query("acme", asked)
    assert [(row.bucket_start.seconds - NOON_S, row.requests) for row in response.rows] == [
        (0, 3),
        (3600, 2),
    ]
    late = response.rows[1].p95_time_to_first_output.ToNanoseconds()
    assert late == pytest.approx(62e9, rel=0.03)


async def test_only_the_time_asked_about_counts(ledger: Ledger) -> None:
    for minute in range(10):
        ledger.record(entry(at_s=NOON_S + minute * 60))
    asked = QueryUsageRequest()
    asked.start_time.FromSeconds(int(NOON_S) + 120)
    asked.end_time.FromSeconds(int(NOON_S) + 300)
    response = await ledger.query("acme", asked)
    assert response.rows[0].requests == 3


async def test_calls_are_broken_down_by_the_label_asked_for(ledger: Ledger) -> None:
    ledger.record(entry(labels={"team": "red", "app": "x"}))
    ledger.record(entry(labels={"team": "blue", "": "nothing"}))
    ledger.record(entry(labels={"team": "blue"}))
    ledger.record(entry())
    found = await rows(ledger, D.USAGE_DIMENSION_LABEL, label_key="team")
    assert [(row.dimension_values[0], row.requests) for row in found] == [("blue", 2), ("red", 1)]
    assert [row.requests for row in await rows(ledger)] == [4]


async def test_an_unknown_price_is_never_nothing(ledger: Ledger) -> None:
    ledger.record(entry(model="priced"))
    ledger.record(entry(model="unpriced", usage=Usage(input_tokens=4, estimated=True)))
    ledger.record(entry(model="refused", code="RESOURCE_EXHAUSTED", usage=Usage()))
    (total,) = await rows(ledger)
    assert not total.usage.HasField("cost_nano_usd")
    assert total.usage.estimated
    assert total.usage.input_tokens == 14
    found = await rows(ledger, D.USAGE_DIMENSION_MODEL)
    costs = {r.dimension_values[0]: r.usage.HasField("cost_nano_usd") for r in found}
    assert costs == {"priced": True, "refused": True, "unpriced": False}


async def test_the_cache_and_fallbacks_are_counted(ledger: Ledger) -> None:
    hit, miss = CacheStatus.CACHE_STATUS_HIT, CacheStatus.CACHE_STATUS_MISS
    ledger.record(entry(cache=hit, cache_hits=1, saved_nano_usd=70, usage=Usage(cost_nano_usd=0)))
    ledger.record(entry(cache=miss, fell_back=True))
    ledger.record(entry(cache=CacheStatus.CACHE_STATUS_COALESCED, fell_back=True, code="ABORTED"))
    (row,) = await rows(ledger)
    assert (row.cache_hits, row.cache_misses, row.saved_nano_usd) == (1, 1, 70)
    assert (row.fallbacks, row.fallback_successes) == (2, 1)


async def test_texts_are_counted_one_by_one(ledger: Ledger) -> None:
    ledger.record(
        entry(
            method=Method.EMBED,
            cache=CacheStatus.CACHE_STATUS_MISS,
            cache_hits=30,
            embed_inputs=100,
            upstream_calls=2,
        )
    )
    (row,) = await rows(ledger)
    assert (row.cache_hits, row.cache_misses) == (30, 70)
    assert (row.embed_inputs, row.embed_upstream_calls) == (100, 2)


async def test_a_refused_call_does_not_make_a_dimension_of_what_it_named(ledger: Ledger) -> None:
    for number in range(50):
        named = entry(model=f"m{number}", provider="", code="NOT_FOUND", labels={f"k{number}": "v"})
        ledger.record(named)
    found = await rows(ledger, D.USAGE_DIMENSION_MODEL)
    assert [(list(row.dimension_values), row.requests) for row in found] == [([""], 50)]
    assert await rows(ledger, D.USAGE_DIMENSION_LABEL, label_key="k1") == []


async def test_pages_follow_one_another_to_the_end(ledger: Ledger) -> None:
    for number in range(25):
        ledger.record(entry(model=f"m{number:02}", first_output_s=1.0))
    seen, token = [], ""
    for size in (10, 10, 5):
        asked = QueryUsageRequest(
            dimensions=[D.USAGE_DIMENSION_MODEL], page_size=10, page_token=token
        )
        response = await ledger.query("acme", asked)
        assert len(response.rows) == size
        assert all(row.p50_time_to_first_output.seconds in (0, 1) for row in response.rows)
        assert all(row.HasField("p50_time_to_first_output") for row in response.rows)
        seen += [row.dimension_values[0] for row in response.rows]
        token = response.next_page_token
    assert not token
    assert seen == [f"m{number:02}" for number in range(25)]


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("dimensions[0]", {"dimensions": [D.USAGE_DIMENSION_UNSPECIFIED]}),
        ("dimensions[1]", {"dimensions": [D.USAGE_DIMENSION_CODE, D.USAGE_DIMENSION_CODE]}),
        ("bucket", {"dimensions": [D.USAGE_DIMENSION_TIME]}),
        ("label_key", {"dimensions": [D.USAGE_DIMENSION_LABEL]}),
        ("page_size", {"page_size": -1}),
        ("page_token", {"page_token": "!"}),
        ("page_token", {"page_token": "OyBEUk9Q"}),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(
    ledger: Ledger, field: str, asked: dict[str, Any]
) -> None:
    with pytest.raises(GatewayError) as refusal:
        await ledger.query("acme", QueryUsageRequest(**asked))
    assert refusal.value.reason == ErrorReason.ERROR_REASON_INVALID_REQUEST
    assert [violation.field for violation in refusal.value.violations] == [field]


async def test_names_with_sql_in_them_are_only_names(ledger: Ledger) -> None:
    evil = "'); DROP TABLE usage; --"
    ledger.record(entry(tenant=evil, model=evil, labels={evil: evil}))
    found = await rows(ledger, D.USAGE_DIMENSION_LABEL, tenant=evil, label_key=evil)
    assert [list(row.dimension_values) for row in found] == [[evil]]


async def test_what_is_recorded_survives_a_restart_and_adds_up(path: Path) -> None:
    for _ in range(3):
        ledger = open_ledger(f"sqlite:///{path}", clock=Clock(wall=lambda: NOON_S + 60))
        for _ in range(100):
            ledger.record(entry())
        await asyncio.to_thread(ledger.close)
    ledger = open_ledger(f"sqlite:///{path}", clock=Clock(wall=lambda: NOON_S + 60))
    assert [row.requests for row in await rows(ledger)] == [300]
    assert await ledger.spent_nano_usd(NOON_S) == {"acme": 300 * 70}
    assert await ledger.spent_nano_usd(NOON_S + 60) == {}
    await asyncio.to_thread(ledger.close)


async def test_two_ledgers_on_one_file_add_up(path: Path) -> None:
    clock = Clock(wall=lambda: NOON_S + 60)
    ledgers = [open_ledger(f"sqlite:///{path}", clock=clock) for _ in range(2)]
    for _ in range(200):
        for ledger in ledgers:
            ledger.record(entry())
        await asyncio.sleep(0)
    await asyncio.gather(*(ledger.flush() for ledger in ledgers))
    assert [row.requests for row in await rows(ledgers[0])] == [400]
    await asyncio.gather(*(asyncio.to_thread(ledger.close) for ledger in ledgers))


async def test_the_ledger_equals_the_sum_of_its_calls(ledger: Ledger) -> None:
    random, tokens = Random(5), 0
    for _ in range(2000):
        used = random.randrange(100)
        tokens += used
        ledger.record(
            entry(
                at_s=NOON_S + random.randrange(3600),
                model=random.choice("abc"),
                code=random.choice(["OK", "ABORTED"]),
                usage=Usage(output_tokens=used, cost_nano_usd=used),
            )
        )
    found = await rows(ledger, D.USAGE_DIMENSION_MODEL, D.USAGE_DIMENSION_CODE)
    assert sum(row.requests for row in found) == 2000
    assert sum(row.usage.output_tokens for row in found) == tokens
    assert sum(row.usage.cost_nano_usd for row in found) == tokens


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_locked_file_loses_nothing_and_is_told_once(ledger: Ledger, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    with capture_logs() as logs:
        other.execute("BEGIN IMMEDIATE")
        ledger.record(entry())
        await until(lambda: bool(logs))
        ledger.record(entry())
        other.execute("ROLLBACK")
        await until(lambda: len(logs) > 1)
    other.close()
    assert [line["log_level"] for line in logs] == ["error", "info"]
    assert [row.requests for row in await rows(ledger)] == [2]


async def test_a_full_disk_loses_nothing(ledger: Ledger) -> None:
    ledger.record(entry())
    await ledger.flush()
    database = ledger._writer.connection
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    with capture_logs() as logs:
        for number in range(300):
            ledger.record(entry(model=f"model-{number}" * 10))
        await ledger.flush()
        assert "full" in logs[0]["why"]
        ledger.record(entry())
        database.execute("PRAGMA max_page_count = 1000000")
        await ledger.flush()
    assert len(logs) == 2
    assert [row.requests for row in await rows(ledger)] == [302]


async def test_old_minutes_are_forgotten(path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{path}", clock=Clock(wall=lambda: NOON_S), keep_days=30)
    ledger.record(entry(at_s=NOON_S - 31 * 86400))
    ledger.record(entry(at_s=NOON_S - 29 * 86400))
    assert [row.requests for row in await rows(ledger)] == [1]
    await asyncio.to_thread(ledger.close)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://db/turnout", "postgresql is not built yet"),
        ("sqlite://", "sqlite:///file"),
        ("mysql://x", "sqlite:///file"),
        ("sqlite:////nowhere/at/all/usage.db", "unable to open"),
    ],
)
def test_a_ledger_that_cannot_be_opened_says_why(url: str, words: str) -> None:
    with pytest.raises(LedgerUnavailable, match=words):
        open_ledger(url)


def test_a_file_that_is_no_ledger_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not a database" * 100)
    with pytest.raises(LedgerUnavailable, match="not a database"):
        open_ledger(f"sqlite:///{other}")
    newer = tmp_path / "newer.db"
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(LedgerUnavailable, match="newer version"):
        open_ledger(f"sqlite:///{newer}")
