"""Turns references to secrets into secrets. Besides app/config, nobody else reads the environment.

MissingSecret       a reference that leads nowhere; its text names the remedy, never a value
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from turnout_server.core.target import Key, Secret

_UNSENDABLE = re.compile(r"[^\x21-\x7e]")


class MissingSecret(Exception):
    """There is no usable secret where the reference points."""


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret lies: an environment variable or a file, exactly one of them.

    A file is read anew at each resolution, so a rotated one is picked up by reading it again.
    """

    env: str = ""
    file: str = ""

    def __str__(self) -> str:
        return f"env:{self.env}" if self.env else f"file:{self.file}"


def read_secret(ref: SecretRef, environ: Mapping[str, str] = os.environ) -> Secret:
    """The secret behind a reference, without the white space around it; raises MissingSecret."""
    value = _from_environment(ref.env, environ) if ref.env else _from_file(ref.file)
    return Secret(value)


def read_key(ref: SecretRef, environ: Mapping[str, str] = os.environ) -> Key:
    """The credential behind a reference, fit to be sent in a header; raises MissingSecret.

    Its id is the reference, the same before and after a rotation.
    """
    secret = read_secret(ref, environ)
    if _UNSENDABLE.search(secret.reveal()):
        raise MissingSecret(f"{ref} holds spaces, line breaks or other signs that no key has")
    return Key(str(ref), secret)


def has_secret(name: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether an environment variable holds anything."""
    return bool(environ.get(name, "").strip())


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    if not has_secret(name, environ):
        state = "is empty" if name in environ else "is not set"
        raise MissingSecret(f"environment variable {name} {state}; export {name}=…")
    return environ[name].strip()


def _from_file(name: str) -> str:
    try:
        value = Path(name).read_text("utf-8").strip()
    except UnicodeDecodeError:
        raise MissingSecret(
            f"{name} is not text; a key file holds the key and nothing else"
        ) from None
    except OSError as error:
        raise MissingSecret(f"cannot read {name}: {error.strerror}") from None
    if not value:
        raise MissingSecret(f"{name} is empty; write the key into it")
    return value
