import base64
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.warnings import InsecureKeyLengthWarning

from turnout_server.core.call import Identity
from turnout_server.core.clock import Clock
from turnout_server.rpc.jwks import BadKeySet, FixedKeys
from turnout_server.rpc.jwt import Issuer, Tokens

ISSUER = Issuer("https://issuer.example", "turnout", "org")
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)


def published(key: Any, algorithm: str, key_id: str) -> dict[str, Any]:
    by_name = jwt.get_algorithm_by_name(algorithm)
    return {**by_name.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "alg": algorithm}


KEY_SET = json.dumps(
    {
        "keys": [
            published(RSA, "RS256", "r"),
            published(EC, "ES256", "e"),
            published(ED, "EdDSA", "d"),
            published(WEAK, "RS256", "w"),
            {"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).decode(), "kid": "o"},
            {"kty": "of tomorrow", "kid": "t"},
        ]
    }
).encode()


def tokens(clock: Clock | None = None) -> Tokens:
    return Tokens(ISSUER, FixedKeys(KEY_SET), clock or Clock())


def now(seconds: int) -> int:
    return int(time.time()) + seconds


def claims(**changes: Any) -> dict[str, Any]:
    """What a token says; `exp_in` and `nbf_in` are seconds from now."""
    dates = {name[:3]: now(changes.pop(name)) for name in ("exp_in", "nbf_in") if name in changes}
    made = {"iss": ISSUER.name, "aud": "turnout", "exp": now(300), "org": "acme", "sub": "me"}
    made |= dates
    return {name: value for name, value in (made | changes).items() if value is not None}


def token(key: Any = RSA, algorithm: str = "RS256", key_id: str = "r", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm, headers={"kid": key_id})


@pytest.mark.parametrize(
    ("key", "algorithm", "key_id"), [(RSA, "RS256", "r"), (EC, "ES256", "e"), (ED, "EdDSA", "d")]
)
async def test_a_token_of_the_issuer_names_tenant_and_subject(
    key: Any, algorithm: str, key_id: str
) -> None:
    known = await tokens().identify(token(key, algorithm, key_id))
    assert known == Identity(tenant="acme", subject="me")


@pytest.mark.parametrize(
    "changes",
    [
        {"exp_in": -70},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"nbf_in": 70},
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"org": None},
        {"org": ""},
        {"org": 7},
        {"org": "a b"},
    ],
    ids=repr,
)
async def test_what_a_token_must_say(changes: dict[str, Any]) -> None:
    assert await tokens().identify(token(**changes)) is None


@pytest.mark.parametrize("changes", [{"exp_in": -30}, {"nbf_in": 30}], ids=repr)
async def test_clocks_may_differ_by_a_minute(changes: dict[str, Any]) -> None:
    assert await tokens().identify(token(**changes)) is not None


async def test_unsigned_and_self_signed_tokens_are_nobodys() -> None:
    public = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = f"{encoded(json.dumps({'alg': 'HS256', 'kid': 'r'}))}.{encoded(json.dumps(claims()))}"
    signature = hmac.digest(public, signed.encode(), "sha256")
    unsigned = jwt.encode(claims(), None, "none", headers={"kid": "r"})
    confused = f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    symmetric = jwt.encode(claims(), b"x" * 32, "HS256", headers={"kid": "o"})
    for forged in (unsigned, confused, symmetric):
        assert await tokens().identify(forged) is None


async def test_a_key_proves_its_own_algorithm_alone() -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert await tokens().identify(token(stranger)) is None
    assert await tokens().identify(token(RSA, "RS512")) is None
    assert await tokens().identify(token(EC, "ES256", "r")) is None
    with pytest.warns(InsecureKeyLengthWarning):
        weak = token(WEAK, "RS256", "w")
    assert await tokens().identify(weak) is None


@pytest.mark.parametrize("key_id", ["", "../../etc/passwd", "' OR 1=1", "R", "t"])
async def test_a_key_id_is_looked_up_and_nothing_else(key_id: str) -> None:
    assert await tokens().identify(token(key_id=key_id)) is None


async def test_twins_that_share_a_prefix_are_two_tokens() -> None:
    """CVE-2026-35030: a cache keyed on a token's beginning gave one caller another's identity."""
    cache = tokens()
    whole = token(sub="one")
    assert await cache.identify(whole) is not None
    flipped = whole[:-5] + ("A" if whole[-5] != "A" else "B") + whole[-4:]
    assert flipped[:20] == whole[:20]
    assert await cache.identify(flipped) is None
    twin = await cache.identify(token(sub="two"))
    assert twin is not None
    assert twin.subject == "two"


class StoppedClock:
    def __init__(self) -> None:
        self.now = float(now(0))

    def __call__(self) -> float:
        return self.now


async def test_what_was_proved_is_not_kept_past_the_tokens_end() -> None:
    wall = StoppedClock()
    cache = tokens(Clock(wall=wall))
    short = token(exp=now(-50))
    assert await cache.identify(short) is not None
    assert all(kept.until <= now(-50) for kept in cache._kept.values())
    long = token(exp=now(100_000))
    assert await cache.identify(long) is not None
    proved = next(reversed(cache._kept.values()))
    wall.now += 299
    assert await cache.identify(long) is proved.identity
    wall.now += 2
    assert await cache.identify(long) is not proved.identity


@given(st.text(max_size=200))
async def test_any_other_text_is_nobody(text: str) -> None:
    assert await tokens().identify(text) is None


def encoded(value: str) -> str:
    return base64.urlsafe_b64encode(value.encode("utf-8", "replace")).rstrip(b"=").decode()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=4), below),
    max_leaves=5,
)


@given(header=JSON, body=JSON)
async def test_any_header_and_body_are_nobody(header: Any, body: Any) -> None:
    if isinstance(header, dict):
        header = {"alg": "RS256", "kid": "r", **header}
    forged = f"{encoded(json.dumps(header))}.{encoded(json.dumps(body))}.{encoded('x' * 256)}"
    assert await tokens().identify(forged) is None


async def test_a_token_of_absurd_depth_or_length_is_nobody() -> None:
    deep = encoded("[" * 9000)
    assert await tokens().identify(f"{deep}.{deep}.x") is None
    assert await tokens().identify("a" * 1_000_000) is None


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"keys": 1}', b'{"keys": [1]}', b"[" * 5000, b"\xff"]
)
def test_a_broken_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(BadKeySet):
        FixedKeys(document)
