"""JSON from both sides: a provider's answers read into types, a caller's text passed on unread."""

import re
from typing import TypeVar

import msgspec

from turnout_server.core.failure import FailureKind, ProviderFailure

Members = dict[str, msgspec.Raw]
"""An object's members, each as it was written: spelling, order of keys, long integers."""

_T = TypeVar("_T")
_members = msgspec.json.Decoder(Members)
# A pair of escapes that is one character, a lone half of such a pair, or any other escape.
_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.",
    re.DOTALL,
)


def read_json(data: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[_T]) -> _T:
    """Decode a provider's JSON; whatever is wrong with it is a ProviderFailure.

    Lone surrogates become U+FFFD, since protobuf text cannot hold them.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        # Its text names types and a path, never what was said.
        raise _malformed(str(error).replace("`", "")) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        return decoder.decode(_ESCAPE.sub(_replace_lone, bytes(data)))
    except msgspec.ValidationError as error:
        raise _malformed(str(error).replace("`", "")) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise _malformed("no JSON") from None


def clean(text: str) -> str:
    """A NUL is legal in protobuf but not in what callers store: U+FFFD stands for it (fault 42)."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


def members_of(text: str | bytes | msgspec.Raw) -> Members | None:
    """The members of a JSON object; None when the text is anything else."""
    try:
        return _members.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def require_object(text: str, field: str) -> Members:
    """The members of a caller's JSON object; anything else is a failure that names the field."""
    members = members_of(text)
    if members is None:
        raise ProviderFailure(FailureKind.REJECTED, f"{field}: not a JSON object", field=field)
    return members


def _replace_lone(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape.group(1) else escape.group()


def _malformed(detail: str) -> ProviderFailure:
    return ProviderFailure(FailureKind.ERROR, f"a malformed answer: {detail}")
