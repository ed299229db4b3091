"""Guarded HTTP to a provider: what every wire opens its answers through, whatever SDK sends them.

    http_client(endpoint)          the `http_client=` of an SDK's client; one for each endpoint
    body_of(response)              the raw body of an answer: `read()`, `read_all()`, `aclose()`
    media_type(response), require_event_stream(response)
    status_kind(status)            what a status means by itself
    failure_within(error)          our failure, if an SDK wrapped it

Nothing is decompressed, redirected, proxied, retried or remembered between answers. An answer of
300 and above is read here, bounded in bytes and time, so that an SDK can make its error of it.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from functools import cache
from io import BytesIO
from types import SimpleNamespace
from typing import cast

import aiohttp
import httpx2
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.target import Endpoint
from turnout_server.providers.resolver import GuardedResolver

MAX_CONNECTIONS = 1000
POOL_WAIT_S = 1.0
IDLE_CONNECTION_S = 15.0
MAX_BODY_BYTES = 32 << 20
MAX_ERROR_BODY_BYTES = 64 << 10
LARGE_UPLOAD_BYTES = 1 << 20
ERROR_BODY_WAIT_S = 2.0
DRAIN_WAIT_S = 0.05
_BODY = "turnout_body"


def http_client(
    endpoint: Endpoint,
    *,
    max_connections: int = MAX_CONNECTIONS,
    tls: ssl.SSLContext | None = None,
) -> httpx2.AsyncClient:
    """Make the HTTP client of one endpoint; close it to close its connections.

    No timer runs on reading: how long output may take is for the router to say. Every fault on the
    way to the head of an answer is raised as ProviderFailure.
    """
    transport = GuardedTransport(
        connect_s=endpoint.timeouts.connect_s, max_connections=max_connections, tls=tls
    )
    return httpx2.AsyncClient(
        transport=transport, follow_redirects=False, trust_env=False, timeout=None
    )


def body_of(response: httpx2.Response) -> "Body":
    """The body of an answer that came through `http_client`; whoever asks must close it."""
    return cast(Body, response.extensions[_BODY])


def media_type(response: httpx2.Response) -> str:
    """The declared content type in lower case, without parameters; empty when there is none."""
    return str(response.headers.get("content-type", "")).partition(";")[0].strip().lower()


def require_event_stream(response: httpx2.Response) -> None:
    """Refuse an answer that is not declared as text/event-stream: a page, a JSON error, nothing."""
    if media_type(response) != "text/event-stream":
        raise ProviderFailure(
            FailureKind.ERROR,
            "the answer is not an event stream",
            http_status=response.status_code,
        )


def status_kind(status: int) -> FailureKind:
    """What a status of 300 or above means where the error itself says nothing finer."""
    if status in _KINDS_BY_STATUS:
        return _KINDS_BY_STATUS[status]
    return FailureKind.REJECTED if 400 <= status < 500 else FailureKind.ERROR


def failure_within(error: BaseException) -> ProviderFailure | None:
    """The ProviderFailure that `error` is or was raised from, when an SDK wrapped it in its own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ProviderFailure):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


class Body(httpx2.AsyncByteStream):
    """The body of one answer, as it comes off the connection.

    A body closed before its end takes the connection with it; one read to its end gives the
    connection back to the pool.
    """

    def __init__(self, answer: aiohttp.ClientResponse, slot: asyncio.Semaphore) -> None:
        self._answer = answer
        self._slot: asyncio.Semaphore | None = slot

    async def read(self) -> bytes:
        """Wait for what the next read brings; empty at the end. Raises ProviderFailure."""
        try:
            return await self._answer.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ProviderFailure(
                FailureKind.ERROR, f"the answer broke off: {type(error).__name__}"
            ) from error

    async def read_all(self, *, limit_bytes: int = MAX_BODY_BYTES) -> bytes:
        """Read to the end; a body over the limit is a failure."""
        pieces: list[bytes] = []
        size_bytes = 0
        while piece := await self.read():
            size_bytes += len(piece)
            if size_bytes > limit_bytes:
                raise ProviderFailure(FailureKind.ERROR, f"the answer passes {limit_bytes} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    async def drain(self, *, wait_s: float = DRAIN_WAIT_S) -> None:
        """After a terminal event: let the end arrive, so that the connection can serve again."""
        try:
            async with asyncio.timeout(wait_s):
                while await self.read():
                    pass
        except (TimeoutError, ProviderFailure):
            await self.aclose()

    async def aclose(self) -> None:
        """Give up the rest at once: nothing is awaited."""
        self._answer.close()
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.read():
            yield piece


class GuardedTransport(httpx2.AsyncBaseTransport):
    """aiohttp under httpx2, with the guards that neither SDK has (ADR 0023).

    Not the SDKs' own aiohttp transport: that reports every lost connection as a connect timeout,
    so that a stale connection could not be told from an unreachable host, and cannot bound the
    wait for the pool apart from the connect.
    """

    def __init__(
        self, *, connect_s: float, max_connections: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_s)
        self._slots = asyncio.Semaphore(max_connections)
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; returns once the head of its answer is in and has passed the guards."""
        await self._take_slot()
        try:
            answer = await self._send(request)
        except BaseException:
            self._slots.release()
            raise
        body = Body(answer, self._slots)
        try:
            return await _guarded(answer, body)
        except BaseException:
            await body.aclose()
            raise

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def _take_slot(self) -> None:
        try:
            async with asyncio.timeout(POOL_WAIT_S):
                await self._slots.acquire()
        except TimeoutError:
            raise ProviderFailure(
                FailureKind.OVERLOADED, "every connection to this endpoint is in use"
            ) from None

    async def _send(self, request: httpx2.Request) -> aiohttp.ClientResponse:
        connection = SimpleNamespace(reused=False)
        headers = [pair for pair in request.headers.multi_items() if pair[0] not in _OUR_HEADERS]
        try:
            return await self._open_session().request(
                request.method,
                str(request.url),
                headers=[*headers, ("accept-encoding", "identity")],
                data=_upload(request.content),
                allow_redirects=False,
                timeout=self._timeout,
                trace_request_ctx=connection,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unanswered(error, reused=connection.reused) from error

    def _open_session(self) -> aiohttp.ClientSession:
        # Made on first use: a session belongs to the event loop that it is made in.
        if self._session is None:
            trace = aiohttp.TraceConfig()
            trace.on_connection_reuseconn.append(_note_reuse)
            self._session = aiohttp.ClientSession(
                connector=_CleanConnector(
                    limit=0,
                    keepalive_timeout=IDLE_CONNECTION_S,
                    ssl=self._tls or _trusted(),
                    resolver=GuardedResolver(),
                ),
                # A provider's cookies would tie the calls of different tenants together.
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("user-agent", "content-type", "accept"),
                trace_configs=[trace],
            )
        return self._session


_KINDS_BY_STATUS = {
    401: FailureKind.AUTH,
    402: FailureKind.QUOTA,
    403: FailureKind.AUTH,
    404: FailureKind.MODEL_NOT_FOUND,
    408: FailureKind.TIMEOUT,
    409: FailureKind.CONFLICT,
    410: FailureKind.MODEL_NOT_FOUND,
    413: FailureKind.TOO_LARGE,
    425: FailureKind.CONFLICT,
    429: FailureKind.RATE_LIMITED,
    503: FailureKind.OVERLOADED,
    504: FailureKind.TIMEOUT,
    # Cloudflare in front of the provider: no connection to it, and no answer from it.
    522: FailureKind.TIMEOUT,
    524: FailureKind.TIMEOUT,
    529: FailureKind.OVERLOADED,
}
_OUR_HEADERS = frozenset({"accept-encoding", "connection", "content-length", "host"})
_HIDDEN_HEADERS = frozenset({b"set-cookie", b"content-encoding"})


class _CleanConnector(aiohttp.TCPConnector):
    """Reuses no connection on which bytes came unasked: they would answer the next request."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """See TCPConnector.connect."""
        while True:
            connection = await super().connect(req, traces, timeout)
            try:
                # What the kernel holds already is read in the loop's next round, and seen after it.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            except BaseException:
                connection.close()
                raise
            if connection.protocol is not None and not connection.protocol.should_close:
                return connection
            connection.close()


async def _note_reuse(_session: object, context: SimpleNamespace, _params: object) -> None:
    context.trace_request_ctx.reused = True


async def _guarded(answer: aiohttp.ClientResponse, body: Body) -> httpx2.Response:
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    plain = encoding in {"identity", ""}
    headers = [pair for pair in answer.raw_headers if pair[0].lower() not in _HIDDEN_HEADERS]
    if answer.status >= 300:
        content = await _error_body(body) if plain else b""
        await body.aclose()
        return httpx2.Response(answer.status, headers=headers, content=content)
    if not plain:
        raise ProviderFailure(
            FailureKind.ERROR,
            "the answer is compressed though identity was asked",
            http_status=answer.status,
        )
    return httpx2.Response(answer.status, headers=headers, stream=body, extensions={_BODY: body})


async def _error_body(body: Body) -> bytes:
    # Whatever has come by the limits is enough to classify the error by.
    content = b""
    try:
        async with asyncio.timeout(ERROR_BODY_WAIT_S):
            while len(content) < MAX_ERROR_BODY_BYTES and (piece := await body.read()):
                content += piece
    except (TimeoutError, ProviderFailure):
        pass
    return content[:MAX_ERROR_BODY_BYTES]


def _upload(content: bytes) -> bytes | BytesIO | None:
    # aiohttp writes bytes at once and warns above this size; a file it writes piece by piece.
    return BytesIO(content) if len(content) > LARGE_UPLOAD_BYTES else content or None


def _unanswered(error: Exception, *, reused: bool) -> ProviderFailure:
    name = type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return ProviderFailure(FailureKind.UNREACHABLE, f"no connection: {name}")
    if isinstance(error, aiohttp.ClientConnectionError | OSError):
        # A connection out of the pool may have been closed by its peer while we wrote to it.
        return ProviderFailure(
            FailureKind.ERROR, f"the connection closed unanswered: {name}", fresh_connection=reused
        )
    return ProviderFailure(FailureKind.ERROR, f"the answer is not HTTP: {name}")


@cache
def _trusted() -> ssl.SSLContext:
    # Reading the authorities takes tens of milliseconds: once for all endpoints.
    return httpx2.create_ssl_context()
