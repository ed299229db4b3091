"""Writes a stream's messages, and minds two clocks: a caller that never reads, and long silence."""

import asyncio
from collections.abc import Awaitable
from typing import Self

import grpc
from google.protobuf.message import Message
from turnout.v1.chat_service_pb2 import ChatResponse, Heartbeat

from turnout_server.rpc.context import Context

HEARTBEAT_AFTER_S = 30.0
WRITE_TIMEOUT_S = 30.0
Headers = tuple[tuple[str, str], ...]


class StreamWriter:
    """One stream towards a caller; use it as a context manager around everything that writes.

    A write waits while the caller's window is full, which is how its pace reaches the upstream. One
    timer a stream, not one a message, cancels the call when a write has waited too long, and sends
    a heartbeat when nothing was written for as long, so that proxies keep the stream open. A
    heartbeat that goes ahead of `open` takes `early_headers` with it.
    """

    def __init__(
        self,
        context: Context,
        early_headers: Headers,
        *,
        heartbeat_after_s: float = HEARTBEAT_AFTER_S,
        write_timeout_s: float = WRITE_TIMEOUT_S,
    ) -> None:
        self._context = context
        self._early_headers = early_headers
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._heartbeat_after_s = heartbeat_after_s
        self._write_timeout_s = write_timeout_s
        self._tick_s = min(heartbeat_after_s, write_timeout_s) / 4
        self._last_write = self._loop.time()
        self._writing = False
        self._opened = False
        self._heartbeat: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(self._tick_s, self._tick)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._heartbeat is not None:
            self._heartbeat.cancel()

    async def open(self, headers: Headers) -> None:
        """Send the initial metadata, once; a heartbeat may have been first."""
        if self._heartbeat is not None:
            await self._heartbeat
        await self._open(headers)

    async def write(self, message: Message) -> None:
        """Send one message; returns when the transport has taken it."""
        if self._heartbeat is not None:
            await self._heartbeat
        await self._sent(self._context.write(message))

    async def _open(self, headers: Headers) -> None:
        if not self._opened:
            self._opened = True
            await self._sent(self._context.send_initial_metadata(headers))

    async def _sent(self, sending: Awaitable[None]) -> None:
        """Wait for the transport; a caller who has left is a cancelled call, and no error."""
        self._writing = True
        self._last_write = self._loop.time()
        try:
            await sending
        except grpc.aio.BaseError:
            self._abandon()
            raise asyncio.CancelledError from None
        finally:
            self._writing = False
            self._last_write = self._loop.time()

    def _abandon(self) -> None:
        """The caller has left in the middle of a write, whose failure may outrun grpc's cancel.

        A task of the call that wrote has the call cancelled; the call itself needs no second one.
        """
        if self._task is not None and asyncio.current_task() is not self._task:
            self._task.cancel("the caller has left")

    def _tick(self) -> None:
        silent_s = self._loop.time() - self._last_write
        if self._writing and silent_s >= self._write_timeout_s:
            if self._task is not None:
                self._task.cancel("the caller does not read")
            return
        idle = not self._writing and self._heartbeat is None
        if idle and silent_s >= self._heartbeat_after_s:
            self._heartbeat = self._loop.create_task(self._beat())
        self._timer = self._loop.call_later(self._tick_s, self._tick)

    async def _beat(self) -> None:
        try:
            await self._open(self._early_headers)
            await self._sent(self._context.write(ChatResponse(heartbeat=Heartbeat())))
        finally:
            self._heartbeat = None
