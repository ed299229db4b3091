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
    """Where `turnout.admin.v1` is served, such as `127.0.0.1:50052`; not at all by default. In
    plain text and to whoever reaches it: keep it local. With workers each has its own, one port
    apart."""

    metrics_listen: Address | None = None
    """Where `/metrics`, `/healthz` and `/readyz` are served, such as `127.0.0.1:9464`; not at all
    by default. With workers each has its own, one port apart."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that share the port. Each keeps its own circuits, and what is kept in memory."""

    max_in_flight: Count = 1000
    """Calls that one process runs at once; more are refused with OVERLOADED."""

    lame_duck: Seconds = Seconds.parse("5s")
    """How long calls are still taken after SIGTERM, while balancers notice; SIGINT skips it."""

    drain_grace: Seconds = Seconds.parse("30s")
    """How long calls under way may go on after that; a second signal cuts it short."""

    tls: Tls | None = None
    """Certificates of the port; without them it speaks plain text."""
