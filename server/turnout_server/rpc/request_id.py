"""Ids of calls: the caller's own when it is sane, else a UUID of version 7 (RFC 9562)."""

import os
import re
import time
import uuid

_SANE = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}\Z")


def request_id(given: str) -> str:
    """The id to use for a call that came with `given`, which may be empty or hostile."""
    return given if _SANE.match(given) else uuid7()


def uuid7() -> str:
    """A time-ordered UUID: 48 bits of milliseconds, then random bits."""
    milliseconds = time.time_ns() // 1_000_000  # noqa: TID251  an id's time decides nothing
    bits = milliseconds << 80 | int.from_bytes(os.urandom(10), "big")
    bits = bits & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=bits & ~(0x3 << 62) | 0x2 << 62))
