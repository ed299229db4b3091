"""One pipelined connection to Redis that costs a call at most 100 ms, once.

    submit -> queue -> run: one batch at a time, all commands that have gathered -> replies

A batch that fails closes the link: whoever waits is told at once, whoever comes is refused without
waiting, and `run` tries in the background until a write succeeds again. redis-py brings addresses,
TLS, log-in and the protocol; its pool and its retries (10, up to 15 s on a server that hangs) are
left aside.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any

import structlog
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from turnout_server.store.values import StoreUnavailable

_log = structlog.get_logger(__name__)

Argument = str | int | bytes

_BATCH_COMMANDS = 128
_BATCH_BYTES = 1 << 20
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_STEADY_S = 10.0
"""A link that fails sooner than this after it opened is tried again after a longer pause."""
_STOPPED = "it was stopped"
_LAG_S = 0.02
"""A timer that fires this late was held up by our own event loop, and so may the reply be."""
_UNFIT = (
    ReadOnlyError,
    MovedError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
)
_UNFIT_WORDS = ("MISCONF", "NOREPLICAS", "BUSY")
"""Replies that every further command would get as well: the server is up and no use to us."""


class RedisUnavailable(StoreUnavailable):
    """Redis cannot be asked now."""


class Script:
    """A Lua script that Redis knows by its hash."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.sha = sha1(source.encode(), usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class _Command:
    args: tuple[Argument, ...]
    reply: asyncio.Future[Any]
    queued_at: float
    size_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.size_bytes = sum(len(arg) for arg in self.args if isinstance(arg, (str, bytes)))

    def answer(self, reply: object) -> None:
        if self.reply.done():
            return
        if isinstance(reply, Exception):
            self.reply.set_exception(reply)
        else:
            self.reply.set_result(reply)


class _Patience:
    """Expires a timer, but not when our own loop stood still: then the replies get one more turn.

    They may lie unread in the socket, and a timer that is due is served before a reader that wakes.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timer: asyncio.Timeout, limit_s: float
    ) -> None:
        self._loop = loop
        self._timer = timer
        self._limit_s = limit_s
        self._forgiving = True

    def wait_until(self, due: float) -> None:
        self._due = due
        self._handle = self._loop.call_at(due, self._expire)

    def end(self) -> None:
        self._handle.cancel()

    def _expire(self) -> None:
        if self._forgiving and self._loop.time() - self._due > _LAG_S:
            self._forgiving = False
            self.wait_until(self._loop.time() + self._limit_s)
        else:
            self._timer.reschedule(self._loop.time())


class RedisLink:
    """A connection that is up or down. `start` it, `run` it in a task, `submit` to it.

    `name` and `consequence` make its log lines, one for each change of state. `limit_s` bounds a
    command from queue to reply. With `needs_room`, a server that is full counts as down.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        consequence: str,
        scripts: Sequence[Script] = (),
        limit_s: float = 0.06,
        needs_room: bool = False,
    ) -> None:
        self._pool = ConnectionPool.from_url(
            url,
            socket_timeout=None,
            socket_connect_timeout=1.0,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
        )
        self._connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        self._name = name
        self._consequence = consequence
        self._scripts = scripts
        self._limit_s = limit_s
        self._unfit = (*_UNFIT, OutOfMemoryError) if needs_room else _UNFIT
        self._subscribers: list[Callable[[bool], None]] = []
        self._queue: deque[_Command] = deque()
        self._wake = asyncio.Event()
        self._why_down = "it was not started"
        self._up_since: float | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._told_up: bool | None = None

    @property
    def up(self) -> bool:
        """Whether commands are taken now."""
        return self._up_since is not None

    def subscribe(self, subscriber: Callable[[bool], None]) -> None:
        """Be told of each change: True when the link opens, False when it closes."""
        self._subscribers.append(subscriber)

    async def start(self) -> None:
        """Try once to connect, for at most a second; a server that is away is no error."""
        await self._open()

    async def run(self) -> None:
        """Send what is submitted and mend the link, until cancelled. One task may do so."""
        try:
            while True:
                if not self.up:
                    await asyncio.sleep(self._pause_s)
                    await self._open()
                elif self._queue:
                    await self._flush()
                else:
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            self._shut(_STOPPED)
            await self._connection.disconnect(nowait=True)

    def submit(self, *args: Argument) -> asyncio.Future[Any]:
        """Queue a command; commands are sent in the order of their submission.

        The future holds the reply, a ResponseError that Redis answered, or RedisUnavailable.
        Raises RedisUnavailable at once while the link is down.
        """
        if not self.up:
            raise RedisUnavailable(self._why_down)
        loop = asyncio.get_running_loop()
        command = _Command(args, loop.create_future(), loop.time())
        self._queue.append(command)
        self._wake.set()
        return command.reply

    def submit_script(
        self, script: Script, keys: Sequence[str], args: Sequence[Argument]
    ) -> asyncio.Future[Any]:
        """Queue a call of one of the link's scripts; see `submit`."""
        return self.submit("EVALSHA", script.sha, len(keys), *keys, *args)

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(1.0):
                await self._connection.disconnect(nowait=True)
                await self._connection.connect()  # type: ignore[no-untyped-call]
                for script in self._scripts:
                    await self._ask("SCRIPT LOAD", script.source)
            async with asyncio.timeout(self._limit_s):
                # A write, since a replica and a full server answer PING as if all were well.
                await self._ask("SET", "turnout:probe", "1", "PX", 1000)
        except (RedisError, OSError, TimeoutError) as error:
            if not self._passes_probe(error):
                self._down(_reason(error))
                self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
                return
        self._up_since = asyncio.get_running_loop().time()
        self._tell(up=True)

    def _passes_probe(self, error: Exception) -> bool:
        return isinstance(error, OutOfMemoryError) and OutOfMemoryError not in self._unfit

    async def _ask(self, *args: Argument) -> object:
        await self._connection.send_command(*args)
        return await self._connection.read_response()

    async def _flush(self) -> None:
        batch = self._next_batch()
        try:
            forgotten = await self._within(batch, self._exchange(batch))
            if forgotten:
                # A failover or SCRIPT FLUSH lost them: load all, and send again what was refused.
                load = [("SCRIPT LOAD", script.source) for script in self._scripts]
                await self._within(forgotten, self._reload(load, forgotten))
        except (RedisError, OSError, TimeoutError) as error:
            self._fail(batch, error)
        except asyncio.CancelledError:
            self._shut(_STOPPED)
            self._refuse(batch)
            raise

    def _next_batch(self) -> list[_Command]:
        batch: list[_Command] = []
        size_bytes = 0
        while self._queue and len(batch) < _BATCH_COMMANDS and size_bytes < _BATCH_BYTES:
            batch.append(self._queue.popleft())
            size_bytes += batch[-1].size_bytes
        return batch

    async def _exchange(self, batch: list[_Command]) -> list[_Command]:
        """Send a batch and hand out the replies; returns the commands whose script is not known."""
        packed = self._connection.pack_commands([command.args for command in batch])
        await self._connection.send_packed_command(packed, check_health=False)
        forgotten = []
        unfit: ResponseError | None = None
        for command in batch:
            try:
                command.answer(await self._connection.read_response())
            except NoScriptError:
                forgotten.append(command)
            except ResponseError as error:
                if isinstance(error, self._unfit) or str(error).startswith(_UNFIT_WORDS):
                    unfit = error
                    command.answer(RedisUnavailable(_reason(error)))
                else:
                    command.answer(error)
        if unfit is not None:
            raise unfit
        return forgotten

    async def _reload(
        self, load: list[tuple[str, str]], forgotten: list[_Command]
    ) -> list[_Command]:
        for command in load:
            await self._ask(*command)
        return await self._exchange(forgotten)

    async def _within(self, batch: list[_Command], work: Any) -> list[_Command]:
        """Await the work for as long as its oldest command may wait, and at least half of that."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        ends = max(batch[0].queued_at + self._limit_s, now + self._limit_s / 2)
        async with asyncio.timeout(None) as timer:
            patience = _Patience(loop, timer, self._limit_s)
            patience.wait_until(ends)
            try:
                return list(await work)
            finally:
                patience.end()

    def _fail(self, batch: list[_Command], error: Exception) -> None:
        self._down(_reason(error))
        self._refuse(batch)

    def _down(self, why: str) -> None:
        if self._up_since is not None:
            was_up_s = asyncio.get_running_loop().time() - self._up_since
            self._pause_s = _FIRST_PAUSE_S if was_up_s > _STEADY_S else self._pause_s
        self._shut(why)
        self._tell(up=False)

    def _shut(self, why: str) -> None:
        self._up_since = None
        self._why_down = why
        self._refuse(self._queue)
        self._queue.clear()

    def _refuse(self, commands: Iterable[_Command]) -> None:
        for command in commands:
            command.answer(RedisUnavailable(self._why_down))

    def _tell(self, *, up: bool) -> None:
        if up == self._told_up:
            return
        first, self._told_up = self._told_up is None, up
        if not up:
            _log.warning(
                "redis is away", store=self._name, why=self._why_down, until=self._consequence
            )
        elif not first:
            _log.info("redis is back", store=self._name)
        for subscriber in self._subscribers:
            subscriber(up)


def _reason(error: Exception) -> str:
    """The class and at most a line: a server's words may hold what was sent to it."""
    return f"{type(error).__name__}: {str(error)[:120]}".rstrip(": ")
