"""Vectors out of the contract's encodings."""

import struct

from hypothesis import given
from hypothesis import strategies as st
from turnout.v1.embed_service_pb2 import Embedding

from turnout_client.embeddings import vector


@given(st.lists(st.floats(width=32, allow_nan=False), max_size=64))
def test_single_precision_comes_as_it_was_sent(numbers: list[float]) -> None:
    assert list(vector(Embedding(values=numbers), "float32")) == numbers


@given(st.lists(st.floats(width=16, allow_nan=False), max_size=64))
def test_half_precision_comes_as_it_was_sent(numbers: list[float]) -> None:
    packed = struct.pack(f"<{len(numbers)}e", *numbers)
    assert list(vector(Embedding(packed=packed), "float16")) == numbers


def test_signed_bytes_are_scaled() -> None:
    made = vector(Embedding(packed=struct.pack("<3b", -128, 0, 127), scale=0.5), "int8")
    assert list(made) == [-64.0, 0.0, 63.5]


def test_bits_are_signs_the_highest_first() -> None:
    made = vector(Embedding(packed=b"\xa0\x80"), "binary", dimensions=9)
    assert list(made) == [1, -1, 1, -1, -1, -1, -1, -1, 1]
