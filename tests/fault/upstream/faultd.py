"""The upstream that goes wrong on request: both wires, a script per request, raw asyncio."""

import asyncio
import json
import random
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Self

from tests.fault.upstream import (  # noqa: F401  importing registers their scripts
    status_faults,
    stream_faults,
    tool_faults,
    transport_faults,
)
from tests.fault.upstream.answer import Wire
from tests.fault.upstream.anthropic_script import AnthropicMessages
from tests.fault.upstream.embeddings_script import OpenAIEmbeddings
from tests.fault.upstream.exchange import Exchange, find_script
from tests.fault.upstream.http import (
    ClientGone,
    HttpConnection,
    RawRequest,
    WatchedProtocol,
    response_head,
)
from tests.fault.upstream.openai_script import OpenAIChat
from tests.fault.upstream.record import RecordedRequest
from tests.fault.upstream.script import Script

MODEL_PREFIX = "fault:"
TASK_PREFIX = "faultd"
"""Names of this server's tasks begin so, for those who count tasks."""

Rule = str | Callable[[RecordedRequest], str]

_POLL_S = 0.005


class FaultServer:
    """A provider under a test's control; an async context manager on a free port.

    A request is answered by the first of: the next script in `queue`, the rule for its model in
    `rules` (a script or a function of the request), the script its model names
    (`fault:<name>[~option=value]…`), `default`. Ahead of all of them, Anthropic's wire refuses a
    prefill that ends in white space, as the real one does. `requests` is the log of all requests.
    `active_requests` counts those whose script is still playing, `stale_closes` the requests that
    met a connection dead by script and are not in the log.

    Leaving the context raises what went wrong inside scripts, so that a fault of the harness is
    never taken for one of the upstream.

    `canary` is put into every error text, page and response header. `tls` makes it speak https.
    """

    def __init__(
        self, *, default: str = "ok", canary: str = "", tls: ssl.SSLContext | None = None
    ) -> None:
        self.default = default
        self.canary = canary
        self.queue: deque[str] = deque()
        self.rules: dict[str, Rule] = {}
        self.requests: list[RecordedRequest] = []
        self.active_requests = 0
        self.connections_accepted = 0
        self.stale_closes = 0
        self.errors: list[Exception] = []
        self.port = 0
        self._tls = tls
        self._dice: dict[str, random.Random] = {}
        self._connections: set[HttpConnection] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listener: asyncio.Server | None = None
        self._wires: dict[str, Wire] = {
            "/chat/completions": OpenAIChat(),
            "/embeddings": OpenAIEmbeddings(),
            "/messages": AnthropicMessages(),
        }

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        if self.errors:
            raise ExceptionGroup("scripts failed", self.errors)

    async def start(self) -> None:
        """Listen; after a `stop`, on the same port as before."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(
            lambda: WatchedProtocol(self._serve, loop),
            "127.0.0.1",
            self.port,
            ssl=self._tls,
            reuse_address=True,
            backlog=4096,
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and reset every connection; from now on connecting is refused."""
        if self._listener is not None:
            self._listener.close()
        await asyncio.sleep(0)  # handlers of connections just accepted start, and are then reset
        for connection in tuple(self._connections):
            connection.reset()
        await asyncio.gather(*self._tasks)
        self._listener = None

    @property
    def base_url(self) -> str:
        """The origin, which is what Anthropic's client wants."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def openai_base_url(self) -> str:
        """The origin with `/v1`, which is what OpenAI's client wants."""
        return f"{self.base_url}/v1"

    @property
    def open_connections(self) -> int:
        """Connections now open, idle ones included."""
        return len(self._connections)

    def forget(self) -> None:
        """Empty the queue, the rules and the log; open connections stay."""
        self.queue.clear()
        self.rules.clear()
        self.requests.clear()
        self._dice.clear()

    async def wait_for_requests(self, count: int, *, within_s: float = 2.0) -> None:
        """Wait until so many requests were received; raises TimeoutError."""
        await _wait_until(lambda: len(self.requests) >= count, within_s)

    async def wait_until_idle(self, *, within_s: float = 2.0) -> None:
        """Wait until no script is playing; raises TimeoutError."""
        await _wait_until(lambda: self.active_requests == 0, within_s)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections_accepted += 1
        connection = HttpConnection(self.connections_accepted, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        task.set_name(f"{TASK_PREFIX} connection {connection.number}")
        self._tasks.add(task)
        self._connections.add(connection)
        try:
            while not connection.closed_by_us and (raw := await connection.read_request()):
                await self._answer(connection, raw)
        finally:
            connection.close()
            self._connections.discard(connection)
            self._tasks.discard(task)

    async def _answer(self, connection: HttpConnection, raw: RawRequest) -> None:
        if connection.stale_on_next_request:
            self.stale_closes += 1
            connection.reset()
            return
        wire = self._find_wire(raw.path)
        if wire is None:
            await connection.write(response_head(404, [("content-length", "0")]))
            return
        request = RecordedRequest(
            number=len(self.requests) + 1,
            raw=raw,
            body=_parse(raw.body),
            wire=wire.name,
            script=Script(""),
            connection=connection,
            received_at_s=time.monotonic(),
        )
        self.requests.append(request)
        await self._play(request, wire)

    async def _play(self, request: RecordedRequest, wire: Wire) -> None:
        connection = request.connection
        self.active_requests += 1
        try:
            request.script = self._choose(request)
            exchange = Exchange(
                request=request,
                connection=connection,
                wire=wire,
                canary=self.canary,
                dice=self._dice,
            )
            await find_script(request.script.name)(exchange)
            request.outcome = "cut" if connection.closed_by_us else "finished"
        except ClientGone:
            request.outcome = "cut" if connection.closed_by_us else "client_gone"
        except Exception as error:  # noqa: BLE001  raised again by __aexit__, where the test sees it
            self.errors.append(error)
            request.outcome = "cut"
            connection.reset()
        finally:
            self.active_requests -= 1
            request.ended_at_s = time.monotonic()

    def _choose(self, request: RecordedRequest) -> Script:
        if request.wire == "anthropic_messages" and request.prefill[-1:].isspace():
            return Script("trailing_space")
        if self.queue:
            return Script.parse(self.queue.popleft())
        rule = self.rules.get(request.model)
        if rule is not None:
            return Script.parse(rule if isinstance(rule, str) else rule(request))
        named = request.model.startswith(MODEL_PREFIX)
        return Script.parse(request.model if named else self.default)

    def _find_wire(self, path: str) -> Wire | None:
        route = path.partition("?")[0]
        return next((wire for end, wire in self._wires.items() if route.endswith(end)), None)


def _parse(body: bytes) -> Any:
    """A body that is no JSON object is logged raw and read as an empty one."""
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


async def _wait_until(condition: Callable[[], bool], within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(_POLL_S)
