"""The ledger of what was used: summed up as it is written, by a thread of its own.

    record -> queue -> thread: sums in memory -> one transaction a second -> SQLite

A disk that is full or a file that is locked costs no call anything: the sums wait in memory, where
their number is bounded by the combinations of dimensions and not by the calls.
"""

import asyncio
import queue
import sqlite3
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import structlog
from turnout.v1.usage_service_pb2 import QueryUsageRequest, QueryUsageResponse

from turnout_server.core.clock import SYSTEM_CLOCK, Clock
from turnout_server.store.ledger_file import LedgerFile, LedgerUnavailable
from turnout_server.store.ledger_query import Query, run_query
from turnout_server.store.ledger_rows import Entry, Sums

_log = structlog.get_logger(__name__)

_WRITE_EVERY_S: Final = 1.0
_MOST_QUEUED: Final = 50_000
_MOST_SUMS: Final = 50_000
_FORGET_EVERY_S: Final = 3600.0
_SPENT = """
SELECT tenant, SUM(cost_nano_usd) FROM usage JOIN series ON series.id = usage.series
WHERE label_key = '' AND minute >= ? GROUP BY tenant
"""

_Item = Entry | Future[None] | None
"""A call, a wish to be told when everything before it is written, or the end."""


def open_ledger(url: str, *, clock: Clock = SYSTEM_CLOCK, keep_days: int = 400) -> "Ledger":
    """The ledger at `sqlite:///file`. It blocks on the file. Raises LedgerUnavailable."""
    scheme, _, path = url.partition("://")
    if scheme.startswith("postgres"):
        raise LedgerUnavailable("postgresql is not built yet; use sqlite:///file")
    if scheme != "sqlite" or len(path) < 2 or not path.startswith("/"):
        raise LedgerUnavailable("usage.url must be sqlite:///file")
    return Ledger(Path(path[1:]), clock, keep_days)


class Ledger:
    """Sums over calls, by minute and dimension. `close` it, or its last second is lost."""

    def __init__(self, path: Path, clock: Clock, keep_days: int) -> None:
        self._writer = LedgerFile(path)
        self._reader = LedgerFile(path)
        self._clock = clock
        self._keep_minutes = keep_days * 24 * 60
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._sums = Sums()
        self._lost = 0
        self._failing = False
        self._forget_at = 0.0
        self._readers = ThreadPoolExecutor(1, "turnout-ledger-reader")
        self._thread = threading.Thread(target=self._run, name="turnout-ledger", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Calls that are on no record, since there were more than memory may hold."""
        return self._lost

    def record(self, entry: Entry) -> None:
        """Add one call. Never blocks."""
        if self._queue.qsize() >= _MOST_QUEUED:
            self._lost += 1
        else:
            self._queue.put(entry)

    async def flush(self, wait_s: float = 2.0) -> None:
        """Wait until what was recorded so far is written, or cannot be; at most `wait_s`."""
        done: Future[None] = Future()
        self._queue.put(done)
        await asyncio.wait([asyncio.wrap_future(done)], timeout=wait_s)

    async def query(self, tenant: str, request: QueryUsageRequest) -> QueryUsageResponse:
        """Sums over one tenant's calls, those just made included.

        Raises GatewayError INVALID_REQUEST, and INTERNAL when the file cannot be read.
        """
        query = Query.of(tenant, request, self._clock.wall())
        await self.flush()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, run_query, self._reader, query)

    async def spent_nano_usd(self, since_wall_s: float) -> dict[str, int]:
        """What each tenant has spent since a moment, to the minute. Raises sqlite3.Error."""
        await self.flush()
        loop = asyncio.get_running_loop()
        minute = int(since_wall_s // 60)
        rows = await loop.run_in_executor(self._readers, self._reader.select, _SPENT, (minute,))
        return {str(tenant): int(str(spent)) for tenant, spent in rows}

    def close(self, wait_s: float = 3.0) -> None:
        """Write what waits, for at most `wait_s`. It blocks: call it off the event loop."""
        self._queue.put(None)
        self._thread.join(wait_s)
        self._readers.shutdown(wait=False)
        if not self._thread.is_alive():
            self._writer.close()
            self._reader.close()

    def _run(self) -> None:
        open_for_more = True
        while open_for_more:
            waiting, open_for_more = self._gather()
            self._write()
            for done in waiting:
                done.set_result(None)

    def _gather(self) -> tuple[list[Future[None]], bool]:
        """Sum up what comes within a second, or until somebody waits or all is over."""
        ends = self._clock.monotonic() + _WRITE_EVERY_S
        idle = not self._sums.counts
        while True:
            left_s = ends - self._clock.monotonic()
            if left_s <= 0 and not idle:
                return [], True
            try:
                item = self._queue.get(timeout=None if idle else left_s)
            except queue.Empty:
                return [], True
            if item is None:
                return [], False
            if isinstance(item, Future):
                return [item], True
            if idle:
                idle, ends = False, self._clock.monotonic() + _WRITE_EVERY_S
            self._add(item)

    def _add(self, entry: Entry) -> None:
        if len(self._sums) >= _MOST_SUMS:
            self._lost += 1
            return
        try:
            self._sums.add(entry)
        except Exception:  # noqa: BLE001  one odd call must not end the thread, and so the ledger
            self._lost += 1
            _log.exception("a call could not be booked")

    def _write(self) -> None:
        try:
            if self._sums.counts:
                self._writer.write(self._sums)
            self._sums = Sums()
            if self._clock.monotonic() >= self._forget_at:
                self._forget_at = self._clock.monotonic() + _FORGET_EVERY_S
                self._writer.forget(int(self._clock.wall() // 60) - self._keep_minutes)
        except sqlite3.Error as error:
            if not self._failing:
                _log.error("usage cannot be written and is kept in memory", why=str(error))
            self._failing = True
            return
        if self._failing:
            _log.info("usage is written again", calls_lost=self._lost)
        self._failing = False
