"""The client of one endpoint that speaks OpenAI's chat completions and embeddings."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
import msgspec
from openai import AsyncOpenAI, Omit
from turnout.v1.chat_service_pb2 import ChatRequest, ChatResponse

from turnout_server.core.clock import SYSTEM_CLOCK
from turnout_server.core.failure import ProviderFailure
from turnout_server.core.rate_headers import parse_rest
from turnout_server.core.receipt import Receipt
from turnout_server.core.target import Attempt, Endpoint, Key
from turnout_server.providers.openai_chat.assembly import Assembly
from turnout_server.providers.openai_chat.decode import StreamDecoder, decode_completion
from turnout_server.providers.openai_chat.embeddings import decode_vectors, encode_embed
from turnout_server.providers.openai_chat.encode import Encoded, encode_chat
from turnout_server.providers.openai_chat.failures import (
    failures,
    request_id_of,
    stated_failure,
    states_error,
)
from turnout_server.providers.openai_chat.options import Options
from turnout_server.providers.provider import ChatEvent, EmbedShard, Vectors
from turnout_server.providers.upstream import (
    MAX_ERROR_BODY_BYTES,
    Body,
    body_of,
    http_client,
    media_type,
    require_event_stream,
)

TAIL_WAIT_S = 2.0
"""How long usage and `[DONE]` may take after the finish reason: the answer is whole already."""


class Client:
    """Implements Provider over the SDK's client, which keeps addresses, pool and error classes."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._options = msgspec.convert(dict(endpoint.options), Options)
        self._sdk = _Sdk(endpoint)

    async def chat(self, request: ChatRequest, attempt: Attempt) -> AsyncGenerator[ChatEvent, None]:
        """See Provider.chat."""
        encoded = self._encode(request, attempt, stream=True)
        with failures():
            async with self._answer("chat/completions", encoded.body, attempt) as answer:
                body = body_of(answer)
                if media_type(answer) == "application/json":
                    await _refuse_json(body)
                require_event_stream(answer)
                request_id = request_id_of(answer.headers)
                yield Receipt(request_id, rest_s=parse_rest(answer.headers, SYSTEM_CLOCK.wall()))
                decoder = StreamDecoder(
                    self._assembly(encoded),
                    warnings=encoded.warnings,
                    provider_request_id=request_id,
                )
                try:
                    while not decoder.done and (read := await _next_read(body, decoder)):
                        for event in decoder.feed(read):
                            yield event
                    for event in decoder.close():
                        yield event
                finally:
                    if decoder.done:
                        # Whether or not the caller asks for more than `finish`.
                        await body.drain()

    async def complete(self, request: ChatRequest, attempt: Attempt) -> ChatResponse:
        """See Provider.complete."""
        encoded = self._encode(request, attempt, stream=False)
        with failures():
            async with self._answer("chat/completions", encoded.body, attempt) as answer:
                body = await body_of(answer).read_all()
                return decode_completion(
                    body,
                    self._assembly(encoded),
                    warnings=encoded.warnings,
                    provider_request_id=request_id_of(answer.headers),
                )

    async def embed(self, shard: EmbedShard, attempt: Attempt) -> Vectors:
        """See Provider.embed."""
        encoded = encode_embed(shard, attempt.target, self._options)
        with failures():
            async with self._answer("embeddings", encoded, attempt) as answer:
                body = await body_of(answer).read_all()
                return decode_vectors(
                    body, shard, provider_request_id=request_id_of(answer.headers)
                )

    async def aclose(self) -> None:
        """See Provider.aclose."""
        await self._sdk.close()

    def _encode(self, request: ChatRequest, attempt: Attempt, *, stream: bool) -> Encoded:
        return encode_chat(
            request,
            attempt.target,
            self._options,
            stream=stream,
            strip_state=attempt.strip_state,
        )

    def _assembly(self, encoded: Encoded) -> Assembly:
        return Assembly(
            provider=self._endpoint.row,
            prompt_bytes=len(encoded.body),
            think_tags=self._options.think_tags,
        )

    @asynccontextmanager
    async def _answer(
        self, path: str, body: bytes, attempt: Attempt
    ) -> AsyncIterator[httpx2.Response]:
        """An answer with a status below 300; leaving closes it, and its connection if need be."""
        answer = await self._sdk.post(
            path,
            content=body,
            cast_to=httpx2.Response,
            stream=True,
            stream_cls=None,
            options={"headers": _auth_headers(attempt.key, self._options)},
        )
        try:
            yield answer
        except ProviderFailure as failure:
            failure.provider_request_id = failure.provider_request_id or request_id_of(
                answer.headers
            )
            raise
        finally:
            await body_of(answer).aclose()


class _Sdk(AsyncOpenAI):
    """The SDK's client without what it takes from the environment: no headers, address or key."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._fixed_headers: dict[str, str | Omit] = {
            "content-type": "application/json",
            "user-agent": "turnout",
            **endpoint.headers,
        }
        super().__init__(
            # Each request carries the key of its attempt.
            api_key="",
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=None,
            http_client=http_client(endpoint),
            _enforce_credentials=False,
        )

    @property
    def default_headers(self) -> dict[str, str | Omit]:
        """Ours alone: not OPENAI_CUSTOM_HEADERS, an organization, or what describes this host."""
        return self._fixed_headers


def _auth_headers(key: Key | None, options: Options) -> Mapping[str, str | Omit]:
    headers: dict[str, str | Omit] = {"x-stainless-retry-count": Omit()}
    if key is None or options.auth != "bearer":
        headers["authorization"] = Omit()
    if key is not None:
        secret = key.secret.reveal()
        if options.auth == "bearer":
            headers["authorization"] = f"Bearer {secret}"
        else:
            headers[options.auth] = secret
    return headers


async def _next_read(body: Body, decoder: StreamDecoder) -> bytes:
    if not decoder.has_reason:
        return await body.read()
    try:
        async with asyncio.timeout(TAIL_WAIT_S):
            return await body.read()
    except (TimeoutError, ProviderFailure):
        return b""


async def _refuse_json(body: Body) -> None:
    """A stream was asked for: JSON is an error under a false status, or else no answer of ours."""
    text = await body.read_all(limit_bytes=MAX_ERROR_BODY_BYTES)
    if states_error(text):
        raise stated_failure(text)
