"""The ledger's file: SQLite in WAL mode, which several processes may write to."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from turnout_server.store.ledger_rows import COUNTS, Series, Sums

_SCHEMA_VERSION = 1
_BUSY_S = 0.5
"""How long a write waits for another process; what it could not write it writes a second later."""
_DIMENSIONS = ("tenant", "method", "model", "provider", "code", "label_key", "label_value")
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS series (
  id INTEGER PRIMARY KEY,
  {", ".join(f"{name} TEXT NOT NULL" for name in _DIMENSIONS)},
  UNIQUE ({", ".join(_DIMENSIONS)})
);
CREATE TABLE IF NOT EXISTS usage (
  series INTEGER NOT NULL,
  minute INTEGER NOT NULL,
  {", ".join(f"{name} INTEGER NOT NULL" for name in COUNTS)},
  PRIMARY KEY (series, minute)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS latency (
  series INTEGER NOT NULL,
  minute INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  bucket INTEGER NOT NULL,
  calls INTEGER NOT NULL,
  PRIMARY KEY (series, minute, kind, bucket)
) WITHOUT ROWID;
PRAGMA user_version = {_SCHEMA_VERSION};
"""
# The names in these statements are constants of this file; values are always parameters.
_NAMES, _PLACES = ", ".join(_DIMENSIONS), ", ".join("?" * len(_DIMENSIONS))
_FIND_SERIES = f"SELECT id FROM series WHERE ({_NAMES}) = ({_PLACES})"  # noqa: S608
_ADD_SERIES = f"INSERT INTO series ({_NAMES}) VALUES ({_PLACES})"  # noqa: S608
_ADD_USAGE = f"""
INSERT INTO usage (series, minute, {", ".join(COUNTS)})
VALUES ({", ".join("?" * (2 + len(COUNTS)))})
ON CONFLICT DO UPDATE SET {", ".join(f"{name} = {name} + excluded.{name}" for name in COUNTS)}
"""  # noqa: S608
_ADD_LATENCY = """
INSERT INTO latency (series, minute, kind, bucket, calls) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET calls = calls + excluded.calls
"""


class LedgerUnavailable(Exception):
    """The ledger cannot be opened; `str()` says why."""


class LedgerFile:
    """One connection, for one thread at a time."""

    def __init__(self, path: Path) -> None:
        try:
            self.connection = sqlite3.connect(
                path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"{path}: {error}") from error
        try:
            self._prepare(path)
        except BaseException:
            self.connection.close()
            raise

    def _prepare(self, path: Path) -> None:
        try:
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA synchronous = NORMAL")
            (version,) = self.connection.execute("PRAGMA user_version").fetchone()
            if version > _SCHEMA_VERSION:
                raise LedgerUnavailable(f"{path} was written by a newer version")
            self.connection.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"{path}: {error}") from error

    def write(self, sums: Sums) -> None:
        """Add the sums, all or none. Raises sqlite3.Error."""
        with self._transaction():
            identities: dict[Series, int] = {}
            for (minute, series), counts in sums.counts.items():
                if series not in identities:
                    identities[series] = self._identity(series)
                self.connection.execute(_ADD_USAGE, (identities[series], minute, *counts))
            self.connection.executemany(
                _ADD_LATENCY,
                (
                    (identities[series], minute, kind, bucket, calls)
                    for (minute, series, kind, bucket), calls in sums.latencies.items()
                ),
            )

    def forget(self, before_minute: int) -> None:
        """Drop what is older. Raises sqlite3.Error."""
        with self._transaction():
            for table in ("usage", "latency"):
                self.connection.execute(
                    f"DELETE FROM {table} WHERE minute < ?",  # noqa: S608  one of two constants
                    (before_minute,),
                )

    def select(self, statement: str, parameters: Iterable[object]) -> list[tuple[object, ...]]:
        """Rows of a query. Raises sqlite3.Error."""
        return self.connection.execute(statement, tuple(parameters)).fetchall()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def _identity(self, series: Series) -> int:
        names = tuple(getattr(series, name) for name in _DIMENSIONS)
        found = self.connection.execute(_FIND_SERIES, names).fetchone()
        if found is not None:
            return int(found[0])
        identity = self.connection.execute(_ADD_SERIES, names).lastrowid
        assert identity is not None
        return identity

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            # A full disk ends the transaction by itself.
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            raise
