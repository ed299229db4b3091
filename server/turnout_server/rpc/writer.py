"""Writes a stream's messages, and minds two clocks: a caller that never reads, and long silence."""

import asyncio
from typing import Self

import grpc
from google.protobuf.message import Message
from turnout.v1.chat_service_pb2 import ChatResponse, Heartbeat

from turnout_server.rpc.context import Context

HEARTBEAT_AFTER_S = 30.0
WRITE_TIMEOUT_S = 30.0


class StreamWriter:
    """One stream towards a caller; use it as a context manager around everything that writes.

    A write waits while the caller's window is full, which is how its pace reaches the upstream. One
    timer a stream, not one a message, cancels the call when a write has waited too long, and sends
    a heartbeat when nothing was written for as long, so that proxies keep the stream open.
    """

    def __init__(
        self,
        context: Context,
        *,
        heartbeat_after_s: float = HEARTBEAT_AFTER_S,
        write_timeout_s: float = WRITE_TIMEOUT_S,
    ) -> None:
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._heartbeat_after_s = heartbeat_after_s
        self._write_timeout_s = write_timeout_s
        self._tick_s = min(heartbeat_after_s, write_timeout_s) / 4
        self._last_write = self._loop.time()
        self._writing = False
        self._heartbeat: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(self._tick_s, self._tick)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._heartbeat is not None:
            self._heartbeat.cancel()

    async def write(self, message: Message) -> None:
        """Send one message; returns when the transport has taken it."""
        if self._heartbeat is not None:
            await self._heartbeat
        self._writing = True
        self._last_write = self._loop.time()
        try:
            await self._context.write(message)
        except grpc.aio.BaseError:
            self._abandon()
            raise asyncio.CancelledError from None
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
        if not self._writing and silent_s >= self._heartbeat_after_s:
            self._last_write = self._loop.time()
            self._heartbeat = self._loop.create_task(self._beat())
        self._timer = self._loop.call_later(self._tick_s, self._tick)

    async def _beat(self) -> None:
        try:
            await self._context.write(ChatResponse(heartbeat=Heartbeat()))
        finally:
            self._heartbeat = None
