"""Servers that speak TLS, well or badly, and an authority the gateway trusts."""

import datetime as dt
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from turnout_server.providers import upstream

HOST = "localhost"
LONG_AGO = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)


def server_context(case: str, trusted: trustme.CA) -> ssl.SSLContext:
    """A server's side of TLS: `good`, `expired`, `wrong_name` or `unknown_ca`."""
    ca = trustme.CA() if case == "unknown_ca" else trusted
    name = "elsewhere.test" if case == "wrong_name" else HOST
    expiry = {"not_before": dt.datetime(2000, 1, 1, tzinfo=dt.UTC), "not_after": LONG_AGO}
    certificate = ca.issue_cert(name, **(expiry if case == "expired" else {}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@contextmanager
def trusting(ca: trustme.CA, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the gateway's connections trust `ca`, as an operator does who has one of its own."""
    file = folder / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    patch.setenv("SSL_CERT_FILE", str(file))
    upstream._trusted.cache_clear()
    yield
    upstream._trusted.cache_clear()
