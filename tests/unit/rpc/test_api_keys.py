import hashlib
import hmac

from hypothesis import example, given
from hypothesis import strategies as st

from turnout_server.core.call import Identity
from turnout_server.core.target import Secret
from turnout_server.rpc.api_keys import ApiKey, ApiKeys, new_key

PEPPER = Secret("pepper")
KEY = new_key(PEPPER)
ACME = Identity(tenant="acme", subject=KEY.id)
KEYS = ApiKeys([ApiKey(KEY.id, KEY.digest, ACME)], PEPPER)


async def test_a_key_is_known_by_its_id_and_proved_by_its_secret() -> None:
    assert await KEYS.identify(KEY.text) == ACME


def test_a_key_holds_256_random_bits_and_nothing_of_them_is_kept() -> None:
    prefix, secret = KEY.text.split(".")
    assert len(secret) == 43
    assert prefix == f"turnout_{KEY.id}"
    assert KEY.digest == hmac.new(b"pepper", secret.encode(), hashlib.sha256).digest()
    assert secret not in repr(KEYS._keys)


async def test_another_keys_secret_another_pepper_and_a_cut_secret_prove_nothing() -> None:
    other = new_key(PEPPER)
    prefix, secret = KEY.text.split(".")
    assert await KEYS.identify(other.text) is None
    assert await KEYS.identify(f"{prefix}.{other.text.split('.')[1]}") is None
    assert await KEYS.identify(f"{prefix}.{secret[:-1]}") is None
    assert await KEYS.identify(f"{KEY.id}.{secret}") is None
    assert await ApiKeys([ApiKey(KEY.id, KEY.digest, ACME)], Secret("x")).identify(KEY.text) is None


@given(st.text(max_size=300) | st.text("turno_.0123456789abcdef'\";- ", max_size=80))
@example("")
@example(".")
@example("turnout_.")
@example("turnout_' OR '1'='1.x")
@example("\ud800.\udfff")
@example("turnout_" + "a" * 100_000 + ".b")
async def test_any_other_text_is_nobody(text: str) -> None:
    assert await KEYS.identify(text) is None
