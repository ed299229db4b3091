"""The client's end of the port, for one command."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from turnout_server.app.cli.complaint import Complaint
from turnout_server.app.config.environment import client_key

_MAX_ANSWER_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Connection:
    """A channel, and what every call on it carries."""

    channel: grpc.Channel
    metadata: tuple[tuple[str, str], ...]
    timeout_s: float


@contextmanager
def connect(options: argparse.Namespace) -> Iterator[Connection]:
    """Open a channel to the server that the options name; it is closed at the end."""
    channel_options = [("grpc.max_receive_message_length", _MAX_ANSWER_BYTES)]
    if options.ca_file is None:
        channel = grpc.insecure_channel(options.address, channel_options)
    else:
        trusted = grpc.ssl_channel_credentials(_certificates(options.ca_file))
        channel = grpc.secure_channel(options.address, trusted, channel_options)
    key = client_key()
    metadata = (("authorization", f"Bearer {key}"),) if key else ()
    with channel:
        yield Connection(channel, metadata, options.timeout)


def _certificates(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        reason = f"--ca-file {file} cannot be read: {error.strerror}"
        raise Complaint(reason, exit_status=2) from None
