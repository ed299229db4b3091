import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turnout.internal.v1.embed_twins_pb2 import EmbeddingTwin
from turnout.v1.embed_service_pb2 import EmbeddingEncoding

from turnout_server.dispatch.vectors import to_binary, to_float16, to_int8, write_vector

floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
vectors = st.lists(floats, min_size=1, max_size=70)
embeddings = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=70)


def pack(values: list[float]) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


@given(embeddings)
def test_float16_is_the_nearest_half(values: list[float]) -> None:
    halves = struct.unpack(f"<{len(values)}e", to_float16(pack(values)))
    for half, value in zip(halves, values, strict=True):
        assert half == pytest.approx(value, rel=2**-11, abs=2**-25)


@given(vectors)
def test_float16_never_becomes_infinite(values: list[float]) -> None:
    halves = struct.unpack(f"<{len(values)}e", to_float16(pack(values)))
    assert all(map(math.isfinite, halves))


@given(vectors)
def test_int8_times_its_scale_is_off_by_half_a_step_at_most(values: list[float]) -> None:
    packed, scale = to_int8(pack(values))
    numbers = struct.unpack(f"{len(values)}b", packed)
    for number, value in zip(numbers, values, strict=True):
        assert abs(number * scale - value) <= scale * 0.500001
    assert max(map(abs, numbers)) == (127 if any(values) else 0)


@given(vectors)
def test_binary_sets_the_bits_of_numbers_above_zero_highest_bit_first(
    values: list[float],
) -> None:
    packed = to_binary(pack(values))
    bits = [byte >> shift & 1 for byte in packed for shift in range(7, -1, -1)]
    assert len(packed) == -(-len(values) // 8)
    assert bits[: len(values)] == [int(value > 0) for value in values]
    assert not any(bits[len(values) :])


def test_zeros_of_either_sign_are_not_above_zero() -> None:
    assert to_binary(pack([0.0, -0.0, 1e-45, -1e-45])) == bytes([0b0010_0000])
    assert to_int8(pack([0.0, -0.0])) == (bytes(2), 0.0)


@given(vectors)
def test_float32_is_passed_on_as_it_is(values: list[float]) -> None:
    twin = write_vector(
        EmbeddingTwin(), pack(values), EmbeddingEncoding.EMBEDDING_ENCODING_UNSPECIFIED
    )
    assert (twin.values, twin.packed, twin.scale) == (pack(values), b"", 0.0)
