"""The client of one endpoint: Anthropic's SDK for addresses, auth and errors, our own decoding."""

from collections.abc import AsyncGenerator

import anthropic
import httpx2
import msgspec
from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse

from turnout_server.core.clock import SYSTEM_CLOCK
from turnout_server.core.failure import FailureKind, ProviderFailure
from turnout_server.core.rate_headers import parse_rest
from turnout_server.core.receipt import Receipt
from turnout_server.core.target import Attempt, Endpoint, Key
from turnout_server.providers.anthropic_messages.decode import StreamDecoder, decode_message
from turnout_server.providers.anthropic_messages.encode import Encoded, encode
from turnout_server.providers.anthropic_messages.failures import failures
from turnout_server.providers.anthropic_messages.options import Options
from turnout_server.providers.provider import ChatEvent, EmbedShard, Vectors
from turnout_server.providers.upstream import body_of, http_client, require_event_stream

_PATH = "/v1/messages"
_UNREAD = {"X-Stainless-Raw-Response": "stream"}
"""Makes the SDK hand over an answer whose body is unread, as in its own raw mode."""
_MAX_REQUEST_ID = 128


class Client:
    """Chat over the Messages API; it has no embeddings."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._row = endpoint.row
        self._options = msgspec.convert(dict(endpoint.options), Options)
        self._sdk = _sdk(endpoint, http_client(endpoint))

    async def chat(self, request: ChatRequest, attempt: Attempt) -> AsyncGenerator[ChatEvent, None]:
        """See `Provider.chat`."""
        encoded = self._encode(request, attempt, stream=True)
        with failures():
            answer = await self._send(encoded.body, attempt.key)
            body = body_of(answer)
            try:
                require_event_stream(answer)
                request_id = _request_id(answer)
                yield Receipt(request_id, rest_s=parse_rest(answer.headers, SYSTEM_CLOCK.wall()))
                decoder = StreamDecoder(self._row, request_id=request_id, warnings=encoded.warnings)
                while not decoder.over and (read := await body.read()):
                    events = decoder.feed(read)
                    if decoder.complete:
                        # Whoever has `finish` hangs up: the connection is saved before that.
                        await body.drain()
                    for event in events:
                        yield event
                decoder.close()
            finally:
                await body.aclose()

    async def complete(self, request: ChatRequest, attempt: Attempt) -> ChatResponse:
        """See `Provider.complete`."""
        encoded = self._encode(request, attempt, stream=False)
        with failures():
            answer = await self._send(encoded.body, attempt.key)
            body = body_of(answer)
            try:
                content = await body.read_all()
            finally:
                await body.aclose()
        return decode_message(
            content, self._row, request_id=_request_id(answer), warnings=encoded.warnings
        )

    async def embed(self, shard: EmbedShard, attempt: Attempt) -> Vectors:
        """Always a failure: no server of this wire has embeddings."""
        raise ProviderFailure(
            FailureKind.CAPABILITY, f"{attempt.target} has no embeddings", field="model"
        )

    async def aclose(self) -> None:
        """See `Provider.aclose`."""
        await self._sdk.close()

    def _encode(self, request: ChatRequest, attempt: Attempt, *, stream: bool) -> Encoded:
        return encode(
            request,
            attempt.target,
            self._options,
            stream=stream,
            strip_state=attempt.strip_state,
        )

    async def _send(self, body: bytes, key: Key | None) -> httpx2.Response:
        return await self._sdk.post(
            _PATH,
            cast_to=httpx2.Response,
            content=body,
            options={"headers": {**_UNREAD, **self._auth(key)}},
        )

    def _auth(self, key: Key | None) -> dict[str, str | anthropic.Omit]:
        if key is None:
            return {"Authorization": anthropic.Omit()}
        if self._options.auth == "x-api-key":
            return {"Authorization": anthropic.Omit(), "X-Api-Key": key.secret.reveal()}
        return {"Authorization": f"Bearer {key.secret.reveal()}"}


def _sdk(endpoint: Endpoint, http: httpx2.AsyncClient) -> anthropic.AsyncAnthropic:
    sdk = anthropic.AsyncAnthropic(
        # Each attempt brings its own; without any, the SDK would look for one in the environment.
        api_key="unused",
        base_url=endpoint.base_url,
        timeout=None,
        max_retries=0,
        http_client=http,
        default_headers=endpoint.headers,
        open_telemetry={"traces": False, "propagation": False},
    )
    # ANTHROPIC_CUSTOM_HEADERS would reach every endpoint of this wire, whoever runs it.
    sdk._custom_headers = endpoint.headers
    return sdk


def _request_id(answer: httpx2.Response) -> str:
    return str(answer.headers.get("request-id", ""))[:_MAX_REQUEST_ID]
