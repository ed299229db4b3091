"""What an upstream has confirmed before it is done."""

from dataclasses import dataclass

from turnout.v1.usage_pb2 import Usage


@dataclass(frozen=True, slots=True)
class Receipt:
    """Facts that reach us ahead of `finish` and are not for the caller's stream.

    An adapter yields one when the response headers are in (`provider_request_id`) and whenever the
    upstream reports usage so far; each replaces the one before. It is no output: it does not commit
    a stream, and it lets a stream that dies be booked by what the provider counted.
    """

    provider_request_id: str = ""
    usage: Usage | None = None
    rest_s: float | None = None
    """Seconds for which the provider says that nothing is left of the key's allowance."""
