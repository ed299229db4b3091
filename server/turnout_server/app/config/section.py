"""What every part of the configuration's tree has in common, and the types they share."""

import re
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from turnout_server.providers.keys import SecretRef


class Section(BaseModel):
    """A mapping of known keys; immutable, and nothing in it is converted silently."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


def refusal(message: str) -> PydanticCustomError:
    """A fault of one key, in our own words."""
    return PydanticCustomError("turnout", "{message}", {"message": message})


class Reference(Section):
    """Where a secret lies: `{env: NAME}` or `{file: PATH}`, never the secret itself."""

    env: str | None = None
    """Name of an environment variable."""

    file: str | None = None
    """Path of a file that holds the secret alone; it is read again when it changes."""

    @model_validator(mode="before")
    @classmethod
    def _is_a_reference(cls, value: Any) -> Any:
        # The value may be the secret, so no message shows it.
        if not isinstance(value, dict):
            raise refusal("a secret is never written here; use {env: NAME} or {file: PATH}")
        return value

    @model_validator(mode="after")
    def _points_once(self) -> Self:
        if bool(self.env) == bool(self.file):
            raise refusal("name exactly one of env and file")
        return self

    @property
    def secret_ref(self) -> SecretRef:
        """The reference as `providers.keys` resolves it."""
        return SecretRef(env=self.env or "", file=self.file or "")


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise refusal("must be a URL such as https://host/path") from None
    if parts.password is not None:
        raise refusal("a URL with a password is a secret; use {env: NAME} or {file: PATH}")
    if not parts.scheme:
        raise refusal("must be a URL such as https://host/path")
    return url


Url = Annotated[str, AfterValidator(_without_password)]
"""An address without a password in it."""

SecretUrl = Annotated[
    Annotated[Reference, Tag("reference")] | Annotated[Url, Tag("url")],
    Discriminator(lambda value: "url" if isinstance(value, str) else "reference"),
]
"""An address; a reference where it holds a password."""

_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+):(\d{1,5})")


def _listenable(address: str) -> str:
    if address.startswith("unix:") and len(address) > len("unix:"):
        return address
    match = _HOST_AND_PORT.fullmatch(address)
    if match is None or int(match[2]) > 65535:
        raise refusal("must be host:port, [ipv6]:port or unix:/path, such as 127.0.0.1:50051")
    return address


Address = Annotated[str, AfterValidator(_listenable)]
"""Where to listen: `host:port`, `[ipv6]:port` or `unix:/path`."""

Count = Annotated[int, Field(ge=1)]
"""A whole number that is at least one."""
