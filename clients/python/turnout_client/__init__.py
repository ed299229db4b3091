"""Turnout's client: one contract in front of many language-model providers."""

from turnout_client.aio import AsyncClient
from turnout_client.answer import Answer
from turnout_client.calls import CallOptions, Timeouts, TraceHook
from turnout_client.channel import Tls
from turnout_client.client import Client
from turnout_client.embed_stream import AsyncEmbedAll, EmbedAll, Embedded
from turnout_client.embeddings import Embeddings, Vector
from turnout_client.errors import (
    BudgetExhausted,
    Cancelled,
    ContextLengthExceeded,
    DeadlineExceeded,
    DuplicateRequest,
    Forbidden,
    InternalError,
    InvalidRequest,
    LimitExceeded,
    ModelNotFound,
    PromptBlocked,
    ProviderFailed,
    RateLimited,
    Restarted,
    StreamInterrupted,
    TooLarge,
    TurnoutError,
    Unauthenticated,
    Unavailable,
    UnsupportedCapability,
)
from turnout_client.messages import assistant, media, system, tool_result, user
from turnout_client.requests import ChatOptions, EmbedCallOptions
from turnout_client.stream import AsyncChatStream, ChatStream

__all__ = [
    "Answer",
    "AsyncChatStream",
    "AsyncClient",
    "AsyncEmbedAll",
    "BudgetExhausted",
    "CallOptions",
    "Cancelled",
    "ChatOptions",
    "ChatStream",
    "Client",
    "ContextLengthExceeded",
    "DeadlineExceeded",
    "DuplicateRequest",
    "EmbedAll",
    "EmbedCallOptions",
    "Embedded",
    "Embeddings",
    "Forbidden",
    "InternalError",
    "InvalidRequest",
    "LimitExceeded",
    "ModelNotFound",
    "PromptBlocked",
    "ProviderFailed",
    "RateLimited",
    "Restarted",
    "StreamInterrupted",
    "Timeouts",
    "Tls",
    "TooLarge",
    "TraceHook",
    "TurnoutError",
    "Unauthenticated",
    "Unavailable",
    "UnsupportedCapability",
    "Vector",
    "assistant",
    "media",
    "system",
    "tool_result",
    "user",
]
