"""Vectors as callers want them, made from packed floats without a number array library."""

import struct
from functools import lru_cache

from turnout.internal.v1.embed_twins_pb2 import EmbeddingTwin
from turnout.v1.embed_service_pb2 import EmbeddingEncoding

FLOAT_BYTES = 4
_E = EmbeddingEncoding
_HALF_MAX = 65504.0
_INT8_MAX = 127
_POSITIVE = bytes(b"1"[0] if top < 0x80 else b"0"[0] for top in range(256))
"""The top byte of a little-endian float holds its sign: below 0x80 the number is not negative."""


def write_vector(
    twin: EmbeddingTwin, packed: bytes, encoding: EmbeddingEncoding.ValueType
) -> EmbeddingTwin:
    """Fill `twin` with one vector of little-endian floats, in the encoding asked for."""
    if encoding == _E.EMBEDDING_ENCODING_FLOAT16:
        twin.packed = to_float16(packed)
    elif encoding == _E.EMBEDDING_ENCODING_INT8:
        twin.packed, twin.scale = to_int8(packed)
    elif encoding == _E.EMBEDDING_ENCODING_BINARY:
        twin.packed = to_binary(packed)
    else:
        twin.values = packed
    return twin


def to_float16(packed: bytes) -> bytes:
    """IEEE half precision; a number beyond its range becomes the largest there is."""
    layout = _layout(len(packed))
    values = layout.floats.unpack(packed)
    try:
        return layout.halves.pack(*values)
    except OverflowError:
        return layout.halves.pack(*(max(-_HALF_MAX, min(_HALF_MAX, v)) for v in values))


def to_int8(packed: bytes) -> tuple[bytes, float]:
    """A signed byte a number, and the scale to multiply each by; the largest number is 127."""
    layout = _layout(len(packed))
    values = layout.floats.unpack(packed)
    highest, lowest = max(values), min(values)
    peak = max(highest, -lowest)
    if peak == 0.0:
        return bytes(len(values)), 0.0
    factor = _INT8_MAX / peak
    return layout.chars.pack(*[round(value * factor) for value in values]), peak / _INT8_MAX


def to_binary(packed: bytes) -> bytes:
    """A bit a number, set where it is above zero; the first is the highest bit of a byte."""
    tops = packed[FLOAT_BYTES - 1 :: FLOAT_BYTES]
    if 0 in tops:
        # A zero, or so near it that the top byte alone does not tell.
        values = _layout(len(packed)).floats.unpack(packed)
        digits = b"".join(b"1" if value > 0 else b"0" for value in values)
    else:
        digits = tops.translate(_POSITIVE)
    size_bytes = -(-len(digits) // 8)
    return int(digits.ljust(size_bytes * 8, b"0"), 2).to_bytes(size_bytes, "big")


class _Layout:
    """The three struct formats for vectors of one length."""

    def __init__(self, count: int) -> None:
        self.floats = struct.Struct(f"<{count}f")
        self.halves = struct.Struct(f"<{count}e")
        self.chars = struct.Struct(f"{count}b")


@lru_cache(maxsize=32)
def _layout(size_bytes: int) -> _Layout:
    return _Layout(size_bytes // FLOAT_BYTES)
