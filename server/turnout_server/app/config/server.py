"""`server`: the ports, and how the process behaves on them."""

from typing import Annotated

from pydantic import Field

from turnout_server.app.config.section import Address, Count, Section
from turnout_server.app.config.units import Seconds


class Tls(Section):
    """Certificates of the port; without them it speaks plain text."""

    cert_file: str
    """The server's certificate and its chain, PEM."""

    key_file: str
    """The certificate's private key, PEM."""

    client_ca_file: str | None = None
    """Authorities whose client certificates are demanded and accepted, PEM."""


class Server(Section):
    """The ports, and how the process behaves on them."""

    listen: Address = "127.0.0.1:50051"
    """Where `turnout.v1` is served: `host:port`, `[ipv6]:port` or `unix:/path`."""

    admin_listen: Address | None = None
    """Where `turnout.admin.v1` is served, such as `127.0.0.1:50052`; not at all by default."""

    metrics_listen: Address | None = None
    """Where `/metrics`, `/healthz` and `/readyz` are served, such as `127.0.0.1:9464`; not at all
    by default."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that share the port."""

    max_in_flight: Count = 1000
    """Calls that one process runs at once; more are refused with OVERLOADED."""

    drain_grace: Seconds = Seconds.parse("30s")
    """How long calls under way may go on after SIGTERM."""

    tls: Tls | None = None
    """Certificates of the port; without them it speaks plain text."""
