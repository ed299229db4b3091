"""Sealed values: only ours, whole, of this version and under their own key are opened."""

from hypothesis import given
from hypothesis import strategies as st

from turnout_server.store.envelope import Envelope

ENVELOPE = Envelope(b"secret")


@given(st.text(), st.binary(), st.integers(0, 2**40))
def test_what_was_sealed_is_opened(key: str, payload: bytes, stored_s: int) -> None:
    sealed = ENVELOPE.seal(key, payload, float(stored_s))
    assert ENVELOPE.open(key, sealed) == (payload, float(stored_s))


@given(st.binary(max_size=200))
def test_garbage_is_not_opened(garbage: bytes) -> None:
    assert ENVELOPE.open("k", garbage) is None


@given(st.data())
def test_a_value_of_which_a_single_bit_changed_is_not_opened(data: st.DataObject) -> None:
    sealed = bytearray(ENVELOPE.seal("k", b"payload", 1.0))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    assert ENVELOPE.open("k", bytes(sealed)) is None


@given(st.integers(0, 35), st.binary(min_size=1, max_size=9))
def test_a_value_cut_or_grown_is_not_opened(size: int, tail: bytes) -> None:
    sealed = ENVELOPE.seal("k", b"payload", 1.0)
    assert ENVELOPE.open("k", sealed[:size]) is None
    assert ENVELOPE.open("k", sealed + tail) is None


def test_a_value_under_another_key_or_of_another_secret_is_not_opened() -> None:
    sealed = ENVELOPE.seal("tenant-a", b"payload", 1.0)
    assert ENVELOPE.open("tenant-b", sealed) is None
    assert Envelope(b"other").open("tenant-a", sealed) is None
