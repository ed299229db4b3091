"""The synchronous client."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import grpc
from turnout.v1.chat_service_pb2 import ChatRequest
from turnout.v1.chat_service_pb2_grpc import ChatServiceStub
from turnout.v1.embed_service_pb2_grpc import EmbedServiceStub
from turnout.v1.model_service_pb2 import (
    GetModelRequest,
    ListModelsRequest,
    ListProvidersRequest,
    Model,
    ProviderStatus,
    WatchProvidersRequest,
)
from turnout.v1.model_service_pb2_grpc import ModelServiceStub
from turnout.v1.usage_service_pb2 import GetLimitsRequest, Limit, UsageRow
from turnout.v1.usage_service_pb2_grpc import UsageServiceStub

from turnout_client.answer import Answer
from turnout_client.calls import Call, Caller, CallOptions, Timeouts, TraceHook, opentelemetry_hook
from turnout_client.channel import Option, TlsLike, channel_options, credentials_of
from turnout_client.embed_stream import EmbedAll
from turnout_client.embeddings import Embeddings, embeddings_of
from turnout_client.errors import from_rpc
from turnout_client.messages import Prompt
from turnout_client.requests import (
    ChatOptions,
    Dimension,
    EmbedCallOptions,
    chat_request,
    embed_options,
    embed_request,
    refuse_unknown,
    usage_request,
)
from turnout_client.stream import ChatStream, OnRestart

T = TypeVar("T")


class Client:
    """A connection to Turnout, to be kept and shared between threads.

        with Client("localhost:50051") as client:
            for text in client.chat("chat", "Why is the sky blue?"):
                print(text, end="", flush=True)

    Every method raises TurnoutError, or a class below it, when its call fails. UNAVAILABLE is tried
    again by itself, up to `max_attempts` times in all and only before output. An API key goes out
    as it is: over a network, use `tls`. `trace` writes the current trace's headers; left out, it is
    OpenTelemetry's propagator where opentelemetry-api is installed. `channel` replaces the channel,
    and stays the caller's to close.
    """

    def __init__(
        self,
        address: str = "localhost:50051",
        *,
        api_key: str | None = None,
        tenant: str | None = None,
        tls: TlsLike = False,
        timeouts: Timeouts | None = None,
        trace: TraceHook | None = None,
        max_attempts: int = 4,
        health_check: bool = False,
        options: Sequence[Option] = (),
        channel: grpc.Channel | None = None,
    ) -> None:
        self._caller = Caller(api_key, tenant, trace or opentelemetry_hook())
        self._timeouts = timeouts or Timeouts()
        self._owned: grpc.Channel | None = None
        if channel is None:
            credentials = credentials_of(tls)
            arguments = channel_options(
                max_attempts=max_attempts, health_check=health_check, given=options
            )
            channel = self._owned = (
                grpc.insecure_channel(address, options=arguments)
                if credentials is None
                else grpc.secure_channel(address, credentials, options=arguments)
            )
        self.channel = channel
        """For calling the stubs themselves."""
        self._chats = ChatServiceStub(channel)
        self._embeds = EmbedServiceStub(channel)
        self._models = ModelServiceStub(channel)
        self._usages = UsageServiceStub(channel)

    def chat(
        self,
        model: str | ChatRequest,
        prompt: Prompt = (),
        *,
        on_restart: OnRestart | None = None,
        **options: Unpack[ChatOptions],
    ) -> ChatStream:
        """Ask, and read the answer as it is written.

        `prompt` is a text or turns, oldest first; in place of `model` a whole ChatRequest may be
        given. Failures are raised while reading.
        """
        request = chat_request(model, prompt, options)
        call = self._caller.call(options, self._timeouts.chat_s)
        started = self._chats.Chat(request, timeout=call.timeout_s, metadata=call.metadata)
        return ChatStream(started, call.request_id, on_restart)

    def complete(
        self, model: str | ChatRequest, prompt: Prompt = (), **options: Unpack[ChatOptions]
    ) -> Answer:
        """Ask, and get the whole answer at once."""
        request = chat_request(model, prompt, options)
        call = self._caller.call(options, self._timeouts.chat_s)
        return Answer.of(self._unary(self._chats.CompleteChat, request, call))

    def embed(
        self, model: str, texts: Iterable[str], **options: Unpack[EmbedCallOptions]
    ) -> Embeddings:
        """The vectors of a batch, in its order: all of them or none. For many, use embed_all."""
        request = embed_request(model, texts, options)
        call = self._caller.call(options, self._timeouts.embed_s)
        response = self._unary(self._embeds.Embed, request, call)
        return embeddings_of(response, options.get("encoding", "float32"))

    def embed_all(
        self,
        model: str,
        texts: Iterable[str],
        *,
        window: int = 1024,
        batch_size: int = 64,
        **options: Unpack[EmbedCallOptions],
    ) -> EmbedAll:
        """The vectors of any number of texts, as they come and in any order.

        At most `window` texts are under way; `batch_size` of them go into a message. The texts are
        iterated by another thread.
        """
        first = embed_options(model, options)
        call = self._caller.call(options, self._timeouts.embed_all_s)

        def begin(requests: Iterator[Any]) -> Any:
            method = self._embeds.EmbedStream
            return method(requests, timeout=call.timeout_s, metadata=call.metadata)

        return EmbedAll(
            begin,
            first,
            texts,
            request_id=call.request_id,
            encoding=options.get("encoding", "float32"),
            window=window,
            batch_size=batch_size,
        )

    def models(self, **options: Unpack[CallOptions]) -> list[Model]:
        """All models that the caller may use."""
        request = ListModelsRequest()
        pages = self._pages(self._models.ListModels, request, options)
        return [model for page in pages for model in page.models]

    def model(self, name: str, **options: Unpack[CallOptions]) -> Model:
        """One model. Raises ModelNotFound."""
        call = self._reading(options, self._timeouts.read_s)
        return self._unary(self._models.GetModel, GetModelRequest(name=name), call).model

    def providers(self, **options: Unpack[CallOptions]) -> list[ProviderStatus]:
        """All providers and their state at the instance that answers."""
        request = ListProvidersRequest()
        pages = self._pages(self._models.ListProviders, request, options)
        return [status for page in pages for status in page.providers]

    def watch_providers(
        self, **options: Unpack[CallOptions]
    ) -> Generator[list[ProviderStatus], None, None]:
        """All providers first, then those that changed, until the iterator is closed."""
        call = self._reading(options, self._timeouts.watch_s)
        started = self._models.WatchProviders(
            WatchProvidersRequest(), timeout=call.timeout_s, metadata=call.metadata
        )
        try:
            for response in started:
                yield list(response.providers)
        except grpc.RpcError as error:
            raise from_rpc(error, call.request_id) from error
        finally:
            started.cancel()

    def usage(
        self,
        start: datetime,
        end: datetime | None = None,
        *,
        by: Sequence[Dimension] = (),
        bucket: timedelta | None = None,
        label_key: str = "",
        **options: Unpack[CallOptions],
    ) -> list[UsageRow]:
        """The tenant's usage from `start` until `end` (now), broken down `by` what is named."""
        request = usage_request(start, end, by, bucket, label_key)
        pages = self._pages(self._usages.QueryUsage, request, options)
        return [row for page in pages for row in page.rows]

    def limits(self, **options: Unpack[CallOptions]) -> list[Limit]:
        """The limits that apply to the caller and what is left of them."""
        call = self._reading(options, self._timeouts.read_s)
        return list(self._unary(self._usages.GetLimits, GetLimitsRequest(), call).limits)

    def close(self) -> None:
        """Cancel what is under way and close the connection."""
        if self._owned is not None:
            self._owned.close()

    def _reading(self, options: CallOptions, default_s: float | None) -> Call:
        refuse_unknown(options, CallOptions)
        return self._caller.call(options, default_s)

    def _pages(self, method: Any, request: Any, options: CallOptions) -> Iterator[Any]:
        while True:
            call = self._reading(options, self._timeouts.read_s)
            page = self._unary(method, request, call)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _unary(self, method: "grpc.UnaryUnaryMultiCallable[Any, T]", request: Any, call: Call) -> T:
        try:
            return method(request, timeout=call.timeout_s, metadata=call.metadata)
        except grpc.RpcError as error:
            raise from_rpc(error, call.request_id) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
