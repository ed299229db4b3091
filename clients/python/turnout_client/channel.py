"""The channel: where to, how encrypted, and what the library does by itself."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
Option = tuple[str, Any]


@dataclass(frozen=True, slots=True)
class Tls:
    """How to encrypt, in PEM. Without roots the system's own; with key and chain, mTLS."""

    root_certificates: bytes | None = None
    private_key: bytes | None = None
    certificate_chain: bytes | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """As grpc wants it."""
        return grpc.ssl_channel_credentials(
            self.root_certificates, self.private_key, self.certificate_chain
        )


TlsLike = bool | Tls | grpc.ChannelCredentials


def credentials_of(tls: TlsLike) -> grpc.ChannelCredentials | None:
    """The credentials that `tls` stands for; None for a plain channel."""
    if isinstance(tls, bool):
        return Tls().credentials() if tls else None
    return tls.credentials() if isinstance(tls, Tls) else tls


def service_config(*, max_attempts: int, health_check: bool) -> str:
    """What the library may do by itself, as JSON.

    UNAVAILABLE alone is tried again, and only before response headers; the server's pushback says
    when. The throttle stops retries once they are most of what is sent.
    """
    method: dict[str, Any] = {"name": [{}]}
    if max_attempts > 1:
        method["retryPolicy"] = {
            "maxAttempts": max_attempts,
            "initialBackoff": "0.2s",
            "maxBackoff": "5s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
    config: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [method],
        "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
    }
    if health_check:
        config["healthCheckConfig"] = {"serviceName": ""}
    return json.dumps(config)


def channel_options(
    *, max_attempts: int, health_check: bool, given: Sequence[Option]
) -> list[Option]:
    """The channel's arguments; those given come last and so win."""
    return [
        (
            "grpc.service_config",
            service_config(max_attempts=max_attempts, health_check=health_check),
        ),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        # A request beyond this is not kept for another attempt; the library's 256 KiB would leave
        # out every prompt with an image.
        ("grpc.per_rpc_retry_buffer_size", 4 * 1024 * 1024),
        # Models are silent for long: find a dead connection all the same. Servers and the proxies
        # before them permit a ping every 10 s.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),
        *given,
    ]
